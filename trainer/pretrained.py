"""Weights that a run begins with: read, fitted to its net, told and remembered.

Knows where a config names them and what a run directory keeps of them; how tensors are
named and fitted is `models/pretrained/`.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import jax

from models.pretrained.loading import (
    Pretrained,
    family_of,
    fit_weights,
    open_weights,
    recognised,
)
from models.pretrained.preprocessing import HEADER, preprocessing_of
from models.pretrained.usual import located
from models.pretrained.weight_files import WeightFile
from trainer import files, rundir, which_run
from trainer import manifest as manifests
from trainer.errors import UserError
from trainer.expected import as_recorded, as_weights_expect
from trainer.experiment import Experiment
from trainer.network import Network
from trainer.registry import shelf

FILE = 'pretrained.json'
DATA = ('train_data', 'eval_data', 'test_data')
NORMALISATION = ('mean', 'std')


def location_of(experiment: Experiment) -> str | None:
    """`Net.pretrained` of a config; where True is said, an address.

    Raises:
      UserError: True, and no weights are usual for this backbone.
    """
    said = getattr(experiment.model, 'keywords', {})
    try:
        return located(said.get('pretrained'), said.get('backbone'))
    except ValueError as error:
        raise UserError(f'Net.{error}') from error


def expecting(experiment: Experiment, directory=None) -> Experiment:
    """The experiment whose pictures are as its weights expect, where it says nothing.

    Mean and std, and of the host transforms sizes, crop and interpolation.

    Args:
      experiment: as the config has it.
      directory: of the run; what it was fed with is used again, else the weights' file
        is asked.

    Raises:
      UserError: the file cannot be read, or is of another family.
    """
    location = location_of(experiment)
    if location is None:
        return experiment
    if directory is not None and rundir.is_run(directory):
        config = rundir.config(directory)
        known = {key: config.get(f'train_data.{key}') for key in NORMALISATION}
        normalised = _normalised(experiment, known)
        return _fed(normalised, lambda data, path: as_recorded(data, config, path))
    try:
        file = _file(location)
        naming, _ = recognised(file, _family(experiment))
    except ValueError as error:
        raise UserError(f'Net.pretrained: {error}') from error
    expected = preprocessing_of(file.path, file.metadata, naming)
    fed = _fed(experiment, lambda data, _: as_weights_expect(data, expected))
    known = {key: expected[key] for key in NORMALISATION if key in expected}
    if known:
        channels = _channels(fed.train_data)
        known = {key: _for_channels(value, channels) for key, value in known.items()}
    return _normalised(fed, known)


def load(network: Network) -> Pretrained | None:
    """The weights that a network begins with; None where they are drawn.

    Raises:
      UserError: they cannot be read, or do not fit; lists every tensor that does not.
    """
    net = network.module
    location = getattr(net, 'pretrained', None)
    if location is None:
        return None
    try:
        return fit_weights(_file(location), net)
    except ValueError as error:
        raise UserError(f'Net.pretrained: {error}') from error


def told(loaded: Pretrained, transforms: Sequence = ()) -> list[str]:
    """What became of the tensors, in a few lines, and of what pictures they expect.

    Args:
      loaded: the weights.
      transforms: that pictures go through in evaluation.
    """
    bare = [n for n in loaded.left_out if not n.endswith('num_batches_tracked')]
    lines = [
        f'weights of {loaded.path} ({loaded.naming} names, sha256 '
        f'{loaded.sha256[:12]}): {len(loaded.arrays)} arrays taken'
    ]
    if loaded.replaced:
        lines.append(f'  drawn anew: {", ".join(loaded.replaced)}')
    if loaded.adapted:
        lines.append(f'  fitted to another shape: {", ".join(loaded.adapted)}')
    if bare:
        lines.append(f'  left out: {", ".join(bare)}')
    if loaded.preprocessing:
        known = (f'{key} {value}' for key, value in loaded.preprocessing.items())
        lines.append(f'  they expect: {"; ".join(known)}')
        fed = ', '.join(map(str, transforms)) or 'nothing'
        lines.append(f'  pictures to evaluate on go through: {fed}')
    return lines


def remember(directory: pathlib.Path, loaded: Pretrained) -> None:
    """Writes what became of every tensor into the run directory."""
    facts = dataclasses.asdict(dataclasses.replace(loaded, arrays={}))
    facts |= {'arrays': sorted(loaded.arrays), 'path': str(loaded.path)}
    files.write_json(directory / FILE, facts)


def _file(location: str) -> WeightFile:
    if shelf.is_reference(location):
        return _of_version(shelf.find(location))
    if (pathlib.Path(location) / rundir.PUBLISHED).exists():
        return _of_version(shelf.read(pathlib.Path(location)))
    if rundir.is_run(location):
        return _of_run(pathlib.Path(location), 'best')
    if which_run.is_checkpoint(location):
        run, step = which_run.checkpoint_of(location)
        return _of_run(pathlib.Path(run), step)
    return open_weights(location)


def _of_version(published: shelf.Published) -> WeightFile:
    return _of_run(published.verify().path, str(published.step))


def _of_run(directory: pathlib.Path, checkpoint: str) -> WeightFile:
    """The weights of a run's checkpoint, with the normalisation it was fed."""
    from trainer.predict import open_predictor

    predictor = open_predictor(directory, checkpoint)
    arrays = jax.device_get({**predictor.params, **predictor.model_state})
    known = predictor.preprocessing
    path = directory / rundir.CHECKPOINTS / str(predictor.step)
    sha256 = manifests.read(path)['sha256']
    return WeightFile(path, arrays, {HEADER: json.dumps(known)}, sha256)


def _family(experiment: Experiment) -> str | None:
    backbone = experiment.model.keywords.get('backbone')
    made = getattr(backbone, 'func', backbone)
    return family_of(made) if isinstance(made, type) else None


def _channels(images) -> int:
    """Of its pictures at their final sizes; a bad example is for who opens it next."""
    return dataclasses.replace(images, on_error='skip').open().image_shape[-1]


def _for_channels(values: Sequence[float], channels: int) -> float | tuple[float, ...]:
    """One for each channel; their mean where the data has another number of them."""
    return tuple(values) if len(values) == channels else sum(values) / len(values)


def _normalised(experiment: Experiment, known: Mapping) -> Experiment:
    """The experiment with what its data does not say of mean and std."""

    def told(images, _):
        unsaid = {k: v for k, v in known.items() if getattr(images, k) is None}
        return dataclasses.replace(images, **unsaid)

    return _fed(experiment, told)


def _fed(experiment: Experiment, change: Callable) -> Experiment:
    """The experiment with `change(images, path)` in place of all that it reads."""
    changed = {role: getattr(experiment, role) for role in DATA}
    changed = {role: change(images, role) for role, images in changed.items() if images}
    evaluations = {
        name: dataclasses.replace(
            evaluation, data=change(evaluation.data, f'evaluations.{name}.data')
        )
        for name, evaluation in experiment.evaluations.items()
    }
    return dataclasses.replace(experiment, **changed, evaluations=evaluations)
