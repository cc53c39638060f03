"""Killed at the k-th rename, fsync, unlink or mkdir of a save: what was said holds."""

import random
import shutil
import subprocess
import sys

import pytest

from tests.checkpoint_states import assert_same, make_state, restored
from tests.faults import amounts, victims

CALLS = {  # how often each comes in the saves below, at the most, in one thread
    'rename,renameat,renameat2': 3,
    'fsync,fdatasync': 40,
    'unlink,unlinkat,rmdir': 20,
    'mkdir,mkdirat': 6,
}
SAVE = """
import sys
from tests.checkpoint_states import make_state
from trainer.checkpoints import CheckpointStore
store = CheckpointStore(sys.argv[1], keep=1)
for step in (1, 2, 3):
    store.save(step, make_state(step), {})
    store.wait()
    print(step, flush=True)
"""


def traced(*options):
    """The command of a tracer."""
    return ['strace', '-f', '-qq', '-o', '/dev/null', *options]


@pytest.fixture(scope='module', autouse=True)
def tracer():
    """Skips where processes cannot be traced."""
    if shutil.which('strace') is None:
        pytest.skip('strace is not installed')
    probe = [*traced('-e', 'trace=none'), 'true']
    done = subprocess.run(probe, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f'processes cannot be traced here: {done.stderr[:80]!r}')


@pytest.mark.timeout(0)
@pytest.mark.parametrize('calls', CALLS, ids=lambda calls: calls.partition(',')[0])
def test_what_was_said_to_be_saved_is_there(tmp_path, calls, tally):
    rng = random.Random(random.randrange(2**32))
    for attempt in range(amounts.SYSCALLS):
        directory, when = tmp_path / str(attempt), rng.randint(1, CALLS[calls])
        inject = f'inject={calls}:signal=KILL:when={when}'
        command = traced('-e', f'trace={calls}', '-e', inject)
        done = subprocess.run(
            [*command, sys.executable, '-B', '-c', SAVE, str(directory)],
            cwd=victims.ROOT,
            env=victims.environment(JAX_PLATFORMS='cpu'),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        said = max(map(int, done.stdout.split()), default=0)
        found = restored(directory)
        step = found[1]['step'] if found else 0
        assert step >= said, f'{calls} {when}: said {said}, found {step}'
        if found:
            assert_same(found[0], make_state(step))
        killed = said < 3
        tally(
            f'kill at {calls.partition(",")[0]}', survived=killed, harmless=not killed
        )


def test_every_file_is_on_the_disk_before_it_is_said(tmp_path, tally):
    place, log = tmp_path / 'checkpoints', tmp_path / 'calls.txt'
    command = ['strace', '-f', '-qq', '-y', '-o', log, '-e', 'trace=fsync,write']
    subprocess.run(
        [*command, sys.executable, '-B', '-c', SAVE, place],
        cwd=victims.ROOT,
        env=victims.environment(JAX_PLATFORMS='cpu'),
        capture_output=True,
        timeout=300,
        check=True,
    )
    calls = log.read_text().splitlines()
    said = [' write(1<' in call and '>, "3' in call for call in calls].index(True)
    synced = {
        call.partition('<')[2].partition('>')[0]
        for call in calls[:said]
        if ' fsync(' in call
    }
    there = {str(place), str(place / '3'), *map(str, (place / '3').rglob('*'))}
    assert there <= synced
    tally('fsync before "saved"', survived=1)
