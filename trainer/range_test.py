"""The learning rate from which a config learns fastest: a range test, in a minute.

Trains on the config's own data with a rate that grows by the same factor at each step,
and keeps nothing: no evaluation, no save, no run directory.
"""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Sequence

import jax
import numpy as np

from trainer import feeding, files, processes, roll_call, watchdog
from trainer.console import Console
from trainer.errors import Interrupted, TrainingFailed, UserError
from trainer.experiment import Experiment
from trainer.guard import guarded
from trainer.job import Job, make_job
from trainer.overwriting import PAGES, check_file
from trainer.report.blocks import Code, Figure, Figures, Section, Text, Tiles
from trainer.report.page import page, shown
from trainer.report.svg import line_chart
from trainer.screen import tell

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 120
SMOOTHING = 0.9  # of the loss, an exponential mean without the bias of its start
TOO_HIGH = 4.0  # times the lowest smoothed loss: what follows says no more
LEAST_STEPS = 10  # before a rise is believed
LEAST_FALL = 0.02  # of the first loss: less is no learning
MACRO = 'LEARNING_RATE'


def range_test(
    experiment: Experiment, *, stop, console: Console, out: str | None
) -> dict:
    """Trains through all rates, and gives what was found by name, as JSON.

    Args:
      experiment: as `load` gives it.
      stop: ends the test; nothing was found.
      console: says what it is busy with.
      out: a file for a page with the curve; None writes none.

    Returns:
      'rates' and 'losses' (smoothed) of the steps; 'suggested', where the loss falls
      steepest; 'lowest', where it is least; 'binding', what sets the suggestion.

    Raises:
      UserError: `out` cannot be written, or as training itself would.
      TrainingFailed: the loss fell at no rate.
      Interrupted: a signal came.

    References:
      Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3.3.
      The loss is smoothed, and the steepest fall suggested, as in fastai's `lr_find`.
    """
    if out is not None:
        files.check_local(out, '--out')
        if pathlib.Path(out).is_dir():
            raise UserError(f'--out={out} is a folder; lr_find writes a file, a page.')
        check_file(out, PAGES)
    with console.phases('data'):
        job = swept(roll_call.opened(experiment, ()))
    with guarded(job, stop), console.phases('steps'):
        found = judged(experiment, trained(job, stop))
    if out is not None and processes.is_main():
        files.make_folder('out', pathlib.Path(out).parent)
        files.write_text(pathlib.Path(out), as_page(found))
        tell(f'the curve: {out}')
    return found


def judged(experiment: Experiment, losses: Sequence[float]) -> dict:
    """What `range_test` gives, of the loss at each step."""
    smooth = smoothed(losses)
    rates = [rate_at(step) for step in range(len(smooth))]
    suggested, lowest = steepest(rates, smooth)
    return {
        'name': experiment.name,
        'suggested': suggested,
        'lowest': lowest,
        'binding': binding(experiment, suggested),
        'rates': rates,
        'losses': smooth,
    }


def rate_at(step):
    """The rate of a step: LOWEST at the first, HIGHEST at the last of STEPS."""
    return LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))


def swept(job: Job) -> Job:
    """The job with that schedule, whatever its own is."""

    def schedule(*, total_steps: int, steps_per_epoch: int):
        return rate_at

    changed = dataclasses.replace(job.experiment, schedule=schedule)
    return make_job(changed, job.datasets)


def trained(job: Job, stop) -> list[float]:
    """The loss of each step, until it is far above its least or no number."""
    step, state, losses = job.compile_train_step(), job.init_state(), []
    processes.meet()
    data, seed = job.datasets['train'], job.experiment.seed
    batches = feeding.single_batches(data, job.mesh, seed)
    with contextlib.closing(batches):
        while len(losses) < STEPS:
            batch, _ = next(batches)
            state, watch = step(state, batch)
            loss = processes.told(float(jax.device_get(watch['loss'])))
            watchdog.beat('a step')
            if not math.isfinite(loss):
                break
            losses.append(loss)
            if len(losses) > LEAST_STEPS and far_above(smoothed(losses)):
                break
            if stop:
                raise Interrupted(f'{stop.name}; nothing was found and nothing kept')
    return losses


def smoothed(losses: Sequence[float]) -> list[float]:
    """An exponential mean of what has been seen so far, as Adam corrects its own."""
    mean, out = 0.0, []
    for count, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        out.append(mean / (1 - SMOOTHING**count))
    return out


def far_above(losses: Sequence[float]) -> bool:
    """Whether the last loss says no more; one below zero counts by its distance."""
    least = min(losses)
    return losses[-1] - least > (TOO_HIGH - 1) * max(abs(least), losses[0] - least)


def steepest(rates: Sequence[float], losses: Sequence[float]) -> tuple[float, float]:
    """The rate where the loss falls fastest before its least, and that of its least.

    Args:
      rates: ascending, by one factor.
      losses: smoothed, one for each.

    Raises:
      TrainingFailed: it hardly falls.
    """
    least = int(np.argmin(losses)) if losses else 0
    fall = losses[0] - losses[least] if losses else 0.0
    if least < 2 or fall < LEAST_FALL * abs(losses[0]):
        raise TrainingFailed(
            f'The loss fell at no learning rate from {LOWEST:g} to {HIGHEST:g}. Look '
            f'at what is frozen, at the labels, and at the loss itself; '
            f'`python main.py overfit` takes one batch alone.'
        )
    slopes = np.gradient(np.asarray(losses[: least + 1]), np.log(rates[: least + 1]))
    return float(rates[int(np.argmin(slopes))]), float(rates[least])


def binding(experiment: Experiment, rate: float) -> str:
    """What sets the highest rate of the config's own schedule."""
    source = experiment.source.config_gin if experiment.source else ''
    named = any(line.startswith(f'{MACRO} =') for line in source.splitlines())
    name = getattr(experiment.schedule, 'func', experiment.schedule).__name__
    return f'--gin.{MACRO if named else f"{name}.peak"}={rate:.1e}'


def text(found: dict) -> str:
    """What was found, in two lines."""
    return (
        f'the loss falls fastest at a learning rate of {found["suggested"]:.1e}, and '
        f'is least at {found["lowest"]:.1e} ({len(found["rates"])} steps)\n'
        f'to train with it: {found["binding"]}'
    )


def as_page(found: dict) -> str:
    """The curve with the suggestion marked."""
    logs = [math.log10(rate) for rate in found['rates']]
    at = found['rates'].index(found['suggested'])
    mark = logs[at], found['losses'][at]
    points = list(zip(logs, found['losses'], strict=True))
    words = 'smoothed training loss over the learning rate'
    name = 'log10 of the learning rate'
    chart = line_chart([points], words, x_name=name, marked=mark)
    note = f'The ring is at {found["suggested"]:.1e}, where the loss falls fastest.'
    tiles = [
        ('suggested', f'{found["suggested"]:.1e}', 'steepest fall'),
        ('least loss', shown(min(found['losses'])), f'at {found["lowest"]:.1e}'),
    ]
    blocks = [
        Tiles(tiles=tiles),
        Figures(figures=[Figure(title=words, svg=chart, note=note)], wide=True),
        Code(title='To train with it', text=found['binding']),
        Text(text='A rate is only as good as the test is long.', tone='quiet'),
    ]
    section = Section(anchor='rates', title='Learning rates', blocks=blocks)
    return page(f'learning rates of {found["name"]}', [section], kicker='range test')
