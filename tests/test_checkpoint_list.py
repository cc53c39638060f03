"""`checkpoints` says which checkpoints a run has and what they are worth."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

import main

ROOT = pathlib.Path(__file__).resolve().parents[1]
MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=3']


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A run of three epochs, which keeps the last two checkpoints and the best."""
    directory = tmp_path_factory.mktemp('runs') / 'mlp'
    assert main.main(['main.py', *MLP, f'--workdir={directory}']) == 0
    return directory


@pytest.fixture
def run(finished, tmp_path):
    return pathlib.Path(shutil.copytree(finished, tmp_path / 'run'))


def listed(run, capsys, *flags):
    """The exit code and the rows of `checkpoints --json`."""
    capsys.readouterr()
    code = main.main(['main.py', 'checkpoints', str(run), '--json', *flags])
    return code, json.loads(capsys.readouterr().out)


def data_file(step):
    """The largest file of a checkpoint."""
    files = (path for path in step.rglob('*') if path.is_file())
    return max(files, key=lambda path: path.stat().st_size)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_steps_scores_sizes_and_the_best(run, capsys):
    code, rows = listed(run, capsys, '--verify')
    assert code == 0
    assert [row['step'] for row in rows] == [30, 20]
    results = json.loads((run / 'results.json').read_text())
    assert [row['best'] for row in rows] == [
        results['best/step'] == s for s in (30, 20)
    ]
    assert rows[0]['metric'] == 'val/loss'
    assert rows[0]['score'] > 0 and rows[0]['bytes'] > 1000
    assert {row['health'] for row in rows} == {'verified'}
    assert main.main(['main.py', 'checkpoints', str(run)]) == 0
    head, newest, _ = capsys.readouterr().out.splitlines()
    assert head.split() == ['step', 'score', 'size', 'age', 'health']
    assert newest.split()[0] == '30' and newest.endswith('sealed')


def test_what_is_damaged_is_named_and_nothing_is_moved(run, capsys):
    flip(data_file(run / 'checkpoints' / '30'))
    before = sorted(run.rglob('*'))
    assert listed(run, capsys)[0] == 0  # the manifest is whole
    code, rows = listed(run, capsys, '--verify')
    assert code == 2
    assert rows[0]['health'].startswith('damaged: ')
    assert rows[1]['health'] == 'verified'
    (run / 'checkpoints' / '20' / '_CHECKPOINT_METADATA').unlink()
    (run / 'checkpoints' / '10.corrupt').mkdir()
    (run / 'checkpoints' / '5.deleted').mkdir()
    code, rows = listed(run, capsys)
    assert code == 2
    assert [row['health'] for row in rows[1:]] == [
        'damaged: its manifest is missing',
        'set aside as damaged',
        'half deleted',
    ]
    assert {path for path in before if path.exists()} >= {run / 'checkpoints' / '30'}


def test_a_run_without_checkpoints_says_so(run, capsys):
    shutil.rmtree(run / 'checkpoints')
    assert main.main(['main.py', 'checkpoints', str(run)]) == 0
    assert 'has no checkpoint yet' in capsys.readouterr().err


def test_it_builds_nothing_and_imports_no_jax(run):
    code = (
        'import sys, main\n'
        f'assert main.main(["main.py", "checkpoints", {str(run)!r}]) == 0\n'
        'assert not {"jax", "gin", "orbax"} & set(sys.modules)\n'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, timeout=60)
