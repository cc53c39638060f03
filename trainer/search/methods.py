"""Samplers, pruners and storages of Optuna by name, for a search."""

import difflib
import inspect
import pathlib

import optuna

from trainer.errors import UserError
from trainer.search.place import STUDY_FILES
from trainer.search.predicted import PredictedPruner
from trainer.search.space import Search, is_range

NAME = 'search'
SAMPLERS = {'tpe': 'TPESampler', 'random': 'RandomSampler', 'grid': 'GridSampler'}
PRUNERS = {
    'median': 'MedianPruner',
    'hyperband': 'HyperbandPruner',
    'none': 'NopPruner',
}


def make_sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """The sampler for one trial: drawn from (seed, number), whichever process asks.

    Raises:
      UserError: there is none of that name, or it needs what a search does not give.
    """
    kind = _named('sampler', search.sampler, SAMPLERS, optuna.samplers)
    known, arguments = inspect.signature(kind).parameters, {}
    if 'seed' in known:
        arguments['seed'] = search.seed * 100_003 + number
    if 'search_space' in known:
        ranges = [key for key, value in search.space.items() if is_range(value)]
        if ranges:
            raise UserError(
                f'Search.sampler = {search.sampler!r} takes lists of choices alone, '
                f'but {ranges[0]} is a range; list values, or choose another sampler.'
            )
        arguments['search_space'] = {k: list(v) for k, v in search.space.items()}
    return _made('sampler', kind, arguments)


def make_pruner(search: Search, planned: int) -> optuna.pruners.BasePruner:
    """The pruner; `planned` is how many evaluations a whole trial has.

    Raises:
      UserError: there is none of that name, or it does not take those options.
    """
    options = dict(search.pruner_options)
    if search.pruner == 'predicted':
        return _made('pruner', PredictedPruner, {'planned': planned, **options})
    kind = _named('pruner', search.pruner, PRUNERS, optuna.pruners)
    if kind is optuna.pruners.HyperbandPruner:
        options = {'max_resource': planned, **options}
    return _made('pruner', kind, options)


def open_storage(kind: str, folder: pathlib.Path) -> optuna.storages.BaseStorage:
    """The file of the study, 'sqlite' or 'journal', opened or made."""
    path = folder.resolve() / STUDY_FILES[kind]
    if kind == 'sqlite':
        return optuna.storages.RDBStorage(f'sqlite:///{path}')
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.storages.JournalStorage(backend)


def _named(what: str, name: str, short: dict[str, str], module) -> type:
    known = [*short, *(n for n in module.__all__ if n.endswith(what.title()))]
    if what == 'pruner':
        known.append('predicted')
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.4)
        hint = f'did you mean {near[0]!r}?' if near else f'choose {", ".join(known)}.'
        raise UserError(f'Search.{what} = {name!r} is no {what} of Optuna; {hint}')
    return getattr(module, short.get(name, name))


def _made(what: str, kind: type, arguments: dict) -> object:
    try:
        return kind(**arguments)
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(
            f'Search.{what}: {kind.__name__} cannot be made: {error}; choose another, '
            f'or set its options.'
        ) from error
