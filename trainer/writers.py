"""Where metrics go: writers with the interface of CLU's MetricWriter, no TensorFlow.

Promises that metrics.jsonl is strict JSON, one object a line. Knows names, steps and
numbers; not what they mean.
"""

import io
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np

from trainer import files

Scalars = Mapping[str, float | None]


class MetricWriter:
    """What every writer can be given; each drops what it has no place for.

    Methods and arguments are those of `clu.metric_writers.MetricWriter`, and `end`.
    Scalars may be None: no data.

    Attributes:
      durable: whether a checkpoint waits until all before it is written: so it is with
        files, and not with servers.
      needs: a module that Juniper does not bring, and the name that pip knows it by.
    """

    durable: ClassVar[bool] = False
    needs: ClassVar[tuple[str, str] | None] = None

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Writes numbers by name."""

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
        """Writes the configuration of the run, once."""

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Writes Markdown by name."""

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Writes images [N, H, W, C] by name: uint8, or float in [0, 1]."""

    def write_histograms(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        num_buckets: Mapping[str, int] | None = None,
    ) -> None:
        """Writes how the values of arrays of any shape are distributed, by name."""

    def flush(self) -> None:
        """Brings all that was written into the files."""

    def end(self, ending: Literal['finished', 'interrupted', 'failed']) -> None:
        """Hears how the run ended; its directory is then complete."""

    def close(self) -> None:
        """Flushes, and lets the files go."""


class TextWriter(MetricWriter):
    """What writers to one open text file share."""

    durable = True
    _file: io.TextIOBase

    def flush(self) -> None:
        """Brings the lines onto the disk, where a loss of power leaves them."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file; may be called twice."""
        if not self._file.closed:
            self.flush()
            self._file.close()


class JsonlWriter(TextWriter):
    """Appends one line for each call: `{"step": 10, "train/loss": 0.3, ...}`.

    Keys stay in the order given. A number is written with the fewest digits that read
    back to it, so equal runs write equal bytes; "no data", NaN and the infinities are
    all `null`. Each line is with the system when the call returns.
    """

    def __init__(self, path: str | os.PathLike):
        """Opens the file; a run that goes on calls `truncate` before."""
        self._file = open(path, 'a', buffering=1, encoding='utf-8')  # noqa: SIM115

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Appends the line of a step."""
        record = {'step': int(step), **files.plain(scalars)}
        self._file.write(json.dumps(record, allow_nan=False) + '\n')


def truncate(path: str | os.PathLike, step: int) -> None:
    """Drops all that a run that goes on from `step` is going to write again.

    These are the lines of later steps, the final scores (they are taken after the last
    save), and a last line that was cut short; -1 drops every line. A file that is not
    there stays so; one in which nothing is dropped is not touched.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return
    text = path.read_text(encoding='utf-8', errors='replace')
    kept = [
        line
        for line, record in _records(text)
        if record['step'] <= step and not _is_final(record)
    ]
    if ''.join(kept) != text:
        files.write_text(path, ''.join(kept))


def read(path: str | os.PathLike, size: int | None = None) -> list[dict[str, object]]:
    """Every whole line of a metrics.jsonl, oldest first; a torn one is left out.

    With a size only its first bytes are read.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    text = path.read_bytes()[:size].decode('utf-8', errors='replace')
    return [record for _, record in _records(text)]


def history(path: str | os.PathLike) -> list[dict[str, object]]:
    """The evaluations in a metrics.jsonl: one dictionary an epoch.

    These are the lines with an 'epoch'; of two for one step the later one counts. What
    was timed (`perf/`) is left out.
    """
    epochs = {}
    for record in read(path):
        if 'epoch' in record:
            timeless = {k: v for k, v in record.items() if not k.startswith('perf/')}
            epochs[record['step']] = timeless
    return list(epochs.values())


def _is_final(record: dict[str, object]) -> bool:
    """Whether a line holds the scores of the best checkpoint, at the end of a run."""
    return 'epoch' not in record and any(key.startswith('test/') for key in record)


def _records(text: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Each whole line, with its newline, and what it says."""
    for line in text.splitlines(keepends=True):
        try:
            record = json.loads(line) if line.endswith('\n') else None
        except ValueError:
            continue
        if isinstance(record, dict) and 'step' in record:
            yield line, record
