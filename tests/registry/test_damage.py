"""A published version is what was published: whole, unaltered, by one publisher."""

import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

import main
from tests.registry.conftest import trained
from trainer import files, registry, turns
from trainer.errors import UserError
from trainer.registry import publishing, seal

ROOT = pathlib.Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from trainer import registry
from trainer.registry import seal
seal.seal = lambda directory: os.kill(os.getpid(), signal.SIGKILL)
registry.publish(sys.argv[1], 'mlp', '1.0.0', root=sys.argv[2])
"""


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run of one epoch."""
    directory = tmp_path_factory.mktemp('runs') / 'mlp'
    return trained(directory, 'MLP.hidden_dim = 8', 'EPOCHS = 1')


@pytest.fixture(scope='module')
def published(run, tmp_path_factory):
    root = tmp_path_factory.mktemp('registry')
    return registry.publish(run, 'mlp', '1.0.0', root=root)


@pytest.fixture
def copy(published, tmp_path):
    """The version, to be altered, in a registry of its own."""
    place = tmp_path / 'mlp' / '1.0.0'
    shutil.copytree(published.path, place)
    return place


def damage_of(place):
    """What loading the version says is wrong with it."""
    with pytest.raises(UserError, match='is not what was published') as caught:
        registry.load('mlp', '1.0.0', place.parents[1])
    said = str(caught.value)
    assert said.startswith(f'{place} is not what') and 'Restore it from a copy' in said
    return said


def altered(content, position):
    """The bytes with one bit of one byte turned."""
    changed = bytearray(content)
    changed[position] ^= 1 << position % 8
    return bytes(changed)


def test_one_altered_byte_of_any_file_is_found(copy):
    paths = [path for path in copy.rglob('*') if path.is_file()]
    assert len(paths) > 12
    for path in paths:
        content = path.read_bytes()
        changes = [altered(content, p) for p in (0, len(content) // 2, -1) if content]
        for change in [*changes, content + b'\n', content[:-1] if content else b' ']:
            path.write_bytes(change)
            assert f'{path.relative_to(copy)} has been altered' in damage_of(copy)
        path.write_bytes(content)
    assert registry.load('mlp', root=copy.parents[1]).published.name == 'mlp'


def test_no_byte_of_the_list_can_be_altered(copy):
    path = copy / seal.LIST
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(altered(content, position))
        with pytest.raises(seal.Damaged, match='SHA256SUMS has been altered'):
            seal.read_list(copy)


def test_a_file_too_many_or_too_few_is_found(copy):
    (copy / 'checkpoints' / 'more').write_text('')
    assert 'checkpoints/more was added' in damage_of(copy)
    (copy / 'checkpoints' / 'more').unlink()
    (copy / 'config.gin').unlink()
    assert 'config.gin is missing' in damage_of(copy)
    (copy / seal.LIST).unlink()
    assert 'SHA256SUMS is missing' in damage_of(copy)


def test_commands_name_the_damaged_file(copy, capsys, monkeypatch):
    monkeypatch.setenv('JUNIPER_REGISTRY', str(copy.parents[1]))
    path = next(copy.rglob('d/*'))
    path.write_bytes(altered(path.read_bytes(), 5))
    name = str(path.relative_to(copy))
    for words in (
        ['predict', 'a.png', '--model=mlp'],
        ['export', '--model=mlp', '--format=stablehlo'],
        ['models', '--published', '--verify'],
        ['--gin_file=configs/mlp.gin', "--gin.Net.pretrained='mlp@^1'"],
    ):
        assert main.main(['main.py', *words]) == 2
        assert f'{name} has been altered' in capsys.readouterr().err


def test_the_damaged_do_not_hide_the_others(copy, published, capsys):
    shutil.copytree(copy, copy.parent / '1.1.0')
    (copy / seal.LIST).unlink()
    words = ['main.py', 'models', '--published', f'--registry={copy.parents[1]}']
    assert main.main(words) == 2
    shown = capsys.readouterr()
    assert 'mlp ' in shown.out and 'SHA256SUMS is missing' in shown.err


def test_a_damaged_checkpoint_is_not_published(run, tmp_path):
    shutil.copytree(run, tmp_path / 'run')
    for path in tmp_path.glob('run/checkpoints/*/state/ocdbt.process_0/d/*'):
        path.write_bytes(altered(path.read_bytes(), path.stat().st_size // 2))
    with pytest.raises(UserError, match='is damaged'):
        registry.publish(tmp_path / 'run', 'mlp', '1.0.0', root=tmp_path / 'shared')
    assert not list(tmp_path.glob('shared/mlp/*'))


def test_of_two_publishers_without_locks_one_wins(run, tmp_path, monkeypatch):
    """The second begins and ends while the first one is at work."""
    fill, won = publishing._fill, []

    def interrupted(*given):
        fill(*given)
        monkeypatch.setattr(publishing, '_fill', fill)
        won.append(registry.publish(run, 'mlp', '1.0.0', note='second', root=tmp_path))

    def no_locks(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(publishing, '_fill', interrupted)
    monkeypatch.setattr(turns.fcntl, 'flock', no_locks)
    with pytest.raises(UserError, match=r'mlp 1\.0\.0 is published already'):
        registry.publish(run, 'mlp', '1.0.0', note='first', root=tmp_path)
    assert registry.load('mlp', root=tmp_path).published.note == 'second'
    assert [path.name for path in (tmp_path / 'mlp').iterdir()] == ['1.0.0']


def test_of_two_processes_at_once_one_wins(run, tmp_path):
    words = ['publish', str(run), '--as=mlp', '--version=1.0.0']
    command = [sys.executable, str(ROOT / 'main.py'), *words]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    assert sum('is published already' in text for text in said) == 1
    assert [path.name for path in (tmp_path / 'registry/mlp').iterdir()] == ['1.0.0']
    registry.load('mlp', root=tmp_path / 'registry')


def test_a_killed_publisher_leaves_no_version(run, tmp_path):
    command = [sys.executable, '-c', KILLED, str(run), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    (leftover,) = (tmp_path / 'mlp').iterdir()
    assert leftover.name.endswith('.partial')
    assert registry.listed(root=tmp_path) == []
    registry.publish(run, 'mlp', '1.0.0', root=tmp_path)
    assert [path.name for path in (tmp_path / 'mlp').iterdir()] == ['1.0.0']


@pytest.mark.parametrize('where', ['copying', 'describing', 'naming'])
def test_a_full_disk_publishes_nothing(run, tmp_path, monkeypatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device', 'somewhere')

    room, function = {
        'copying': (shutil, 'copyfile'),
        'describing': (files, 'write_bytes'),
        'naming': (os, 'rename'),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(room, function, full)
        said = r'mlp 1.0.0 was not published in .*: no space left on device \(somewhere'
        with pytest.raises(UserError, match=said):
            registry.publish(run, 'mlp', '1.0.0', root=tmp_path)
    assert list((tmp_path / 'mlp').iterdir()) == []
    registry.publish(run, 'mlp', '1.0.0', root=tmp_path)


def test_a_registry_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match=r'was not published in .*: not a directory'):
        registry.publish(run, 'mlp', '1.0.0', root=tmp_path / 'file')


def test_one_of_a_newer_format_is_refused(copy, monkeypatch):
    monkeypatch.setattr('trainer.registry.shelf.FORMAT', 2)
    with pytest.raises(UserError, match='in a format that this one does not read'):
        registry.find('mlp', copy.parents[1])
