"""`load` gives plain Python that gin no longer touches, and says where it came from."""

import dataclasses
import functools
import json
import pickle

import gin
import jax
import pytest
from flax import nnx

import models
from trainer.data.images import Images
from trainer.errors import UserError
from trainer.experiment import Experiment, describe, load
from trainer.optimizers import adamw, sgd
from trainer.schedules import warmup_cosine
from trainer.tasks.classification import Classification

RUN = 'configs/resnet18.gin'
EMPTY_NAMES = ('', ' ', 'base', 'Model', 'test', 'default', 'experiment', 'CHANGE_ME_x')
NO_DIRECTORIES = (
    'a/b',
    'a\\b',
    '..',
    '.hidden',
    '-flag',
    'two words',
    'a\nb',
    'x' * 101,
)
MODULE = """
import dataclasses
import gin
from flax import nnx

@gin.register
class {name}(nnx.Module):
    def __init__(self, width: int = 4, *, input_shape, num_outputs: int, rngs):
        self.dense = nnx.Linear(input_shape[-1], width, rngs=rngs)

    def __call__(self, images):
        return self.dense(images)

@gin.register
@dataclasses.dataclass(frozen=True)
class {name}Crop:
    size: int = 1

    def __post_init__(self):
        if self.size > 4:
            raise ValueError(f'size is {{self.size}}, but at most 4 can be cropped')

    def __call__(self, key, batch):
        return batch
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """A user's module in the current directory, with a name and class of its own."""
    name = f'user_{request.node.name}'.split('[')[0]
    text = MODULE.format(name='Of' + name.title().replace('_', ''))
    (tmp_path / f'{name}.py').write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def class_in(module):
    """The name of the net in a user's module."""
    return 'Of' + module.title().replace('_', '')


def in_python(**changes):
    """An experiment that no gin file has made."""
    images = Images(split='train', batch=8)
    made = {
        'name': 'plain',
        'model': functools.partial(models.Net, models.MLP, models.Classifier),
        'task': Classification(),
        'train_data': images,
        'epochs': 1,
    }
    return Experiment(**made | changes)


def test_references_are_partials_of_the_undecorated_and_the_rest_are_objects():
    experiment = load([RUN])
    assert experiment.model.func is models.Net
    assert experiment.model.keywords['backbone'].func is models.ResNet
    assert experiment.model.keywords['backbone'].keywords == {
        'depth': 18,
        'stem': 'small',
    }
    assert experiment.optimizer.func is adamw
    assert experiment.schedule.func is warmup_cosine
    assert isinstance(experiment.task, Classification)
    assert experiment.train_data.split != experiment.eval_data.split


def test_the_schedule_and_optimizer_can_be_called_with_what_the_run_knows():
    experiment = load([RUN])
    schedule = experiment.schedule(total_steps=100, steps_per_epoch=10)
    experiment.optimizer(schedule).init({'w': jax.numpy.zeros((2, 2))})


def test_gin_is_empty_after_a_load_and_after_an_error():
    load([RUN])
    assert (gin.config_str(), gin.operative_config_str()) == ('', '')
    with pytest.raises(UserError):
        load([RUN], ['EPOCHS = 0'])
    assert (gin.config_str(), gin.operative_config_str()) == ('', '')
    assert not gin.config_is_locked()


def test_constants_belong_to_modules_and_stay():
    gin.constant('test_experiment.SEED', 7)
    assert load([RUN], ['Experiment.seed = %SEED']).seed == 7
    assert load([RUN], ['Experiment.seed = %test_experiment.SEED']).seed == 7


def test_two_experiments_in_one_process_do_not_touch():
    first = load([RUN], ['ResNet.depth = 34', 'Images.workers = 2'])
    before = describe(first)
    second = load([RUN, 'configs/models/mlp.gin'], ['BATCH = 64'])
    assert describe(first) == before
    assert first.model.keywords['backbone'].keywords['depth'] == 34
    assert second.train_data.workers == 0
    assert second.model.keywords['backbone'].func is models.MLP


def test_later_files_and_bindings_win(tmp_path):
    later = tmp_path / 'later.gin'
    later.write_text('EPOCHS = 4\nBATCH = 16\n')
    experiment = load([RUN, str(later)], ['EPOCHS = 5', 'EPOCHS = 6'])
    assert (experiment.epochs, experiment.train_data.batch) == (6, 16)


def test_configs_are_found_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.gin').write_text(f"include '{RUN}'\nEPOCHS = 3\n")
    assert load(['mine.gin']).epochs == 3
    assert load([str(tmp_path / 'mine.gin')]).epochs == 3


