"""Starts a run again when it was killed or hung; gives up when that does not help.

The run is a process of its own, with the same command. Knows exit codes and names of
checkpoints, nothing of training; imports nothing heavy.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from trainer import errors, rundir
from trainer.screen import warn
from trainer.signals import heeded
from trainer.step_directories import StepDirectories

STUCK = 3  # restarts without a newer checkpoint
FINAL = (errors.DONE, errors.USER_ERROR, errors.TRAINING_FAILED, errors.INTERRUPTED)
FINAL += (128 + signal.SIGINT,)
LIFELINE = 'JUNIPER_SUPERVISOR'  # the descriptor at which a run hears that it is alone


def supervise(argv: Sequence[str], restarts: int, directory: pathlib.Path) -> int:
    """Runs a command to its end, started again where it was killed or hung.

    Args:
      argv: the command's words, `--restarts` among them.
      restarts: how many there may be.
      directory: the run's, whose checkpoints show that it gets on.

    Returns:
      The exit code of the last start; of one killed by a signal, 128 and its number.
    """
    command, best, stuck = [sys.executable, *without_restarts(argv)], -1, 0
    for count in range(restarts + 1):
        best = max(best, newest(directory))
        code = start(command)
        if code in FINAL:
            return code
        stuck = 0 if newest(directory) > best else stuck + 1
        ending = f'the run ended with code {code}'
        if stuck >= STUCK:
            warn(f'{ending}, {stuck} times without a newer checkpoint: it stays ended.')
            return code
        if count < restarts:
            warn(f'{ending}; restart {count + 1} of {restarts}.')
    warn(f'{ending}; all {restarts} restarts are used up.')
    return code


def start(command: Sequence[str]) -> int:
    """Runs a command, passes on signals that stop, and gives its exit code.

    We hold one end of a pipe, which the kernel closes when we end, were it by SIGKILL.
    """
    heard, held = os.pipe()
    environment = {**os.environ, LIFELINE: str(heard)}
    try:
        # A process group of its own: Ctrl-C would reach it twice, which leaves at once.
        process = subprocess.Popen(
            command, process_group=0, pass_fds=[heard], env=environment
        )
        with passed_on(process):
            code = process.wait()
    finally:
        os.close(heard)
        os.close(held)
    return code if code >= 0 else 128 - code


def stop_without_supervisor() -> None:
    """Has this process stop, as SIGTERM does, when what supervises it has gone.

    Nobody would pass signals on to it any more, and it would keep device and directory.
    """
    heard = os.environ.pop(LIFELINE, None)
    if heard is None:
        return

    def wait():
        try:
            os.read(int(heard), 1)
        except OSError:  # a program between us has closed it
            return
        warn('what was to start this run again (--restarts) has gone.')
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name='supervisor', daemon=True).start()


@contextlib.contextmanager
def passed_on(process: subprocess.Popen) -> Iterator[None]:
    """Inside the block, a stopping signal goes to the process."""

    def pass_on(number, _frame):
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def newest(directory: pathlib.Path) -> int:
    """The sum of the newest steps of the run, or of the runs of its seeds; else -1."""
    places = [directory, *directory.glob('seed_*')]
    steps = [StepDirectories(place / rundir.CHECKPOINTS).steps() for place in places]
    found = [of_one[-1] for of_one in steps if of_one]
    return sum(found) if found else -1


def without_restarts(argv: Sequence[str]) -> list[str]:
    """A command's words without the flag that asks for a supervisor."""
    words, kept = iter(argv), []
    for word in words:
        if word.lstrip('-') == 'restarts' and word.startswith('-'):
            next(words, None)
        elif not word.lstrip('-').startswith('restarts=') or not word.startswith('-'):
            kept.append(word)
    return kept
