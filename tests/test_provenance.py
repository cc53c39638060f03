"""Each start of a run is on record, with or without git."""

import datetime
import json
import os
import subprocess
import sys

from trainer import provenance


def entry(argv=('main.py',)):
    """The provenance of a small run."""
    return provenance.provenance(
        argv, seed=3, data={'train': 'ab12'}, devices=['cpu', 'cpu']
    )


def test_provenance_says_how_to_start_again():
    found = entry(('main.py', '--gin_bindings=EPOCHS = 5'))
    assert found['command'] == "main.py '--gin_bindings=EPOCHS = 5'"
    assert found['seed'] == 3
    assert found['data'] == {'train': 'ab12'}
    assert found['devices'] == {'cpu': 2}
    assert found['libraries']['jax'].startswith('0.')
    started = datetime.datetime.fromisoformat(found['started'])
    assert started.utcoffset() == datetime.timedelta(0)
    assert json.loads(json.dumps(found)) == found


def test_each_start_adds_an_entry(tmp_path):
    assert provenance.attempts(tmp_path) == []
    first, second = entry(), entry(('main.py', '--workdir=a'))
    provenance.append(tmp_path, first)
    provenance.append(tmp_path, second)
    assert provenance.attempts(tmp_path) == [first, second]


def git(path, *words):
    """Runs git as a person without any configuration."""
    person = ('-c', 'user.name=a', '-c', 'user.email=a@b.c')
    command = ['git', '-C', str(path), *person, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_git_tells_commit_and_dirtiness(tmp_path):
    assert provenance.git_state(tmp_path) is None
    git(tmp_path, 'init', '-q')
    assert provenance.git_state(tmp_path) is None
    source = tmp_path / 'trainer' / '__init__.py'
    source.parent.mkdir()
    source.write_text('')
    git(tmp_path, 'add', '.')
    assert provenance.git_state(tmp_path) == {'commit': None, 'dirty': True}
    git(tmp_path, 'commit', '-qm', 'first')
    commit = git(tmp_path, 'rev-parse', 'HEAD').strip()
    assert provenance.git_state(tmp_path) == {'commit': commit, 'dirty': False}
    (tmp_path / 'untracked').write_text('')
    assert not provenance.git_state(tmp_path)['dirty']
    source.write_text('changed')
    assert provenance.git_state(tmp_path) == {'commit': commit, 'dirty': True}


def test_provenance_needs_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert entry()['git'] is None


def test_a_slow_git_is_not_waited_for(tmp_path, monkeypatch):
    slow = tmp_path / 'git'
    slow.write_text('#!/bin/sh\nexec sleep 60\n')
    slow.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setattr(provenance, 'GIT_SECONDS', 0.1)
    assert entry()['git'] is None


def test_these_rooms_import_no_heavy_library():
    code = (
        'import sys; from trainer import console, provenance, rundir, writers; '
        'from trainer import trackers; from trainer.trackers import tensorboard; '
        'heavy = {"jax", "tensorflow", "tensorboardX", "torch", "flax"}; '
        'sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)'
    )
    root = provenance.SOURCE
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