def test_a_loaded_experiment_can_be_pickled_and_changed():
    experiment = load([RUN])
    assert describe(pickle.loads(pickle.dumps(experiment))) == describe(experiment)
    assert dataclasses.replace(experiment, epochs=1).name == 'resnet18'


@pytest.mark.parametrize(
    ('files', 'bindings'),
    [
        ([RUN], []),
        ([RUN, 'configs/models/mlp.gin'], ['train/Images.augment = []']),
        ([RUN], ['Experiment.optimizer = @sgd', 'sgd.momentum = 0.5', 'EPOCHS = 3']),
        ([RUN], ['Classification.class_weights = (1, 2.5)', "Net.dtype = 'bfloat16'"]),
        ([RUN], ['Experiment.schedule = @schedules.constant', 'constant.peak = 1e-3']),
    ],
)
@pytest.mark.parametrize('text', ['config_gin', 'operative_gin'])
def test_the_texts_replay_the_run(files, bindings, text, tmp_path):
    experiment = load(files, bindings)
    replay = tmp_path / 'replay.gin'
    replay.write_text(getattr(experiment.source, text))
    assert describe(load([str(replay)])) == describe(experiment)


def test_the_operative_text_has_defaults_and_nothing_unused():
    source = load([RUN, 'configs/models/mlp.gin']).source
    assert 'adamw.b1 = 0.9' in source.operative_gin
    assert 'adamw.b1' not in source.config_gin
    assert 'BATCH = 128' in source.config_gin
    assert 'ResNet' not in source.operative_gin + source.config_gin


def test_origins_name_the_line_or_the_command_line():
    origins = load([RUN], ['EPOCHS = 3', 'ResNet.depth = 34']).source.origins
    assert origins['epochs'] == 'command line'
    assert origins['model.backbone.depth'] == 'command line'
    assert origins['model.backbone.stem'].startswith('configs/models/resnet18.gin:')
    assert origins['optimizer.clip_norm'].startswith('configs/base.gin:')
    assert origins['train_data.augment.0'].startswith(f'{RUN}:')
    assert 'optimizer.b1' not in origins


def test_describe_is_flat_ordered_and_json():
    found = describe(load([RUN]))
    assert json.loads(json.dumps(found)) == found
    assert list(found)[:4] == [
        'name',
        'model',
        'model.backbone',
        'model.backbone.depth',
    ]
    assert found['model'] == '@Net'
    assert found['train_data.augment.0'] == '@PadCrop'
    assert found['optimizer.b1'] == 0.9
    assert not [key for key in found if 'rngs' in key or key.startswith('source')]


def test_describe_does_not_mind_who_built_an_experiment():
    found = describe(in_python())
    assert found['model.backbone'] == '@MLP'
    assert found['model.backbone.hidden_dim'] == 256
    assert found['optimizer.weight_decay'] == 1e-4
    same = in_python(optimizer=functools.partial(adamw, b1=0.9))
    assert describe(same) == found
    assert describe(in_python(optimizer=sgd)) != found


@pytest.mark.parametrize('name', [*EMPTY_NAMES, *NO_DIRECTORIES])
def test_a_name_that_says_nothing_or_names_no_directory_is_refused(name):
    with pytest.raises(UserError, match=r'Experiment\.name'):
        in_python(name=name)
    with pytest.raises(UserError, match=r'Experiment\.name'):
        load([RUN], [f'Experiment.name = {name!r}'])


def test_a_user_module_comes_in_by_import_and_its_net_is_a_model(module):
    bindings = [f'import {module}', f'Experiment.model = @{class_in(module)}']
    bindings += [f'{class_in(module)}.width = 3']
    experiment = load([RUN], bindings)
    net = experiment.model(input_shape=(8, 8, 1), num_outputs=10, rngs=nnx.Rngs(0))
    assert net.dense.kernel.shape == (1, 3)
    assert describe(experiment)['model.width'] == 3
    assert f'import {module}' in experiment.source.config_gin


def test_what_an_object_refuses_is_said_of_the_line_that_binds_it(module, tmp_path):
    crop = f'{class_in(module)}Crop'
    text = f"include '{RUN}'\nimport {module}\n"
    text += f'train/Images.augment = [@{crop}()]\n{crop}.size = 9\n'
    (tmp_path / 'run.gin').write_text(text)
    with pytest.raises(UserError) as caught:
        load(['run.gin'])
    assert str(caught.value) == 'run.gin:4: size is 9, but at most 4 can be cropped'
    assert isinstance(caught.value.__cause__, ValueError)
