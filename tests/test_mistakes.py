"""More that people get wrong: one line, exit code 2, nothing written."""

import pathlib

import pytest

from tests import test_main
from tests.picture_folders import picture, write, write_classes
from tests.test_main import MLP, mistake, state

CONFIGS = [  # a binding, and what must be said of it
    ('LEARNING_RATE=-1', 'peak'),
    ('EPOCHS=0', 'epochs'),
    ('EPOCHS=None', 'epochs'),
    ('BATCH=0', 'batch'),
    ('BATCH=1.5', 'batch'),
    ('MLP.dropout=1', 'dropout'),
    ('MLP.num_layers=0', 'num_layers'),
    ('MLP.hidden_dim=None', 'hidden_dim'),
    ('Experiment.seed=-1', 'seed'),
    ('Experiment.seed="first"', 'seed'),
    ('Experiment.name="CHANGE_ME"', 'CHANGE_ME'),
    ('Experiment.name="a/b"', 'a/b'),
    ('Experiment.log_every=0', 'log_every'),
    ('Experiment.eval_every=-1', 'eval_every'),
    ('Experiment.model=@Nte', 'Net'),
    ('Experiment.model=Net', 'Net'),
    ('Experiment.task=@Clasification()', 'Classification'),
    ('Experiment.optimizer=@adam_w', 'adamw'),
    ('Experiment.divergence="rollback"', 'divergence'),
    ('Divergence.policy="roll"', 'rollback'),
    ('Divergence.rollbacks=0', 'rollbacks'),
    ('Checkpoints.keep=0', 'keep'),
    ('Checkpoints.seconds=0', 'seconds'),
    ('Watchdog.step=-5', 'step'),
    ('Best.mode="maximum"', 'max'),
    ('Best.patience=0', 'patience'),
    ('PadCrop.pad=-1', 'pad'),
    ('Images.folder="no/such/folder"', 'no/such/folder'),
    ('Images.cache="memory"', "'host'"),
    ('Images.on_error="ignore"', "'skip'"),
    ('Images.std=0', 'std'),
    ('EPOCS=3', 'EPOCHS'),
]


@pytest.mark.parametrize(('binding', 'said'), CONFIGS, ids=lambda text: text)
def test_a_value_that_cannot_be(binding, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    line = mistake([*MLP, f'--gin.{binding}', '--workdir=new'], capsys)
    assert said in line and len(line) < 400
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', 'lacking.gin'),
        ("include 'configs/bsae.gin'", 'base.gin'),
        ('import no_such_module', 'no_such_module'),
        ('Experiment.epochs = %EPOCHS', 'EPOCHS'),
        (
            "include 'configs/mlp.gin'\ninclude 'configs/mlp.gin'\nEPOCHS = %NO",
            "no macro 'NO'; choose LEARNING_RATE, WEIGHT_DECAY, EPOCHS, BATCH\n",
        ),
        ('Experiment.epochs = true', 'true'),
        ('Experiment.epochs = ', 'epochs'),
        ("include 'configs/mlp.gin'\nEPOCHS = 1\nEPOCHS = 2", 'EPOCHS'),
        ("include 'configs/mlp.gin'\nUNUSED = 1", 'UNUSED'),
        ("include 'lacking.gin'", 'lacking.gin'),
    ],
    ids=lambda text: text.replace('\n', '; ')[-30:],
)
def test_a_file_that_cannot_be(text, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'lacking.gin').write_text(text)
    capsys.readouterr()
    import main

    words = ['--gin_file=lacking.gin', '--workdir=new']
    assert main.main(['main.py', *words]) == 2
    shown = capsys.readouterr().err
    assert said in shown and 'Traceback' not in shown
    assert [path.name for path in tmp_path.iterdir()] == ['lacking.gin']


@pytest.mark.parametrize(
    ('make', 'said'),
    [
        (lambda place: place.mkdir(), 'no'),
        (lambda place: write_classes(place, 3, ['only']), 'only'),
        (lambda place: write(place / 'a.png', picture()), 'folder'),
        (lambda place: broken(place), 'read'),
    ],
    ids=['empty', 'one class', 'no classes', 'all broken'],
)
def test_a_folder_that_cannot_be_learnt(make, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / 'pictures')
    before = state(tmp_path)
    words = ['--gin.Images.folder="pictures"', '--gin.BATCH=2', '--workdir=new']
    assert said in mistake([*MLP, *words], capsys)
    assert state(tmp_path) == before


def test_how_many_mistakes_are_tried():
    ours = [test_a_value_that_cannot_be, test_a_file_that_cannot_be]
    ours += [test_a_folder_that_cannot_be_learnt, test_main.test_what_is_typed_wrong]
    ours += [test_main.test_a_config_that_cannot_run]
    ours += [test_main.test_what_does_not_fit_what_there_is]
    tried = [len(test.pytestmark[0].args[1]) for test in ours]
    print(f'{sum(tried)} mistakes')
    assert sum(tried) >= 60


def broken(place: pathlib.Path):
    """Two classes of pictures that are none."""
    for name in ('ant', 'bee'):
        for number in range(3):
            path = place / name / f'{number}.jpg'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('<html>404</html>')
