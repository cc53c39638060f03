"""The page of a search: what was tried, what mattered, and where to look further.

Reads a study's file, whoever writes to it meanwhile; imports no JAX.
"""

import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from trainer import files, rundir
from trainer.lock import holder
from trainer.report.blocks import Figure, Figures, Link, Section, Table, Text, Tiles
from trainer.report.page import page, shown
from trainer.search import drawings
from trainer.search.edges import near_ends
from trainer.search.methods import NAME, open_storage
from trainer.search.place import place_of, storage_of
from trainer.search.space import is_range

INTERRUPTED = 'interrupted'


def write_page(folder: str | os.PathLike) -> pathlib.Path:
    """Writes report.html into the directory of a study, and says where it is."""
    folder = pathlib.Path(folder)
    storage = open_storage(storage_of(folder), folder)
    study = optuna.load_study(study_name=NAME, storage=storage)
    path = folder / rundir.REPORT
    files.write_text(path, study_page(study, folder))
    return path


def study_page(study: optuna.Study, folder: pathlib.Path) -> str:
    """The page as HTML."""
    told = study.user_attrs.get('told', {})
    space = space_of(told)
    trials = study.get_trials(deepcopy=False)
    done = [t for t in trials if t.state == TrialState.COMPLETE]
    said = [*verdict(study, told, trials), *left_behind(trials, folder)]
    sections = [
        Section(anchor='verdict', title='Verdict', blocks=said),
        Section(anchor='trials', title='Trials', blocks=listing(space, trials, folder)),
    ]
    if done and space:
        sections[1:1] = figures(study, space, done, told.get('metric', 'value'))
    title = f'search by {told.get("metric", "value")}'
    return page(title, sections, kicker=str(folder))


def verdict(study: optuna.Study, told: Mapping, trials: Sequence[FrozenTrial]) -> list:
    """The best trial, how far the search is, what pruning saved, what is odd."""
    counts = {s: sum(t.state == s for t in trials) for s in TrialState}
    small = ', '.join(f'{n} {s.name.lower()}' for s, n in counts.items() if n)
    tiles = [('trials', str(len(trials)), small)]
    blocks, odd = [], []
    if counts[TrialState.COMPLETE]:
        best = study.best_trial
        words = ', '.join(f'{key} = {shown(v)}' for key, v in best.params.items())
        blocks.append(Text(text=f'Best is trial {best.number}: {words}.', tone='lead'))
        odd = edges(best, space_of(told), told.get('open', {}))
        tiles.insert(0, ('best value', shown(best.value), told.get('metric', '')))
    else:
        blocks.append(Text(text='No trial has come to an end yet.', tone='lead'))
    saved, whole = saving(trials, told.get('planned', 0))
    if whole:
        small = f'{saved:,} of {whole:,} evaluations of the first seed'
        tiles.append(('saved by pruning', f'{saved / whole:.0%}', small))
    blocks.append(Tiles(tiles=tiles))
    return [*blocks, *(Text(text=w, tone='warn') for w in odd)]


def left_behind(trials: Sequence[FrozenTrial], folder: pathlib.Path) -> list[Text]:
    """Which trials nobody works on though they have not ended, and what to do."""
    left = [t.number for t in trials if status(t, folder) == INTERRUPTED]
    if not left:
        return []
    if len(left) == 1:
        text = f'Trial {left[0]} was interrupted; the same command goes on with it.'
    else:
        numbers = ', '.join(map(str, left))
        text = f'Trials {numbers} were interrupted; the same command goes on with them.'
    return [Text(text=text, tone='warn')]


def status(trial: FrozenTrial, folder: pathlib.Path) -> str:
    """How a trial stands; Optuna calls one running whose process is gone, too."""
    running = trial.state == TrialState.RUNNING
    if running and holder(place_of(folder, trial.number)) is None:
        return INTERRUPTED
    return trial.state.name.lower()


def saving(trials: Sequence[FrozenTrial], planned: int) -> tuple[int, int]:
    """Evaluations that pruned trials left out, and those that all would have had."""
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    pruned = [t for t in ended if t.state == TrialState.PRUNED]
    saved = sum(max(0, planned - len(t.intermediate_values)) for t in pruned)
    return saved, planned * len(ended)


def edges(best: FrozenTrial, space: Mapping, open_: Mapping) -> list[str]:
    """What to say of best values at the ends of their ranges."""
    return [
        f'the best {key} = {shown(best.params[key])} lies at the {end} end of '
        f'{space[key]!r}; a wider range may hold a better one.'
        for key, end in near_ends(space, best.params, open_)
    ]


def figures(study, space: Mapping, done: Sequence[FrozenTrial], metric: str) -> list:
    """Sections of drawings."""
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    svg = drawings.history(done, sign)
    past = Figure(title=metric, svg=svg, note='Dots are trials; the line, the best.')
    svg = drawings.parallel(space, done, study.best_trial)
    note = 'The dashed line is the best trial.'
    least = 130 * len(space)
    lines = Figure(title='Values together', svg=svg, note=note, least=least)
    cuts = [
        Figure(title=key, svg=drawings.slices(key, choices, done))
        for key, choices in space.items()
    ]
    made = [('history', 'History', [Figures(figures=[past, lines])])]
    made.append(('slices', 'Slices', [Figures(figures=cuts)]))
    if rows := importances(study):
        words = 'Share of the spread of values that each explains (PED-ANOVA).'
        blocks = [Table(header=['what', 'importance'], rows=rows)]
        blocks.append(Text(text=words, tone='quiet'))
        made.insert(1, ('importances', 'Importances', blocks))
    return [Section(anchor=a, title=t, blocks=b) for a, t, b in made]


def importances(study: optuna.Study) -> list[tuple[str, float]]:
    """Optuna's own, the greatest first; none where trials are too few."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(complete) < 2:
        return []
    try:
        with warnings.catch_warnings():  # of so few that the importances say nothing
            warnings.filterwarnings('error', message='Target and region quantiles')
            found = optuna.importance.get_param_importances(study)
    except (ValueError, RuntimeError, UserWarning):
        return []
    return list(found.items())


def listing(space: Mapping, trials: Sequence[FrozenTrial], folder) -> list:
    """All trials, and what a value is of one that did not come to its end."""
    words = 'The value of a pruned trial is the last that it showed.'
    return [table(space, trials, folder), Text(text=words, tone='quiet')]


def table(space: Mapping, trials: Sequence[FrozenTrial], folder) -> Table:
    """A row for each trial, with a link to the page of its first run."""
    rows = []
    for trial in trials:
        place = place_of(folder, trial.number)
        pages = sorted(place.glob(f'seed_*/{rundir.REPORT}'))
        first = str(trial.number)
        if pages:
            first = Link(first, str(pages[0].relative_to(folder)))
        params = [trial.params.get(key) for key in space]
        ran = len(trial.intermediate_values)
        rows.append([first, status(trial, folder), trial.value, ran, *params])
    return Table(header=['trial', 'status', 'value', 'evaluations', *space], rows=rows)


def space_of(told: Mapping) -> dict[str, Sequence]:
    """The space again: JSON knows no tuples, so a range is told by its kind."""
    space = told.get('space', {})
    return {k: tuple(c) if is_range(tuple(c)) else list(c) for k, c in space.items()}
