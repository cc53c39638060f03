"""A rehearsal finds what is wrong with a run before it begins, and nothing else."""

import dataclasses
import pathlib
import types

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from trainer import feeding, judgements
from trainer.data.dataset import Dataset
from trainer.data.images import Images
from trainer.data.source import Examples
from trainer.experiment import load
from trainer.rehearsal import Rehearsal
from trainer.tasks.classification import Classification


def experiment(*bindings, **changes):
    small = ['MLP.hidden_dim = 16', *bindings]
    return dataclasses.replace(load(['configs/mlp.gin'], small), **changes)


def rehearse(given, directory):
    return Rehearsal(given, directory / 'run').go()


def wrong(rehearsal):
    return [f for f in rehearsal.findings if f.status != 'ok']


def test_data_on_a_gpu_or_tpu_is_rehearsed_step_by_step(tmp_path, monkeypatch):
    """Where a run would take ten steps in one dispatch."""
    monkeypatch.setattr(feeding, 'SCANNING', ('cpu',))
    assert wrong(rehearse(experiment("Images.cache = 'device'"), tmp_path)) == []


def test_a_good_config_has_no_findings_and_leaves_nothing(tmp_path):
    rehearsal = rehearse(experiment(), tmp_path)
    assert wrong(rehearsal) == [] and rehearsal.good
    assert list(tmp_path.iterdir()) == []
    figures = rehearsal.as_json()['figures']
    assert figures['parameters'] == 1482
    assert figures['checkpoint/bytes'] > 12 * 1482  # weights and two moments
    assert figures['run/seconds'] > 0 and figures['memory/bytes'] > 0
    assert 'foretold: ' in rehearsal.text()


def test_several_seeds_are_foretold_together(tmp_path):
    rehearsal = Rehearsal(experiment(seeds=(0, 1, 2)), tmp_path)
    rehearsal.job = types.SimpleNamespace(total_steps=100)
    rehearsal.figures = {'step/seconds': 0.5, 'checkpoint/bytes': 10}
    assert list(rehearsal.foretell()) == []
    assert rehearsal.figures['run/seconds'] == 150
    assert rehearsal.figures['run/bytes'] == 3 * rehearsal.kept_checkpoints() * 10


def test_a_parameter_that_only_waits_is_no_finding(tmp_path):
    assert wrong(rehearse(experiment(model=Asleep), tmp_path)) == []


class Floats(Examples):
    """Noise of two classes; the last but one example holds a number that is none."""

    name, fingerprint, class_names, image_shape = 'Floats', 'f', ('a', 'b'), (8, 8, 1)

    def __len__(self):
        return 80

    def __getitem__(self, index):
        image = np.random.default_rng(index).random((8, 8, 1), np.float32)
        image[0] = np.nan if index == 78 else 0
        return {'image': image, 'label': index % 2}


def test_a_number_that_is_none_is_found_wherever_it_is():
    dataset = Dataset(Images(split='train', batch=8), Floats())
    (line,) = judgements.judge_images('train', dataset, judgements.some(dataset, 2))
    assert 'train example 78 has values that are not finite' in line[1]
    digits = Images(split='train', batch=8).open()
    assert len(judgements.some(digits, 2)) == 2


def test_a_place_that_is_taken_is_found(tmp_path):
    (tmp_path / 'thesis').mkdir()
    (tmp_path / 'thesis/thesis.tex').touch()
    found = wrong(Rehearsal(experiment(), tmp_path / 'thesis').go())
    assert ['holds thesis.tex' in finding.message for finding in found] == [True]


class Deaf(nnx.Module):
    """Its outputs do not depend on its images."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.bias = nnx.Param(jnp.zeros(10))

    def __call__(self, images):
        return jnp.zeros((len(images), 1)) @ jnp.zeros((1, 10)) + 0 * self.bias[...]


class Half(Deaf):
    """One of its parameters is never used."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.used = nnx.Linear(64, 10, rngs=rngs)
        self.unused = nnx.Param(jnp.ones(3))

    def __call__(self, images):
        return self.used(images.reshape(len(images), -1))


