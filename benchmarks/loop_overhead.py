"""The loop beside its own compiled step: `python -m benchmarks.loop_overhead`.

Both take the same batches from the same state. The loop reads them from the data set,
logs every ten steps to metrics.jsonl, TensorBoard and the screen; the bare side has
them on the device and calls the step. Evaluation and saving are not in it. CPU time is
that of all threads, and hardly depends on other work.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence

import jax

from benchmarks.measure import alternate, chosen, markdown, setting, spread
from trainer import parallel
from trainer.chronicle import Chronicle
from trainer.compilation import enable_cache
from trainer.console import Console
from trainer.experiment import load
from trainer.host_memory import keep_freed_memory
from trainer.job import Job, open_job
from trainer.loop import IN_FLIGHT, Loop
from trainer.recorder import Recorder
from trainer.saver import Saver
from trainer.signals import Stop
from trainer.trackers import TensorBoardWriter, Trackers
from trainer.verdicts import make_tracker

MLP = 'configs/mlp.gin'
CASES = {  # config, bindings and steps a turn, for steps of about 1, 10 and 100 ms
    'MLP 256, batch 128': (MLP, [], 500),
    'MLP 1536, batch 128': (MLP, ['MLP.hidden_dim = 1536'], 100),
    'ResNet-18 on the digits': ('configs/resnet18.gin', [], 20),
}
CLOCKS = ('wall', 'CPU')
Turn = tuple[float, float]  # milliseconds a step: wall time, and CPU time


class Unsaved(Loop):
    """Writes its last line, and saves nothing: that is measured elsewhere."""

    def save(self, *_):
        """Saves nothing, for which nothing has to be on the disk either."""
        self.recorder.flush()


def clocks() -> tuple[float, float]:
    """Wall and CPU seconds so far."""
    return time.perf_counter(), time.process_time()


class Timed(Recorder):
    """Notes when the first step is done."""

    def first_step(self, watch):
        """Waits for it, as the trainer does."""
        super().first_step(watch)
        self.began = clocks()


@dataclasses.dataclass
class Case:
    """One model at one batch size, and its two sides."""

    job: Job
    steps: int

    def __post_init__(self):
        self.step = self.job.compile_train_step()
        self.state = jax.device_get(self.job.init_state())
        seed = self.job.experiment.seed
        batches = self.job.datasets['train'].train_batches(seed)
        self.batches = [
            parallel.place(next(batches), self.job.mesh) for _ in range(self.steps)
        ]
        batches.close()

    def start(self):
        """The state before the first step, to be donated."""
        placed = jax.device_put(self.state, parallel.replicated(self.job.mesh))
        return jax.block_until_ready(placed)

    def since(self, began: tuple[float, float]) -> Turn:
        """What each step but the first has taken."""
        pairs = zip(clocks(), began, strict=True)
        return tuple(1e3 * (now - then) / (self.steps - 1) for now, then in pairs)

    def bare(self) -> Turn:
        """The compiled step, called in a row."""
        state, in_flight = self.start(), deque()
        for number, batch in enumerate(self.batches):
            if len(in_flight) == IN_FLIGHT:
                jax.block_until_ready(in_flight.popleft())
            state, watch = self.step(state, batch)
            in_flight.append(watch)
            if not number:
                jax.block_until_ready(watch)
                began = clocks()
        jax.block_until_ready(state)
        return self.since(began)

    def loop(self) -> Turn:
        """The trainer's loop, with all it writes."""
        job, state = self.job, self.start()
        with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
            place = pathlib.Path(place)
            trackers = Trackers(place, [TensorBoardWriter])
            stack.enter_context(trackers)
            writer = stack.enter_context(trackers.opened('loop', {}, 0))
            nowhere = stack.enter_context(open(os.devnull, 'w'))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            console = Console()
            bar = console.bar(job.total_steps, 0, job.steps_per_epoch)
            stack.enter_context(bar)
            chronicle = Chronicle(place, console.phases, quiet=True)
            recorder = Timed(job, writer, bar, chronicle)
            loop = Unsaved(job, Saver(None), make_tracker(job), {}, Stop())
            loop.train_step, loop.recorder = self.step, recorder
            jax.block_until_ready(loop.run(state))
            return self.since(recorder.began)


def make_case(config: str, bindings: list[str], steps: int) -> Case:
    """A case whose loop neither evaluates nor saves, but for noting the last step."""
    experiment = load([config], bindings)
    whole = {'eval_every': 10**6, 'save_every': 10**6}
    job = open_job(dataclasses.replace(experiment, **whole), splits=())
    return Case(dataclasses.replace(job, total_steps=steps), steps)


def more(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """By how much ours is more: the quartiles of turns, and that of the minima."""
    over = [100 * (one / other - 1) for one, other in zip(ours, theirs, strict=True)]
    low, middle, high = statistics.quantiles(over, n=4)
    least = 100 * (min(ours) / min(theirs) - 1)
    return f'{middle:+.1f} % ({low:+.1f} to {high:+.1f}; minima {least:+.1f})'


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('rows', nargs='*', default=['*'], help='such as "MLP*"; all')
    flags.add_argument('--rounds', type=int, default=11)
    flags = flags.parse_args()
    names = chosen(CASES, flags.rows)
    if not names:
        sys.exit(f'Name rows of: {"; ".join(CASES)}.')
    keep_freed_memory()
    enable_cache()
    rows = []
    for name in names:
        config, bindings, steps = CASES[name]
        case = make_case(config, bindings, steps)
        sides = {'bare': case.bare, 'loop': case.loop}
        alternate(sides, 1)
        turns = alternate(sides, flags.rounds)
        bare, loop = (list(zip(*turns[side], strict=True)) for side in sides)
        for clock, ours, theirs in zip(CLOCKS, loop, bare, strict=True):
            both = spread(theirs, 2), spread(ours, 2)
            rows.append([name, clock, *both, more(ours, theirs)])
    print(setting())
    header = ['step', 'time', 'bare, ms', 'loop, ms', 'more: median (quartiles)']
    print(markdown(header, rows))


if __name__ == '__main__':
    main()
