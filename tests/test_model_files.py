"""What a model file may say: the model, its learning rate and its weight decay."""

import pytest

from tests.test_configs import MODELS, name
from trainer.lint import names, rooms
from trainer.lint.statements import Binding, Macro, Reference, parse, walk

OF_ALL = ('LEARNING_RATE', 'WEIGHT_DECAY', 'Experiment.name', 'Experiment.model')
# Parameters of models that are the run's to choose, or that the data gives.
OF_A_RUN = ('dtype', 'remat')
OF_THE_DATA = ('channels', 'strides', 'input_shape', 'num_outputs')
OF_THE_DATA += ('num_classes', 'num_keypoints', 'num_targets')
NOT_ITS_OWN = (*OF_A_RUN, *OF_THE_DATA, 'rngs')

GOOD = """\
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4
Experiment.name = 'good'
Experiment.model = @Net
Net.backbone = @ResNet
Net.head = @Classifier
ResNet.depth = 18
"""


def foreign(text):
    """The statements of a model file that are none of its business, as it has them."""
    rooms.import_rooms()
    statements = parse(text, 'model.gin')
    models = {
        item.name
        for one in statements
        if isinstance(one, Binding) and (str(one) == OF_ALL[-1] or one.name == 'Net')
        for item in walk(one.value)
        if _is_a_model(item)
    }
    return [_shown(one) for one in statements if not _belongs(one, models)]


def _is_a_model(item):
    """Whether a value is a plain reference to a class in `models`."""
    if not isinstance(item, Reference) or item.evaluate or item.scopes:
        return False
    return all(full.startswith('models.') for full in names.matching(item.name))


def _belongs(statement, models):
    """Whether it is one of all models' bindings, or a parameter of one of `models`."""
    if not isinstance(statement, Binding):
        return False
    inside = [v for v in walk(statement.value) if isinstance(v, Reference | Macro)]
    if not all(map(_is_a_model, inside)):
        return False
    own = not statement.scope and statement.name in models
    own = own and statement.parameter not in NOT_ITS_OWN
    return str(statement) in OF_ALL or own


def _shown(statement):
    binding = isinstance(statement, Binding)
    return str(statement) if binding else type(statement).__name__


@pytest.mark.parametrize('model', MODELS, ids=name)
def test_a_model_file_says_nothing_of_run_data_precision_or_devices(model):
    assert foreign(model.read_text()) == []


@pytest.mark.parametrize('model', MODELS, ids=name)
def test_a_model_file_says_all_that_every_model_has(model):
    bindings = [str(one) for one in parse(model.read_text(), name(model))]
    assert [key for key in bindings if key in OF_ALL] == list(OF_ALL)


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('EPOCHS = 77', 'EPOCHS'),
        ('DEPTH = 18', 'DEPTH'),
        ("Net.dtype = 'bfloat16'", 'Net.dtype'),
        ('ResNet.remat = True', 'ResNet.remat'),
        ('Net.num_outputs = 10', 'Net.num_outputs'),
        ('Classifier.num_classes = 10', 'Classifier.num_classes'),
        ('Parallel.fsdp = 8', 'Parallel.fsdp'),
        ('Experiment.parallel = @Parallel()', 'Experiment.parallel'),
        ("Images.name = 'digits'", 'Images.name'),
        ("train/Images.split = 'train'", 'train/Images.split'),
        ('train/ResNet.depth = 34', 'train/ResNet.depth'),
        ('Experiment:\n  epochs = 77', 'Experiment.epochs'),
        ('Experiment:\n  seed = 1\n', 'Experiment.seed'),
        ('ResNet:\n  remat = True', 'ResNet.remat'),
        ('adamw.weight_decay = 0.1', 'adamw.weight_decay'),
        ('warmup_cosine.peak = %LEARNING_RATE', 'warmup_cosine.peak'),
        ('MLP.hidden_dim = 64', 'MLP.hidden_dim'),
        ('ResNet.width = %BATCH', 'ResNet.width'),
        ('Net.pretrained = @Images', 'Net.pretrained'),
        ("include 'configs/base.gin'", 'Include'),
        ('import my_run', 'Import'),
    ],
)
def test_what_is_not_a_models_own_is_found(line, said):
    assert foreign(GOOD) == []
    assert foreign(f'{GOOD}{line}\n') == [said]


def test_a_model_that_is_none_brings_no_parameters():
    text = GOOD.replace('@ResNet', '@Images') + 'Images.batch = 8\n'
    assert foreign(text) == ['Net.backbone', 'ResNet.depth', 'Images.batch']
