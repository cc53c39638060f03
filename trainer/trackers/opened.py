"""The writers of a run: opened at its start, each in a thread, closed behind all else.

Promises that no writer ever stops a run, and that none fails with another.
"""

import contextlib
import functools
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from trainer import processes, rundir
from trainer.errors import Interrupted
from trainer.screen import warn
from trainer.trackers.packages import function_of, missing
from trainer.trackers.start import Start
from trainer.trackers.worker import AT_THE_END, PATIENCE, Worker
from trainer.writers import JsonlWriter, MetricWriter, Scalars


class MultiWriter(MetricWriter):
    """Gives everything to several writers, each in a thread of its own.

    One that fails is warned of, once; it is still given what comes later.
    """

    def __init__(self, makers: Sequence[Callable[[], MetricWriter]]):
        """Takes what makes the writers; their threads call it."""
        self._patience = PATIENCE
        self._workers = [
            Worker(function_of(make).__name__, make, durable(make)) for make in makers
        ]

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """As of each writer; a page is drawn of evaluations, so they are not kept."""
        self._each('write_scalars', step, scalars)
        if 'epoch' in scalars:
            for worker in self._workers:
                worker.hasten()

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
        """As of each writer."""
        self._each('write_hparams', hparams)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """As of each writer."""
        self._each('write_texts', step, texts)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """As of each writer."""
        self._each('write_images', step, images)

    def write_histograms(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        num_buckets: Mapping[str, int] | None = None,
    ) -> None:
        """As of each writer."""
        self._each('write_histograms', step, arrays, num_buckets)

    def flush(self) -> None:
        """Has all written; waits for the durable ones."""
        for worker in self._workers:
            worker.settle()

    def end(self, ending: str) -> None:
        """As of each writer; at a run's end there is time, behind a signal little."""
        self._patience = AT_THE_END if ending == 'finished' else PATIENCE
        self._each('end', ending)

    def close(self) -> None:
        """Ends all threads; waits a while for servers. May be called twice."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.finish()
        until = time.monotonic() + self._patience
        for worker in workers:
            worker.join(until)

    def _each(self, method: str, *arguments) -> None:
        for worker in self._workers:
            worker.put(method, *arguments)


def durable(make: Callable) -> bool:
    """Whether what makes a writer says that checkpoints wait for it."""
    return getattr(function_of(make), 'durable', False)


class Trackers(contextlib.AbstractContextManager):
    """The writers of one start of a run.

        with Trackers(directory, makers) as trackers:  # around everything else
            with trackers.opened(config, step) as writer: ...

    The last one hears how the run ended, when the run directory is complete.
    """

    def __init__(self, directory: pathlib.Path, makers: Sequence[Callable]):
        """Warns of writers whose packages are missing; they are left out."""
        self.directory, self.makers, self.writer = directory, [], None
        for make in makers if processes.is_main() else ():
            lack = missing(make)
            if lack:
                warn(f'{lack}; the run goes on without it')
            else:
                self.makers.append(make)

    @contextlib.contextmanager
    def opened(
        self, name: str, config: Mapping[str, object], step: int
    ) -> Iterator[MultiWriter]:
        """A writer into metrics.jsonl and all others, for a run that is at a step.

        Earlier ones are closed. At the end of the block all is in the files.
        """
        self._close()
        metrics = self.directory / rundir.METRICS
        start = Start(
            directory=self.directory,
            name=name,
            config=config,
            resumed_from=step or None,
            recorded=metrics.stat().st_size if metrics.exists() else 0,
        )
        record = functools.partial(JsonlWriter, metrics)
        makers = [functools.partial(make, start) for make in self.makers]
        main = processes.is_main()  # all others write nothing
        self.writer = MultiWriter([record, *makers] if main else [])
        self.writer.write_hparams(config)
        try:
            yield self.writer
        finally:
            self.writer.flush()

    def __exit__(self, kind, error, trace) -> None:
        if self.writer is not None:
            interrupted = kind is not None and issubclass(kind, Interrupted)
            broken = 'interrupted' if interrupted else 'failed'
            self.writer.end('finished' if kind is None else broken)
        self._close()

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()
