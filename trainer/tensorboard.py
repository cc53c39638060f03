"""TensorBoard events through tensorboardX: no TensorFlow, and off the hot road.

The caller only puts into a queue; one thread makes the events and writes the file.
Knows nothing of runs but the step from which one goes on.
"""

import os
import pathlib
import queue
import threading
import time
from collections.abc import Iterable, Mapping

import numpy as np

from trainer.writers import MetricWriter, Scalars

FLUSH_SECONDS = 20
QUEUE_EVENTS = 10_000
BUCKETS = 30


class TensorBoardWriter(MetricWriter):
    """Writes one event file for each start of a run; the curves show no step twice."""

    def __init__(self, directory: str | os.PathLike, resumed_from: int | None = None):
        """Opens a new event file.

        Args:
          directory: of the event files; made where it is missing.
          resumed_from: the step a run goes on from: what was written for later steps
            is hidden by TensorBoard. None: nothing was written before.
        """
        self._file = _open(pathlib.Path(directory))
        self._queue: queue.Queue = queue.Queue(QUEUE_EVENTS)
        self._error: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        if resumed_from is not None:
            self._put(_restart_events, resumed_from + 1)

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Queues one event a step; None is left out, NaN is drawn as such."""
        self._put(_scalar_events, int(step), dict(scalars))

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
        """Queues the configuration for TensorBoard's table of runs."""
        self._put(_hparam_events, dict(hparams))

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Queues Markdown."""
        self._put(_text_events, int(step), dict(texts))

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Queues images [N, H, W, C], uint8 or float in [0, 1]; C is 1, 3 or 4."""
        self._put(_image_events, int(step), dict(images))

    def write_histograms(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        num_buckets: Mapping[str, int] | None = None,
    ) -> None:
        """Queues histograms of arrays, by default of 30 buckets."""
        self._put(_histogram_events, int(step), dict(arrays), dict(num_buckets or {}))

    def flush(self) -> None:
        """Waits until all that was queued is in the file.

        Raises:
          Exception: the first that the thread met since the last call.
        """
        if not self._closed:
            self._queue.join()
            self._file.flush()
        self._raise()

    def close(self) -> None:
        """Flushes, ends the thread and closes the file; may be called twice."""
        if not self._closed:
            self._queue.put(None)
            self._thread.join()
            self._closed = True
            self._file.close()
        self._raise()

    def _put(self, make, *arguments) -> None:
        self._raise()
        self._queue.put((time.time(), make, arguments))

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        """Writes what is queued, and flushes now and then, until it takes a None."""
        flushed = time.monotonic()
        while (item := self._queue.get()) is not None:
            try:
                self._write(*item)
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    self._file.flush()
                    flushed = time.monotonic()
            except Exception as error:
                self._error = self._error or error
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _write(self, wall_time: float, make, arguments: tuple) -> None:
        for event in make(*arguments):
            event.wall_time = wall_time
            self._file.write_event(event)


def _open(directory: pathlib.Path):
    """A new event file that sorts behind those of earlier starts, in one second too."""
    from tensorboardX.event_file_writer import EventsWriter

    directory.mkdir(parents=True, exist_ok=True)
    earlier = len(list(directory.glob('events.out.tfevents.*')))
    return EventsWriter(str(directory / 'events'), f'.{earlier:04d}')


def _event(step: int, values: Iterable):
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    return Event(step=step, summary=Summary(value=values))


def _restart_events(step: int):
    """Asks TensorBoard to forget this step and all after it in earlier files."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    yield Event(step=step, session_log=SessionLog(status=SessionLog.START))


def _scalar_events(step: int, scalars: dict):
    from tensorboardX.proto.summary_pb2 import Summary

    numbers = {tag: float(value) for tag, value in scalars.items() if value is not None}
    values = [Summary.Value(tag=tag, simple_value=x) for tag, x in numbers.items()]
    yield _event(step, values)


def _hparam_events(hparams: dict):
    from tensorboardX import summary

    known = {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in hparams.items()
    }
    for made in summary.hparams(known, {}):
        yield _event(0, made.value)


def _text_events(step: int, texts: dict):
    from tensorboardX import summary

    yield _event(
        step, [v for tag, text in texts.items() for v in summary.text(tag, text).value]
    )


def _image_events(step: int, images: dict):
    yield _event(
        step,
        [
            _image_value(f'{tag}/{index}', image)
            for tag, batch in images.items()
            for index, image in enumerate(np.asarray(batch))
        ],
    )


def _image_value(tag: str, image: np.ndarray):
    """One image [H, W, C] as a PNG."""
    import cv2
    from tensorboardX.proto.summary_pb2 import Summary

    if image.dtype != np.uint8:
        image = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    height, width, channels = image.shape
    to_bgr = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[channels]
    pixels = image if to_bgr is None else cv2.cvtColor(image, to_bgr)
    png = cv2.imencode('.png', pixels)[1].tobytes()
    size = {'height': height, 'width': width, 'colorspace': channels}
    drawn = Summary.Image(encoded_image_string=png, **size)
    return Summary.Value(tag=tag, image=drawn)


def _histogram_events(step: int, arrays: dict, num_buckets: dict):
    from tensorboardX import summary

    made = [
        summary.histogram(tag, np.asarray(array), bins=num_buckets.get(tag, BUCKETS))
        for tag, array in arrays.items()
    ]
    yield _event(step, [value for histogram in made for value in histogram.value])
