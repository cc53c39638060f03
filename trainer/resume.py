"""Going on with a run: which checkpoint, and whether this config may continue it.

What changes the numbers must be as it was; what only changes speed, logging, saving or
length may differ. Knows manifests and configs as flat dictionaries, nothing of arrays.
"""

import fnmatch

from trainer.errors import UserError

MAY_CHANGE = (
    'name',
    'epochs',
    'hooks*',
    'log_every',
    'seeds',
    'eval_every',
    'save_every',
    'checkpoints*',
    'best.patience',
    '*_data.workers',
    '*_data.cache',
    '*_data.data_dir',
    '*_data.folder',
    '*_data.source.annotations*',
    '*_data.source.data_dir',
    '*_data.source.file',
    '*_data.source.folder',
    '*_data.source.images*',
    '*_data.source.masks',
    'test_data*',
)


def check_config(saved: dict, given: dict) -> None:
    """Raises UserError naming every key that changes the numbers and differs."""
    differ = [key for key in {**saved, **given} if _differs(key, saved, given)]
    refused = [key for key in differ if not _may_change(key)]
    if refused:
        listed = '; '.join(
            f'{key} was {saved.get(key, "not set")!r}, is {given.get(key, "not set")!r}'
            for key in refused[:8]
        )
        more = f'; and {len(refused) - 8} more' if len(refused) > 8 else ''
        raise UserError(
            f'This run directory holds another experiment: {listed}{more}. '
            f'Set it back, or give another --workdir.'
        )


def check_data(saved: dict[str, str], given: dict[str, str]) -> None:
    """Raises UserError where the training or evaluation data is not what it was."""
    for split in ('train', 'eval'):
        before, now = saved.get(split), given.get(split)
        if before != now:
            raise UserError(
                f'The {split} data changed since this run began: its fingerprint was '
                f'{before}, is {now}. Restore the data, or give another --workdir.'
            )


def check_class_names(saved: list[str], given: list[str]) -> None:
    """Raises UserError where the classes are not those that the run learnt."""
    if list(saved) != list(given):
        raise UserError(
            f'This run learnt the classes {saved}, but the data has {given}; '
            f'restore the data, or give another --workdir.'
        )


def _differs(key: str, saved: dict, given: dict) -> bool:
    return saved.get(key, _MISSING) != given.get(key, _MISSING)


def _may_change(key: str) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in MAY_CHANGE)


_MISSING = object()
