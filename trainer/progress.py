"""How far a run is: a bar on a terminal, a line now and then anywhere else.

Its time left begins to count after the first step, so compilation is not in it. Knows
steps and named numbers, nothing of what they measure.
"""

import contextlib
import shutil
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

from trainer.screen import format_seconds, log, put, screen

SILENT_SECONDS = 10  # with nothing to log for so long, a line says how far it is
FINAL_LOSS = 'foretold/val/loss'  # see `foretelling`
LABELS = {
    'train/loss': 'loss',
    'train/acc_top1': 'acc',
    'perf/images_per_second': 'images/s',
    'perf/mfu': 'MFU',
    'val/acc_top1': 'val acc',
    'val/r2': 'val r2',
    'val/map': 'val map',
    'val/pck@0.1': 'val pck',
    'val/loss': 'val loss',
    FINAL_LOSS: 'foretold',
    'perf/step_ms_p50': 'ms a step',
    'perf/step_ms_p95': 'p95',
    'perf/input_wait': 'waiting',
    'perf/peak_host_mib': 'MiB',
    'perf/peak_device_mib': 'device MiB',
}
BAR_ONLY = (  # of which lines would be too long
    'perf/step_ms_p50',
    'perf/step_ms_p95',
    'perf/input_wait',
    'perf/peak_host_mib',
    'perf/peak_device_mib',
)
FORMATS = {
    'perf/mfu': '{:.1%}',
    'perf/step_ms_p50': '{:,.1f}',
    'perf/step_ms_p95': '{:,.1f}',
    'perf/input_wait': '{:.0%}',
}
WIDE = (
    '{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}'
    ' [{elapsed} < {remaining}{postfix}]'
)
NARROW = '{percentage:3.0f}% |{bar:6}| ETA {remaining}{postfix}'
WIDE_COLUMNS, BESIDE_NUMBERS = 120, {WIDE: 54, NARROW: 25}


class Bar(tqdm):
    """tqdm without its watching thread and its lock between processes."""

    monitor_interval = 0
    _lock = screen.lock


class ProgressBar(contextlib.AbstractContextManager):
    """Shows step, epoch, the latest numbers and the time left; logs a line for each."""

    def __init__(
        self,
        total: int,
        start: int = 0,
        *,
        steps_per_epoch: int | None = None,
        quiet: bool = False,
        labels: Mapping[str, str] = LABELS,
    ):
        """Draws nothing before `begin`, or else the first `update`.

        Args:
          total: steps of the run.
          start: the step that the run goes on from.
          steps_per_epoch: to show epochs; None shows none.
          quiet: show and log nothing, as all processes but the first do.
          labels: metric names that are shown, with the words for them; the first
            ones are shown in a narrow terminal too.
        """
        self.total, self.step, self.quiet = total, start, quiet
        self.steps_per_epoch, self.labels = steps_per_epoch, labels
        self._numbers: dict[str, float | None] = {}
        self._began: tuple[int, float] | None = None
        self._bar: Bar | None = None
        self._spoke = time.monotonic()

    def begin(self, step: int) -> None:
        """Draws the bar after the first step; time and time left count from here."""
        if self._began is not None or self.quiet:
            return
        self.step = step
        self._began = step, time.monotonic()
        screen.end_line()
        if sys.stdout.isatty():
            self._bar = self._draw()
        screen.bar = self

    def advance(self, step: int) -> None:
        """Takes note of a step; costs a microsecond, so it may follow every step."""
        before, self.step = self.step, step
        if self._bar is not None:
            self._bar.update(step - before)
        elif self._began and time.monotonic() - self._spoke > SILENT_SECONDS:
            self._speak(self._line(self._numbers))

    def update(self, step: int, scalars: Mapping[str, float | None]) -> None:
        """Shows the numbers of a logged interval."""
        self.begin(step)
        self.advance(step)
        self._show(step, scalars)

    def evaluated(self, step: int, scalars: Mapping[str, float | None]) -> None:
        """Shows the numbers of an evaluation."""
        self.step = max(step, self.step)
        self._show(step, scalars)

    @property
    def seconds_left(self) -> float | None:
        """At the mean speed since the first step; None before there is one."""
        if self._began is None or self.step <= self._began[0]:
            return None
        first, since = self._began
        speed = (self.step - first) / (time.monotonic() - since)
        return (self.total - self.step) / max(speed, 1e-9)

    def write(self, text: str, stream) -> None:
        """Writes a line above the bar."""
        cleared = Bar.external_write_mode if self._bar else contextlib.nullcontext
        with cleared():
            put(text + '\n', stream)

    def close(self) -> None:
        """Leaves the bar as it stands; may be called twice."""
        if screen.bar is self:
            screen.bar = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __exit__(self, *error) -> None:
        self.close()

    def _draw(self) -> Bar:
        size = shutil.get_terminal_size()  # tqdm draws nothing where that is unknown
        return Bar(
            total=self.total,
            initial=self.step,
            file=sys.stdout,
            ncols=size.columns,
            nrows=size.lines,
            smoothing=0,
            miniters=1,
            desc=self._epoch(),
            bar_format=WIDE if size.columns >= WIDE_COLUMNS else NARROW,
        )

    def _show(self, step: int, scalars: Mapping[str, float | None]) -> None:
        if self.quiet:
            return
        numbers = {key: scalars[key] for key in self.labels if key in scalars}
        self._numbers |= numbers
        line = self._line(numbers, step)
        if self._bar is None:
            self._speak(line)
            return
        log.info('%s', line)
        self._bar.ncols = shutil.get_terminal_size().columns
        self._bar.set_description_str(self._epoch(), refresh=False)
        self._bar.set_postfix_str(self._what_fits(), refresh=False)
        self._bar.refresh()

    def _what_fits(self) -> str:
        """The latest numbers, the first of `labels` before the others."""
        room = self._bar.ncols - BESIDE_NUMBERS[self._bar.bar_format]
        text, *others = self._words(self._numbers) or ['']
        for word in others:
            if len(text) + 2 + len(word) <= room:
                text += f'  {word}'
        return text

    def _speak(self, line: str) -> None:
        self._spoke = time.monotonic()
        screen.line(line)
        log.info('%s', line)

    def _line(
        self, numbers: Mapping[str, float | None], step: int | None = None
    ) -> str:
        step = self.step if step is None else step
        left = self.seconds_left
        numbers = {key: n for key, n in numbers.items() if key not in BAR_ONLY}
        words = [
            f'step {step:,}/{self.total:,}',
            self._epoch(step),
            *self._words(numbers),
        ]
        words += [] if left is None else [f'ETA {format_seconds(round(left))}']
        return '  '.join(filter(None, words))

    def _words(self, numbers: Mapping[str, float | None]) -> list[str]:
        return [
            f'{word} {_figure(key, numbers[key])}'
            for key, word in self.labels.items()
            if key in numbers
        ]

    def _epoch(self, step: int | None = None) -> str:
        """Such as 'epoch 3.5/20': how many have been done, of how many."""
        if not self.steps_per_epoch:
            return ''
        done = (self.step if step is None else step) / self.steps_per_epoch
        return f'epoch {done:.1f}/{round(self.total / self.steps_per_epoch, 2):g}'


def _figure(key: str, value: float | None) -> str:
    if value is None:
        return '-'
    if key in FORMATS:
        return FORMATS[key].format(value)
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.4f}'
