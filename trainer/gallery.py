"""The best, the worst and a few random examples of an evaluation, as a run leaves them.

Each is drawn twice: what it should be, and what the net says. Knows what an
evaluation step gives, and pictures by the fields of docs/design.md.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import cv2
import jax
import numpy as np
from PIL import Image

from trainer import feeding
from trainer.answer_pictures import caption
from trainer.drawing import captioned, draw, sheet
from trainer.evaluate import prefix_of
from trainer.job import Job
from trainer.network import Arrays
from trainer.readable import short

FOLDER = 'pictures'
LOOKED_AT = 512  # examples, from the first on, of which the best and worst are shown
LARGEST = 320  # pixels of a picture's longer side in a sheet


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """One example: its place in the data, its loss, its fields and what is found."""

    index: int
    loss: float
    fields: Mapping[str, np.ndarray]
    found: Mapping[str, np.ndarray]


def write_gallery(
    job: Job, params: Arrays, model_state: Arrays, directory: pathlib.Path, stop=False
) -> list[pathlib.Path]:
    """Writes `pictures/<val or test>_{best,worst,random}.png` of a run.

    Args:
      job: has `Experiment.pictures`, how many examples each sheet shows.
      params, model_state: the weights that are shown.
      directory: the run's.
      stop: true once a signal has asked to stop: then nothing is written.

    Returns:
      The files; none where examples are no images, or there is nothing evaluated.
    """
    count, role = job.experiment.pictures, next(_shown(job), None)
    if not count or role is None:
        return []
    sheets = choose(look(job, role, params, model_state, stop), count)
    if stop:
        return []
    folder, data = directory / FOLDER, job.datasets[role]
    folder.mkdir(exist_ok=True)
    written = []
    for name, chosen in sheets.items():
        path = folder / f'{prefix_of(role)}_{name}.png'
        rows = [exhibit_pictures(exhibit, data) for exhibit in chosen]
        Image.fromarray(sheet(rows)).quantize(256).save(path, optimize=True)
        written.append(path)
    return written


def as_images(paths: Sequence[pathlib.Path]) -> dict[str, np.ndarray]:
    """The sheets by name, [1, H, W, 3] each, as writers take them."""
    return {
        f'{FOLDER}/{path.stem}': np.asarray(Image.open(path).convert('RGB'))[None]
        for path in paths
    }


def _shown(job: Job) -> Iterator[str]:
    """The roles that have pictures; several processes each see but a part of them."""
    for role in ('eval', 'test'):
        if role in job.datasets and jax.process_count() == 1:
            shape = job.datasets[role].image_shape
            if len(shape) == 3 and shape[-1] in (1, 3):
                yield role


def look(job: Job, role: str, params, model_state, stop=False) -> Iterator[Exhibit]:
    """The first examples of a data set, with their losses and what is found in them."""
    data, seen = job.datasets[role], 0
    step, metrics = job.eval_step(role), job.fresh_metrics(train=False)
    for batch, placed in feeding.seen_batches(data, job.mesh):
        if stop or seen >= LOOKED_AT:
            return
        _, shown = step(params, model_state, metrics, placed)
        losses, found = jax.device_get(shown)
        seen += len(losses)
        for row in np.flatnonzero(batch['mask']):
            yield Exhibit(
                int(batch['index'][row]),
                float(losses[row]),
                {name: value[row] for name, value in batch.items()},
                {name: value[row] for name, value in found.items()},
            )


def choose(exhibits: Iterator[Exhibit], count: int) -> dict[str, list[Exhibit]]:
    """The best, the worst and `count` random ones; keeps no more than those.

    Random ones are the same in every run on as many examples; a loss that is not
    finite is the worst.
    """
    best, worst, chance = [], [], []
    rng = np.random.default_rng(0)
    for number, exhibit in enumerate(exhibits):
        best = sorted([*best, exhibit], key=_badness)[:count]
        worst = sorted([*worst, exhibit], key=_badness, reverse=True)[:count]
        if number < count:
            chance.append(exhibit)
        elif (place := rng.integers(number + 1)) < count:  # Vitter's algorithm R
            chance[place] = exhibit
    return {'best': best, 'worst': worst, 'random': chance}


def _badness(exhibit: Exhibit) -> float:
    return exhibit.loss if math.isfinite(exhibit.loss) else math.inf


def exhibit_pictures(exhibit: Exhibit, data) -> list[np.ndarray]:
    """What an example should be, and what is said of it: two pictures."""
    image = np.asarray(exhibit.fields['image'])
    if image.dtype != np.uint8:
        image = (255 * np.clip(image, 0, 1)).astype(np.uint8)
    names = data.class_names
    name = os.path.basename(data.source.identify(exhibit.index))
    truth = [name, *truth_words(exhibit.fields, data)]
    said = [f'loss {exhibit.loss:.4g}', *caption(exhibit.found, data)]
    lines = max(len(truth), len(said))
    return [
        captioned(_small(draw(image, fields, names)), [*words, *[''] * lines][:lines])
        for fields, words in ((exhibit.fields, truth), (exhibit.found, said))
    ]


def truth_words(fields: Mapping[str, np.ndarray], data) -> list[str]:
    """The labels that cannot be drawn, in a line."""
    if 'label' in fields:
        return [data.class_names[int(fields['label'])]]
    if 'labels' in fields:
        there = zip(data.class_names, fields['labels'], strict=True)
        return [', '.join(name for name, on in there if on) or 'none']
    if 'target' in fields:
        values = zip(data.target_names, short(fields['target']), strict=True)
        return [f'{name} {value:.4g}' for name, value in values]
    return []


def _small(picture: np.ndarray) -> np.ndarray:
    """A picture of at most LARGEST pixels a side."""
    scale = LARGEST / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
