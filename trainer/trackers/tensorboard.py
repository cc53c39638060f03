"""TensorBoard events through tensorboardX: no TensorFlow.

Knows nothing of runs but the step from which one goes on.
"""

import pathlib
import time
from collections.abc import Iterable, Mapping

import gin
import numpy as np

from trainer import rundir
from trainer.trackers.start import Start
from trainer.writers import MetricWriter, Scalars

FLUSH_SECONDS = 20
BUCKETS = 30


@gin.register
class TensorBoardWriter(MetricWriter):
    """Writes one event file for each start of a run; the curves show no step twice."""

    durable = True

    def __init__(self, start: Start):
        """Opens a new event file in the run directory's `tensorboard/`.

        Of a run that goes on, TensorBoard hides what was written for later steps.
        """
        self._file = _open(start.directory / rundir.TENSORBOARD)
        self._begun, self._flushed = start.resumed_from is None, time.monotonic()
        if start.resumed_from is not None:
            self._write(_restart_events(start.resumed_from + 1))

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Writes one event a step; None is left out, NaN is drawn as such."""
        self._write(_scalar_events(int(step), scalars))

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
        """Writes the configuration for TensorBoard's table of runs, once a run."""
        if self._begun:
            self._write(_hparam_events(hparams))

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Writes Markdown."""
        self._write(_text_events(int(step), texts))

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Writes images [N, H, W, C], uint8 or float in [0, 1]; C is 1, 3 or 4."""
        self._write(_image_events(int(step), images))

    def write_histograms(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        num_buckets: Mapping[str, int] | None = None,
    ) -> None:
        """Writes histograms of arrays, by default of 30 buckets."""
        self._write(_histogram_events(int(step), arrays, num_buckets or {}))

    def flush(self) -> None:
        """Brings all events into the file."""
        self._file.flush()

    def close(self) -> None:
        """Flushes and closes the file."""
        self._file.close()

    def _write(self, events: Iterable) -> None:
        for event in events:
            event.wall_time = time.time()
            self._file.write_event(event)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()


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
