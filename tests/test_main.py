"""The command line as a whole: a mistake is one line, exit code 2, nothing written."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

import main
from trainer import __version__, command_line

ROOT = pathlib.Path(__file__).resolve().parents[1]
MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=1']


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The directory of a finished run of one epoch."""
    directory = tmp_path_factory.mktemp('runs') / 'mlp'
    assert main.main(['main.py', *MLP, f'--workdir={directory}']) == 0
    return directory


@pytest.fixture
def place(tmp_path, monkeypatch, finished):
    """Where commands are given: a run, the same with another net, a thesis, a file."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / 'run')
    shutil.copytree(finished, tmp_path / 'other')
    config = tmp_path / 'other' / 'config.gin'
    text = config.read_text()
    config.write_text(text.replace('MLP.hidden_dim = 8', 'MLP.hidden_dim = 16'))
    assert config.read_text() != text
    (tmp_path / 'thesis').mkdir()
    (tmp_path / 'thesis' / 'thesis.tex').write_text('years of work')
    (tmp_path / 'file').write_text('')
    return tmp_path


def typed(value):
    """A command as one types it, as the name of its test."""
    return ' '.join(value) if isinstance(value, list) else ''


def state(path):
    """Everything below a directory, and when it was written."""
    return {p: p.stat().st_mtime_ns for p in path.rglob('*') if p.is_file()} | {
        p: None for p in path.rglob('*') if p.is_dir()
    }


def mistake(arguments, capsys):
    """The one line that a mistake gives."""
    capsys.readouterr()
    code = main.main(['main.py', *arguments])
    lines = capsys.readouterr().err.splitlines()
    assert code == 2, lines
    assert len(lines) == 1 and lines[0].startswith('error: '), lines
    return lines[0].removeprefix('error: ')


def test_help_comes_at_once_and_without_jax():
    code = (
        'import sys, time; sys.argv = ["main.py", "--help"]\n'
        'import main\n'
        'assert main.main(sys.argv) == 0\n'
        'assert not {"jax", "gin", "numpy"} & set(sys.modules)\n'
        'assert time.process_time() < 1\n'
    )
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in (*command_line.COMMANDS, '--gin_file', 'configs/resnet18.gin'):
        assert name in done.stdout


def test_alone_it_says_what_there_is(capsys):
    assert main.main(['main.py']) == 0
    alone = capsys.readouterr().out
    assert main.main(['main.py', '-h']) == 0
    assert capsys.readouterr().out == alone
    assert main.main(['main.py', '--version']) == 0
    assert capsys.readouterr().out == f'juniper {__version__}\n'


def test_every_command_has_its_room():
    from trainer import commands, model_commands, questions

    rooms = (commands, model_commands, questions)
    named = [name for room in rooms for name in room.COMMANDS]
    assert sorted(named) == sorted(command_line.COMMANDS)
    for command in command_line.COMMANDS.values():
        assert set(command.flags) <= set(command_line.FLAGS)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['trian'], "no command 'trian'; did you mean train?"),
        (['configs/mlp.gin'], 'did you mean --gin_file=configs/mlp.gin?'),
        (['EPOCHS=5'], 'did you mean --gin.EPOCHS=5?'),
        (['train', 'workdir=runs/a'], 'did you mean --workdir=runs/a?'),
        (['train', 'resnet18'], "train takes no word 'resnet18'"),
        (
            ['--gin_fiel=configs/mlp.gin'],
            '--gin_fiel; did you mean --gin_file?',
        ),
        (['--zzz'], 'no flag --zzz; there are --gin_file,'),
        (['--gin.EPOCHS'], "'--gin.EPOCHS' has no value; say --gin.EPOCHS=VALUE."),
        (['--workdir'], '--workdir has no value; say --workdir=VALUE.'),
        (
            ['--debug=zzz'],
            "takes no value 'zzz': say --debug, or leave",
        ),
        (['--nodebug=1'], '--nodebug=1 does not take an argument'),
        (['predict', 'a.png', '--top=x'], "--top takes a whole number, not 'x'."),
        (['predict', 'a.png', '--top=0'], '--top=0: 0 is not a positive integer'),
        (
            ['predict', 'a.png', '--format=xml'],
            'writes no xml; choose --format=jsonl, csv, coco.',
        ),
        (['evaluate', '--gin.EPOCHS=3'], 'evaluate does not look at --gin_bindings'),
        (['train', '--split=test'], 'train does not look at --split; it takes --gin_f'),
        (['predict', '--workdir=run'], 'predict needs images'),
        (['predict', 'a.png'], 'predict needs a run: give --workdir='),
        (['evaluate'], 'evaluate needs a run: give --workdir='),
        (['runs', 'nowhere'], 'There is no directory nowhere'),
        (['models', 'resnte*'], "No model matches 'resnte*'; nearest: resnet"),
        (['train'], 'No config: give --gin_file=configs/resnet18.gin'),
    ],
    ids=typed,
)
def test_what_is_typed_wrong(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert said in mistake(arguments, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('binding', 'said'),
    [
        ('Images.name="digist"', "unknown data set 'digist'; did you mean digits"),
        ('train/Images.split="training"', "no split 'training'; its splits are"),
        ('BATCH=5000', 'Images.batch is 5000, but digits'),
        ('BATCH="many"', "'many'"),
        (
            'Classifier.num_classes=7',
            'Classifier.num_classes is 7, but the data has',
        ),
        ('MLP.hiden_dim=8', 'hidden_dim'),
        ('Best.metric="val/acc"', "did you mean 'val/acc_top"),
    ],
)
def test_a_config_that_cannot_run(binding, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = [*MLP, f'--gin.{binding}', '--workdir=new']
    assert said in mistake(arguments, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--gin_file=configs/mpl.gin'], 'configs/mlp.gin'),
        ([*MLP, '--workdir=run', '--gin.MLP.num_layers=3'], 'num_layers was 2, is 3'),
        ([*MLP, '--workdir=thesis'], 'thesis is no Juniper run: it holds thesis.tex'),
        ([*MLP, '--workdir=file'], 'file cannot be a run directory'),
        ([*MLP, '--workdir=file/run'], 'run cannot be a run directory'),
        ([*MLP, '--workdir=/proc/run'], '/proc/run cannot be'),
        (['--workdir=thesis'], 'No config, as thesis is no run: give --gin_file'),
        (['--workdir=runn'], 'as there is no directory runn (the nearest are run)'),
        (['--gin_file=thesis'], "'thesis' is a directory; name a file in it, a .gin"),
        (['--gin_file=configs'], "'configs' is a directory; name a file in it, such"),
        (['--resume=nowhere*'], "'nowhere*' matches no run directory"),
        (['evaluate', '--workdir=thesis'], "'thesis' matches no run directory"),
        (
            ['evaluate', '--workdir=run', '--split=validation'],
            'choose train, eval',
        ),
        (['evaluate', '--workdir=run', '--checkpoint=soon'], 'choose best, last or 10'),
        (['evaluate', '--workdir=run', '--checkpoint=11'], 'choose best, last or 10'),
        (['evaluate', '--workdir=other'], 'checkpoint of step 10 does not fit'),
        (['predict', 'file', '--workdir=other'], 'checkpoint of step 10 does not fit'),
        (['predict', 'file', '--workdir=run', '--checkpoint=11'], 'choose best, last'),
        (['predict', 'file', '--workdir=run', '--out=thesis'], 'is a directory'),
        (['predict', 'file', '--workdir=run', '--out=no/a'], 'no is no directory'),
    ],
    ids=typed,
)
def test_what_does_not_fit_what_there_is(arguments, said, capsys, place):
    before = state(place)
    assert said in mistake(arguments, capsys)
    assert state(place) == before


def test_a_batch_that_does_not_divide_over_the_devices(juniper, tmp_path):
    eight = '--xla_force_host_platform_device_count=8'
    done = juniper(*MLP, '--gin.BATCH=100', '--workdir=new', XLA_FLAGS=eight)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert 'Images.batch is 100' in line and 'nearest valid batch is 96 or 104' in line
    assert not list(tmp_path.iterdir())


def test_check_says_all_at_once_and_writes_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    wrong = ['check', *MLP, '--gin.MLP.hiden_dim=8', '--gin.BATCH="many"']
    assert main.main(['main.py', *wrong]) == 2
    *findings, count = capsys.readouterr().out.splitlines()
    assert len(findings) >= 2 and count.endswith('mistakes')
    assert main.main(['main.py', *wrong, '--json']) == 2
    found = json.loads(capsys.readouterr().out)
    assert found == {'good': False, 'findings': [*findings, count]}
    assert main.main(['main.py', 'check', *MLP, '--rehearse', '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert found['good'] and found['figures']['checkpoint/bytes'] > 0
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main.main(['main.py', 'evaluate', '--workdir=nowhere', '--debug']) == 2
    shown = capsys.readouterr().err
    assert shown.startswith('error: ') and 'Traceback' in shown


def test_our_own_mistakes_have_a_code_of_their_own(capsys, monkeypatch):
    def broken(*arguments, **keywords):
        raise ZeroDivisionError('by\nnothing')

    monkeypatch.setattr(command_line, 'check', broken)
    assert main.main(['main.py', 'train']) == 70
    message = 'error: internal: ZeroDivisionError: by nothing\n'
    assert capsys.readouterr().err == message


def test_ctrl_c_is_no_mistake(capsys, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, 'check', interrupted)
    assert main.main(['main.py', 'train']) == 75
    assert capsys.readouterr().err == '\ninterrupted\n'
