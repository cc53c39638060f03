"""Disk full or read-only, two runs, stale locks, and what changed since the start."""

import json
import os
import pathlib
import shutil
import signal
import time

import pytest

import main
from tests.faults import victims
from tests.in_turn import alone
from tests.run_ends import assert_same_end, timeless

SMALL = [*victims.MLP, '--gin.EPOCHS=3']
WIDE = [*victims.MLP, '--gin.MLP.hidden_dim=256', '--gin.EPOCHS=4']


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nothing befell."""
    run = tmp_path_factory.mktemp('whole') / 'run'
    alone(run, *SMALL)
    return run


@pytest.fixture
def unfinished(whole, tmp_path):
    """A run that was killed after its second epoch."""
    run = tmp_path / 'run'
    shutil.copytree(whole, run)
    shutil.rmtree(run / 'checkpoints' / '30')
    (run / 'results.json').unlink()
    return run


@pytest.fixture
def refused(capfd):
    """Starts a run that may not be, and asserts what its last line says."""

    def start(run, arguments, *said):
        capfd.readouterr()
        assert main.main(['main.py', f'--workdir={run}', *arguments]) == 2
        assert_last_line_says(''.join(capfd.readouterr()), *said)

    return start


def assert_last_line_says(output, *said):
    last = output.splitlines()[-1]
    assert last.startswith('error: ') and all(words in last for words in said), output
    assert len(last) < 400 and 'Traceback' not in output


def test_a_disk_that_stays_full(tmp_path, tally):
    run, limited = tmp_path / 'run', ['-c', victims.SMALL_FILES]
    output = victims.finish(run, WIDE, 3, python=limited)
    assert_last_line_says(output, 'saves in a row', 'file too large. Make room')
    alone(run, *WIDE)
    alone(tmp_path / 'whole', *WIDE)
    assert_same_end(tmp_path / 'whole', run)
    assert not list((run / 'checkpoints').glob('*tmp*'))
    tally('disk full', survived=1)


def test_a_directory_that_is_read_only(tmp_path, refused, tally):
    place = tmp_path / 'file'
    place.write_text('no directory')
    refused(place / 'run', SMALL, 'cannot be a run directory')
    refused('/proc/run', SMALL, 'cannot be a run directory')
    tally('read-only', survived=2)


def test_two_runs_in_one_directory(tmp_path, refused, capfd, tally):
    run = tmp_path / 'run'
    first = victims.start(run, [*SMALL, '--gin.EPOCHS=400'])
    while not (run / 'log.txt').exists():
        time.sleep(0.05)
        assert first.poll() is None
    refused(run, [*SMALL, '--gin.EPOCHS=400'], f'in use by process {first.pid} on')
    first.send_signal(signal.SIGKILL)
    first.communicate()
    tally('two runs in a directory', survived=1)
    lock = (run / '.lock').read_text()
    assert json.loads(lock)['pid'] == first.pid  # stale: nobody let it go
    capfd.readouterr()
    alone(run, *SMALL)
    assert 'is in use' not in ''.join(capfd.readouterr())
    tally('stale lock', survived=1)


@pytest.mark.parametrize(
    ('changed', 'said'),
    [
        ('train/Images.split="train[:80%]"', "was 'train[:90%]', is 'train[:80%]'"),
        ('MLP.hidden_dim=17', 'hidden_dim was 16, is 17'),
        ('BATCH=64', 'batch was 128, is 64'),
        ('Experiment.seed=1', 'seed was 0, is 1'),
        ('LEARNING_RATE=0.5', 'peak was 0.001, is 0.5'),
    ],
    ids=lambda value: value.partition('=')[0],
)
def test_another_experiment(unfinished, changed, said, refused, tally):
    refused(unfinished, [*SMALL, f'--gin.{changed}'], said)
    tally('changed config or data', survived=1)


def test_other_files_than_before(unfinished, refused, tally):
    path = unfinished / 'checkpoints' / '20' / '_CHECKPOINT_METADATA'
    from trainer import manifest

    metadata = json.loads(path.read_text())
    facts = metadata['custom_metadata']
    body = {k: v for k, v in facts.items() if k not in manifest.OUR_KEYS}
    body['data'] = {**facts['data'], 'train': 'other files'}
    metadata['custom_metadata'] = manifest.make(body, 20, facts['leaves'])
    path.write_text(json.dumps(metadata))
    refused(unfinished, SMALL, 'The train data changed since this run began')
    tally('changed config or data', survived=1)


@pytest.mark.parametrize('devices', [2, 8])
def test_another_number_of_devices(unfinished, whole, devices, tally):
    flags = f'--xla_force_host_platform_device_count={devices}'
    victims.finish(unfinished, SMALL, env=victims.environment(XLA_FLAGS=flags))
    one, other = (
        [json.loads(line) for line in timeless(run)] for run in (whole, unfinished)
    )
    assert len(one) == len(other)
    for row, changed in zip(one, other, strict=True):
        assert row['step'] == changed['step']
        for key in (key for key in row if key.endswith('loss')):
            assert row[key] == pytest.approx(changed[key], abs=1e-5)
    tally('other number of devices', survived=1)


def test_a_compile_cache_that_is_broken(tmp_path, whole, tally):
    env = victims.environment(JUNIPER_CACHE=str(tmp_path / 'cache'))
    victims.finish(tmp_path / 'first', SMALL, env=env)
    files = [path for path in (tmp_path / 'cache').rglob('*-cache') if path.is_file()]
    assert files
    for number, path in enumerate(files):
        content = path.read_bytes()
        path.write_bytes((content[: len(content) // 2], b'', b'x' * 99)[number % 3])
    output = victims.finish(tmp_path / 'run', SMALL, env=env)
    assert 'Traceback' not in output and 'Warning' not in output, output
    assert output.count('warning: ') == 1, output
    assert_same_end(whole, tmp_path / 'run')
    tally('broken compile cache', survived=len(files))


def test_a_data_worker_that_is_killed(tmp_path, tally):
    run, arguments = tmp_path / 'run', [*victims.MLP, *victims.BUSY]
    endless = victims.start(run, [*arguments, '--gin.EPOCHS=4000'])
    workers = []
    while not (run / 'metrics.jsonl').exists() or not workers:
        time.sleep(0.05)
        assert endless.poll() is None, endless.communicate()
        workers = [pid for pid in victims.members(endless.pid) if is_worker(pid)]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    output, _ = endless.communicate(timeout=120)
    assert endless.returncode == 3 and 'Traceback' not in output, output
    assert output.splitlines()[-1].startswith('error: '), output
    tally('data worker killed', survived=1)


def is_worker(pid):
    """Whether a process reads data for another."""
    command = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
    return b'multiprocessing.spawn' in command or b'multiprocessing.fork' in command
