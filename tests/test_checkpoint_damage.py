"""What is not what was saved is found, said and left aside; never silently loaded."""

import json
import os
import pathlib
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoint_states import (
    ABSTRACT,
    abstract,
    accept,
    assert_same,
    files_of,
    make_state,
    restored,
    saved,
)
from trainer import orbax_files
from trainer.checkpoints import CheckpointStore
from trainer.errors import UserError


@pytest.fixture(scope='module')
def two_steps(tmp_path_factory):
    """Steps 1 and 2, to be copied before they are broken."""
    directory = tmp_path_factory.mktemp('two')
    saved(directory, 1, 2)
    return directory


@pytest.fixture
def broken(two_steps, tmp_path):
    """A copy of steps 1 and 2, for a test to break."""
    return pathlib.Path(shutil.copytree(two_steps, tmp_path / 'checkpoints'))


def test_leftovers_of_a_killed_run_are_ignored_and_removed(broken):
    for name in ('3.orbax-checkpoint-tmp', '1.deleted', 'notes', '007'):
        (broken / name).mkdir()
    store = CheckpointStore(broken)
    assert store.steps() == [1, 2]
    store.load(2, ABSTRACT)
    assert len(os.listdir(broken)) == 6  # reading moves nothing
    store.restore(ABSTRACT, check=accept)
    assert sorted(os.listdir(broken)) == ['007', '1', '2', 'notes']


def break_file(path: pathlib.Path, how: str) -> None:
    if how == 'deleted':
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if how == 'truncated' else b'')


@pytest.mark.parametrize('how', ['deleted', 'truncated', 'emptied'])
def test_every_broken_file_is_found_or_harmless(two_steps, tmp_path, capfd, how):
    fallbacks = 0
    for i, file in enumerate(files_of(two_steps / '2')):
        copy = pathlib.Path(shutil.copytree(two_steps, tmp_path / str(i)))
        break_file(copy / file.relative_to(two_steps), how)
        state, manifest = restored(copy)
        assert_same(state, make_state(manifest['step']))
        warnings = capfd.readouterr().err.splitlines()
        fell_back = manifest['step'] == 1
        assert len(warnings) == fell_back, warnings
        assert (copy / '2.corrupt').exists() == fell_back
        fallbacks += fell_back
    assert fallbacks >= 4


def test_no_bit_flips_silently(two_steps, tmp_path, capfd):
    copy = pathlib.Path(shutil.copytree(two_steps, tmp_path / 'copy'))
    files, rng = files_of(copy / '2'), np.random.default_rng(0)
    sizes = np.array([file.stat().st_size for file in files])
    caught = 0
    for _ in range(40):
        file = rng.choice(files, p=sizes / sizes.sum())
        content = bytearray(file.read_bytes())
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        original = file.read_bytes()
        file.write_bytes(content)
        try:
            state, manifest = CheckpointStore(copy).load(2, ABSTRACT)
            assert_same(state, make_state(2))
            assert manifest['epoch'] == 2
        except UserError as error:
            assert 'is damaged' in str(error)
            caught += 1
        file.write_bytes(original)
    assert caught >= 10
    assert capfd.readouterr().err == ''


def test_flipped_array_data_is_told_by_its_leaf(tmp_path, capsys):
    state = {'a': jnp.arange(4096.0), 'b': jnp.arange(4096.0) + 5}
    store = CheckpointStore(tmp_path)
    for step in (1, 2):
        store.save(step, state, {})
    store.wait()
    data = max(files_of(tmp_path / '2'), key=lambda file: file.stat().st_size)
    content = data.read_bytes()
    position = content.index(np.asarray(state['b']).tobytes())
    data.write_bytes(content[:position] + b'\1' + content[position + 1 :])
    _, manifest = store.restore(abstract(state), check=accept)
    assert manifest['step'] == 1
    assert capsys.readouterr().err == (
        'warning: the checkpoint of step 2 is damaged (b is not what was saved); it is '
        'now 2.corrupt, and the one before it is used.\n'
    )


def test_a_step_under_another_name_is_damaged(broken):
    (broken / '2').rename(broken / '9')
    assert restored(broken)[1]['step'] == 1


def test_an_edited_manifest_is_damaged(broken):
    path = broken / '2' / '_CHECKPOINT_METADATA'
    metadata = json.loads(path.read_text())
    metadata['custom_metadata']['epoch'] = 3
    path.write_text(json.dumps(metadata))
    with pytest.raises(UserError, match='its manifest has been altered'):
        CheckpointStore(broken).manifest(2)
    assert restored(broken)[1]['step'] == 1


def test_if_all_are_damaged_it_never_starts_anew(broken):
    for step in (1, 2):
        shutil.rmtree(broken / str(step) / 'state')
    for _ in range(2):  # the second time both have been set aside
        with pytest.raises(UserError, match=r'All checkpoints in .* are damaged'):
            restored(broken)


def test_few_damaged_steps_are_kept(tmp_path, capsys):
    saved(tmp_path, *range(1, 6))
    for step in range(2, 6):
        shutil.rmtree(tmp_path / str(step) / 'state')
    assert restored(tmp_path)[1]['step'] == 1
    assert sorted(os.listdir(tmp_path)) == ['1', '4.corrupt', '5.corrupt']
    assert len(capsys.readouterr().err.splitlines()) == 4
    saved(tmp_path, 2)
    assert restored(tmp_path)[1]['step'] == 2


def test_load_never_falls_back_and_moves_nothing(broken):
    shutil.rmtree(broken / '2' / 'state')
    store = CheckpointStore(broken)
    with pytest.raises(UserError, match=r'2 is damaged: .* there is 1'):
        store.load(2, ABSTRACT)
    with pytest.raises(UserError, match='no checkpoint of step 3; it has 1, 2'):
        store.load(3, ABSTRACT)
    assert store.steps() == [1, 2]


@pytest.mark.parametrize(
    'error',
    [MemoryError(), PermissionError(13, 'no'), ValueError('RESOURCE_EXHAUSTED: 9 GB')],
)
def test_a_machine_short_of_something_damages_nothing(broken, monkeypatch, error):
    def fail(*_):
        raise ValueError('cannot load') from error

    monkeypatch.setattr(orbax_files, 'load', fail)
    with pytest.raises(UserError, match='nothing was moved'):
        restored(broken)
    assert CheckpointStore(broken).steps() == [1, 2]
