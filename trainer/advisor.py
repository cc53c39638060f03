"""Says once that training waits for its data, for how long, why, and what mends it.

Looks at figures that are logged anyway, and reads a few examples only when it has
something to say; the loop pays nothing for it.
"""

import dataclasses
import os
import time

import numpy as np

from trainer.data import Dataset
from trainer.data.reader import Reader
from trainer.screen import warn

LIMIT = 0.1  # of the time may pass in waiting before that is worth a line
WORTH = 1.0  # seconds that must have been lost, in intervals that follow each other
SURE_STEPS = 100  # of one interval; shorter ones have to agree with their neighbour
EXAMPLES, SECONDS = 32, 1.0  # at most, read to see how fast that goes
GAIN = 1.1  # what a change must bring to be worth naming


@dataclasses.dataclass(frozen=True)
class Rates:
    """Images per second: of one core that decodes or transforms, and of the step."""

    decode: float
    transform: float
    step: float

    @property
    def read(self) -> float:
        """Of one core that does both."""
        return 1 / (1 / self.decode + 1 / self.transform)


class Advisor:
    """Watches the share of time in which the device waits for data.

    Args:
      dataset: what is trained on.
      cores: of this machine.
    """

    def __init__(self, dataset: Dataset, cores: int | None = None):
        self.dataset, self.cores = dataset, cores or os.cpu_count()
        self._lost, self._said = 0.0, False

    def consider(self, figures: dict[str, float], steps: int) -> bool:
        """Warns, once, where an interval's figures (see `Stopwatch.read`) call for it.

        The first batches of a run are waited for while readers start: a short interval
        counts only if the one before it was as bad.

        Returns:
          Whether it did, which takes a second: no step should be blamed for that.
        """
        share, before = figures['perf/input_wait'], self._lost
        seconds = share * steps * figures['perf/step_ms'] / 1e3
        self._lost = before + seconds if share > LIMIT else 0.0
        short = steps < SURE_STEPS and not before
        if self._said or short or self._lost < WORTH:
            return False
        self._said = True
        now = figures['perf/images_per_second']
        busy = max(figures['perf/device_ms'], 1e-3)
        step = 1e3 * self.dataset.images.batch / busy
        rates = measure(self.dataset, max(step, now))
        warn(self.line(share, now, rates))
        return True

    def line(self, share: float, now: float, rates: Rates) -> str:
        """The warning: share, rates, and the change that brings most."""
        found = (
            f'{share:.0%} of the time waits for data: training takes {now:,.0f} '
            f'images/s, the step alone would take {rates.step:,.0f}. On one of '
            f'{self.cores} cores: decode {rates.decode:,.0f}, transform '
            f'{rates.transform:,.0f} images/s. '
        )
        setting, reached = max(self.changes(rates), key=lambda change: change[1])
        reached = min(reached, rates.step)
        if reached > GAIN * now:
            return f'{found}Set {setting}: up to {reached:,.0f} images/s.'
        if self.dataset.gathers or rates.read * self._readers > GAIN * now:
            return (
                f'{found}Neither explains it, so Images.workers, cache and size would '
                f'change little: look at the disk or network that holds the data.'
            )
        smaller = f'{found}Set a smaller Images.size (or crop)'
        return f'{smaller}: half the side costs about a quarter of the time.'

    def changes(self, rates: Rates):
        """(setting, images/s that reading would then reach) of what can be changed."""
        data, at_once = self.dataset, float('inf')
        kept = rates.transform * self._readers if data.random else at_once
        if data.gathers and data.images.cache != 'device':
            yield "Images.cache = 'device'", at_once
        if not data.holds and data.images.cache != 'disk':
            fits = data.num_bytes <= free_memory() / 2
            yield ("Images.cache = 'host'" if fits else "Images.cache = 'disk'"), kept
        if data.images.workers < self.cores and not data.gathers:
            read = rates.transform if data.holds else rates.read
            yield f'Images.workers = {self.cores}', read * self.cores
        yield 'nothing', 0.0

    @property
    def _readers(self) -> int:
        return min(self.dataset.images.workers or self.cores, self.cores)


def measure(dataset: Dataset, step: float) -> Rates:
    """How fast one core reads some examples, beside the step's own rate."""
    decoded, began = [], time.perf_counter()
    for index in range(min(EXAMPLES, len(dataset))):
        decoded.append(dataset.examples[index])
        if time.perf_counter() - began > SECONDS:
            break
    middle = time.perf_counter()
    for index, example in enumerate(decoded):
        Reader([example], dataset.images.host_transforms)(
            0, np.random.default_rng(index)
        )
    ended = time.perf_counter()
    count = len(decoded)
    return Rates(count / (middle - began), count / (ended - middle), step)


def free_memory() -> int:
    """Bytes of the machine's memory that are free."""
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_AVPHYS_PAGES')