class Asleep(Half):
    """One of its parameters has a gradient of 0 until others have moved."""

    def __call__(self, images):
        return super().__call__(images) + jnp.maximum(0.5, self.unused[...].sum() - 3)


class Narrow(Deaf):
    """Gives three outputs, whatever the data needs."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.used = nnx.Linear(64, 3, rngs=rngs)

    __call__ = Half.__call__


FAULTS = {
    'learning rate 0 is not bound': (['LEARNING_RATE = 1e-45'], {}, 'learning rate'),
    'explodes': (
        ['LEARNING_RATE = 1e30', 'adamw.clip_norm = None', 'warmup_cosine.warmup = 0'],
        {},
        'not finite after 4 steps',
    ),
    'everything frozen': (["Experiment.freeze = ('.*',)"], {}, 'freezes all'),
    'frozen by a pattern that matches nothing': (
        ["Experiment.freeze = ('bakbone/.*',)"],
        {},
        'matches no parameter',
    ),
    'wrong head': ([], {'model': Narrow}, 'the task needs 10 outputs'),
    'deaf model': ([], {'model': Deaf}, 'every gradient is 0'),
    'unused parameter': ([], {'model': Half}, 'unused'),
    'batch larger than the data': (['BATCH = 4096'], {}, 'has only'),
    'unknown data': (["Images.name = 'digit'"], {}, 'digits'),
    'unknown split': (["train/Images.split = 'training'"], {}, 'train'),
    'weights of other classes': (
        [],
        {'task': Classification(class_weights=(1.0, 2.0))},
        'give one for each class',
    ),
    'flat images': (['Images.std = 0.0'], {}, 'every value must be above 0'),
    'far from normal': (['Images.std = 1e-4', 'Images.mean = 9.0'], {}, 'Images.mean'),
    'evaluated on what it learns': (
        ["eval/Images.split = 'train[:90%]'"],
        {},
        'training data itself',
    ),
    'unknown metric': (["Best.metric = 'val/acuracy'"], {}, 'did you mean'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_is_found_with_a_remedy(fault, tmp_path):
    bindings, changes, words = FAULTS[fault]
    found = wrong(rehearse(experiment(*bindings, **changes), tmp_path))
    messages = [finding.message for finding in found]
    assert any(words in message for message in messages), messages
    assert all('\n' not in message for message in messages)


TASK = Classification()


def data(counts=(5, 5), images=None):
    images = np.zeros((4, 2, 2, 1)) if images is None else images
    batch = {
        'image': images,
        'mask': np.ones(len(images), bool),
        'index': np.arange(len(images)),
    }
    dataset = types.SimpleNamespace(
        class_names=('cat', 'dog'),
        label_counts=lambda: np.array(counts),
        images=types.SimpleNamespace(std=0.5, sampler=None),
        source=types.SimpleNamespace(labels_known=('label',)),
    )
    return dataset, [batch]


@pytest.mark.parametrize(
    ('verdicts', 'words'),
    [
        (judgements.judge_classes('train', data((5, 0))[0], TASK), 'no example of dog'),
        (judgements.judge_classes('train', data((50, 5))[0], TASK), "'balanced'"),
        (
            judgements.judge_images(
                'train', *data(images=np.array([0, 0, np.nan, 0]).reshape(4, 1, 1, 1))
            ),
            'train example 2 has values that are not finite',
        ),
        (judgements.judge_images('train', *data()), 'images looked at are the same'),
        (judgements.judge_rate(np.zeros(5)), 'is 0 at every step'),
        (judgements.judge_memory(2e9, 10**9, 'do that'), 'has 0.9: do that'),
        (judgements.judge_disk(4, 2e9, 10**9), 'Checkpoints.keep'),
    ],
)
def test_judgements_name_the_remedy(verdicts, words):
    ((_, message),) = verdicts
    assert words in message


def test_a_directory_that_cannot_be_written_is_found(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, 'Read-only file system')

    given = experiment()
    monkeypatch.setattr(pathlib.Path, 'open', refuse)
    (finding,) = wrong(rehearse(given, tmp_path))
    assert finding.part == 'directory' and 'cannot be written' in finding.message
