"""What the train step of a config costs on this machine, in figures, in a minute.

Trains a while on the config's own data, batches read as a run reads them, and keeps
nothing: no evaluation, no save, no run directory.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator

import jax

from trainer import feeding, overview, processes, roll_call, watchdog
from trainer.console import Console
from trainer.experiment import Experiment
from trainer.footprint import MIB, memory, peak_flops
from trainer.guard import guarded
from trainer.job import Job
from trainer.loop import IN_FLIGHT
from trainer.signals import Stop
from trainer.state import TrainState
from trainer.stopwatch import Stopwatch

SECONDS, LEAST_STEPS = 20.0, 5
WARM_STEPS = 3  # the first steps fill queues and caches
AHEAD = 1.0  # seconds of steps at most that processes agree on at once
FACTS = ('device', 'devices', 'batch', 'parameters', 'flops_per_step', 'step_bytes')


def bench(
    experiment: Experiment,
    *,
    stop: Stop,
    console: Console,
    seconds: float = SECONDS,
) -> dict:
    """Compiles the train step, trains so long, and gives figures by name, as JSON.

    Args:
      experiment: as `load` gives it.
      stop: ends the measurement early, after its least steps.
      console: says what it is busy with.
      seconds: to train, after warming up.

    Raises:
      UserError, TrainingFailed: as training itself would.
    """
    phases = console.phases
    with phases('data'):
        job = roll_call.opened(experiment, ())
    with guarded(job, stop):
        with phases('compile'):
            step, several = job.compile_train_step(), job.compile_train_steps()
        with phases('init'):
            state = jax.block_until_ready(job.init_state())
        processes.meet()
        with phases('steps'):
            measured = measure(job, (step, several), state, stop, seconds)
    known = overview.facts(job, step)
    return {
        'name': experiment.name,
        'processes': processes.count(),
        **{name: known[name] for name in FACTS},
        'mfu': None,
        **measured,
        'compile_seconds': phases.seconds['compile'],
        'init_seconds': phases.seconds['init'],
        **worst(measured['input_wait'], memory()),
    }


def worst(input_wait: float, peak_bytes: dict[str, int]) -> dict[str, object]:
    """What is the most in any process: all wait for the slowest, the fullest fails."""
    waits, peaks = zip(*processes.gather([input_wait, peak_bytes]), strict=True)
    most = {name: max(peak[name] for peak in peaks) for name in peak_bytes}
    return {'input_wait': max(waits), 'peak_bytes': most}


def measure(job: Job, programs: tuple, state: TrainState, stop, seconds: float) -> dict:
    """Figures of the steps alone, under the names of `perf/`; the state is donated.

    Args:
      job: its data are read.
      programs: the step, and several in one dispatch or None, compiled.
      state, stop, seconds: as in `bench`.
    """
    clock = Stopwatch(ideal=overview.ideal_seconds(job, programs[0]))
    data, position = job.datasets['train'], (job.experiment.seed, 0)
    stride = job.longest_stride  # as a run takes them where nothing is due
    batches = feeding.train_batches(data, job.mesh, position, lambda _: stride)
    with contextlib.closing(batches), contextlib.closing(clock):

        def warm(steps: int) -> bool:
            return steps >= WARM_STEPS

        state, _ = take(*programs, state, batches, clock, warm)
        clock.restart()
        until = Until(seconds, stop)
        state, steps = take(*programs, state, batches, clock, until)
        clock.settle()
        figures = clock.read(job.experiment.train_data.batch)
    named = {name.removeprefix('perf/'): value for name, value in figures.items()}
    return {'steps': steps, **named}


class Until:
    """Whether so many seconds are over, asked before each step: alike in all processes.

    The first one's clock counts. It tells the others how far all go before they ask
    again; steps are under way on the devices meanwhile.
    """

    def __init__(self, seconds: float, stop=False):
        """Begins to count; `stop` ends it early, after the least steps."""
        self.seconds, self.stop = seconds, stop
        self.started, self.agreed = time.perf_counter(), LEAST_STEPS

    def __call__(self, steps: int) -> bool:
        if steps < self.agreed:
            return False
        spent = time.perf_counter() - self.started
        left = 0.0 if self.stop else min(AHEAD, self.seconds - spent)
        more = min(steps, max(1, int(steps * left / spent))) if left > 0 else 0
        self.agreed = steps + processes.told(more)
        return self.agreed == steps


def take(
    step: Callable,
    several: Callable | None,
    state: TrainState,
    batches: Iterator[tuple[dict, int]],
    clock: Stopwatch,
    done: Callable[[int], bool],
) -> tuple[TrainState, int]:
    """Trains until `done(steps)`, as the loop does, and waits for the last step."""
    in_flight, steps = deque(), 0
    while not done(steps):
        batch, count = clock.next(batches)
        if len(in_flight) == IN_FLIGHT:
            in_flight.popleft().block_until_ready()
        state, watch = (several if count > 1 else step)(state, batch)
        clock.sent(watch['bad_step'], count)
        in_flight.append(watch['bad_step'])
        watchdog.beat('a step')
        steps += count
    state = jax.block_until_ready(state)
    watchdog.enter('what follows the steps')
    return state, steps


def text(found: dict) -> str:
    """The figures, one a line; what is not known says why."""
    flops, share = found['flops_per_step'], found['mfu']
    several = found['processes'] > 1
    within = f' in {found["processes"]} processes' if several else ''
    longest = ', in the process that waits longest' if several else ''
    rows = {
        'config': f'{found["name"]}, batch {found["batch"]:,}',
        'devices': f'{found["devices"]} x {found["device"]}{within}',
        'images a second': f'{found["images_per_second"]:,.1f}',
        'step': f'{found["step_ms_p50"]:,.1f} ms (p50), '
        f'{found["step_ms_p95"]:,.1f} ms (p95), of {found["steps"]} steps',
        'waiting for data': f'{found["input_wait"]:.1%} of the time{longest}',
        'FLOPs a step': f'{flops / 1e9:,.2f} G on each device' if flops else 'not told',
        'MFU': unknown(found) if share is None else f'{share:.1%}',
        'compile': f'{found["compile_seconds"]:,.1f} s',
        'memory of a step': f'{found["step_bytes"] / MIB:,.0f} MiB on each device, '
        f'as the compiler counts',
        'peak memory': ', '.join(
            f'{name} {size / MIB:,.0f} MiB'
            for name, size in found['peak_bytes'].items()
        ),
    }
    return '\n'.join(f'{name:<17} {value}' for name, value in rows.items())


def unknown(found: dict) -> str:
    """Why there is no MFU."""
    if peak_flops(found['device']) is None:
        return f'not known: no peak is stated for {found["device"]!r}'
    return 'not known: the compiler does not count operations here'
