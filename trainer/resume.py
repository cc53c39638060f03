"""Going on with a run: which checkpoint, and whether this config may continue it.

What changes the numbers must be as it was; what only changes speed, logging, saving or
length may differ. Knows manifests and configs as flat dictionaries, nothing of arrays.
"""

import fnmatch

from trainer.errors import UserError

DATA = ('*_data', 'evaluations.*.data')
PLACES = (  # where the data lies and how it is read; what it is, its fingerprint says
    'workers',
    'cache',
    'data_dir',
    'folder',
    'source.annotations*',
    'source.data_dir',
    'source.file',
    'source.folder',
    'source.images*',
    'source.masks',
)
MAY_CHANGE = (
    'name',
    'epochs',
    'hooks*',
    'log_every',
    'pictures',
    'profile*',
    'search*',
    'seeds',
    'eval_every',
    'save_every',
    'checkpoints*',
    'divergence*',
    'watchdog*',
    'writers*',
    'parallel*',
    'best.patience',
    'test_data*',
    'evaluations.*.every',
    *(f'{data}.{key}' for data in DATA for key in PLACES),
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
    """Raises UserError where data that is trained on or scored meanwhile changed."""
    for split in sorted((saved.keys() | given.keys()) - {'test'}):
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
