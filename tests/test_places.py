"""Which run a command means by --workdir and --resume, and what flags are called."""

import pathlib

import pytest

import main
from trainer import files, questions, rundir
from trainer.command_flags import FLAGS
from trainer.command_line import parse
from trainer.errors import UserError


@pytest.fixture
def run(tmp_path):
    """A directory with the config of a run."""
    directory = tmp_path / 'runs/mlp_20260101_000000'
    directory.mkdir(parents=True)
    files.write_json(directory / rundir.CONFIG, {rundir.FORMAT_KEY: rundir.FORMAT})
    text = "include 'configs/mlp.gin'\nMLP.hidden_dim = 8\n"
    (directory / rundir.CONFIG_GIN).write_text(text)
    return directory


@pytest.mark.parametrize('flag', ['--resume={0}/runs/mlp_*', '--workdir={1}'])
def test_a_config_may_be_that_of_a_run(flag, run, tmp_path, capsys):
    assert main.main(['main.py', 'check', flag.format(tmp_path, run)]) == 0
    assert 'mlp: no mistakes' in capsys.readouterr().out


def test_a_run_may_lie_at_home(run, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    parse(['main.py', f'--workdir=~/runs/{run.name}'])
    assert pathlib.Path(questions.place_of(FLAGS)) == run
    assert questions.config_of(FLAGS, run)[0] == [str(run / rundir.CONFIG_GIN)]


def test_two_flags_for_one_run_are_refused():
    parse(['main.py', '--workdir=a', '--resume=b'])
    with pytest.raises(UserError, match='both say which run'):
        questions.place_of(FLAGS)


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--epochs=5'], 'no flag --epochs; say --gin.EPOCHS=10.'),
        (['--batch-size', '8'], 'no flag --batch-size; say --gin.BATCH=64.'),
        (['train', '--model=vit'], 'say --gin_file=configs/models/resnet18.gin after'),
        (['--workdr=x'], 'did you mean --workdir?'),
        (['--EPOCHS=3'], 'no flag --EPOCHS; did you mean --gin.EPOCHS=3?'),
        (['--ResNet.depth', '50'], 'did you mean --gin.ResNet.depth=VALUE?'),
    ],
)
def test_flags_of_other_systems_are_told_what_they_are_here(words, said, capsys):
    assert main.main(['main.py', '--gin_file=configs/mlp.gin', *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
