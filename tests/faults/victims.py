"""Runs to be killed, and what must hold of what a killed one leaves behind."""

import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=16', '--gin.MLP.dropout=0.3']
NETS = {
    'mlp': MLP,
    'resnet': ['--gin_file=tests/faults/tiny_resnet.gin'],
    'vit': ['--gin_file=tests/faults/tiny_vit.gin'],
}
BUSY = [  # saves, evaluates and collects all the time, reads in a process of its own
    '--gin.EPOCHS=6',
    '--gin.BATCH=64',
    '--gin.Experiment.save_every=0.3',
    '--gin.Experiment.log_every=3',
    '--gin.train/Images.workers=1',
    '--gin.train/Images.cache=None',
]


SMALL_FILES = (  # the log and metrics fit, weights do not
    'import resource, runpy, sys; sys.argv = sys.argv[1:]; '
    'resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY)); '
    'runpy.run_path(sys.argv[0], run_name="__main__")'
)


def start(workdir, arguments, python=(), **keywords):
    """A run in a session of its own, so that nothing it starts is missed."""
    program = [sys.executable, *python, 'main.py']
    command = [*program, f'--workdir={workdir}', *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **keywords,
    )


def finish(workdir, arguments, code=0, **keywords):
    """What a run says that is left to itself."""
    process = start(workdir, arguments, **keywords)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def kill_after(workdir, arguments, seconds):
    """Whether a run was still there to be killed so long after its start."""
    process = start(workdir, arguments)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert_nothing_left(process.pid)
        return True
    assert process.returncode == 0, output
    return False


def assert_nothing_left(session, seconds=10):
    """All processes of a session end soon after their parent."""
    until = time.monotonic() + seconds
    while alive := members(session):
        assert time.monotonic() < until, f'orphans: {alive}'
        time.sleep(0.05)


def members(session):
    """Processes of a session that are no zombies, by number."""
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / 'stat').read_text().rpartition(')')[2].split()
            except OSError:
                continue
            if int(stat[3]) == session and stat[0] not in 'ZX':
                found.append(int(entry.name))
    return found


def segments():
    """Shared memory that no process has mapped."""
    there = {path.name for path in pathlib.Path('/dev/shm').iterdir()}
    mapped = set()
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdecimal():
            try:
                maps = (entry / 'maps').read_text()
            except OSError:
                continue
            mapped |= {name for name in there if f'/dev/shm/{name}' in maps}
    return there - mapped


def environment(**changes):
    """This process's environment with changes."""
    return os.environ | changes
