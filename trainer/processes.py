"""Several processes as one run: called together, told of each other, ended together.

One process alone pays nothing: every question here has then an answer at once. jax does
the computing between processes; this room says who is missing, differs or has died.
"""

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from trainer import errors
from trainer.cluster import Cluster, cluster_of
from trainer.command_table import COMMANDS
from trainer.line import Caller, Line, PeerEnded
from trainer.screen import screen, tell

HEARTBEAT = 60  # seconds, after half of which jax itself may end all, naming nobody
PATIENCE = 10  # seconds for a process to come to the end that another has come to
SETTLING = 5  # seconds in which it shows whether an error came of a lost process
MENTIONED = 10  # seconds between two lines on who is waited for

_line: Line | None = None
_step: int | None = None


def count() -> int:
    """How many processes the run has."""
    return 1 if _line is None else _line.cluster.count


def index() -> int:
    """Which of them this is."""
    return 0 if _line is None else _line.cluster.index


def is_main() -> bool:
    """True in the one process that writes and speaks."""
    return index() == 0


def gather(value, seconds: float | None = None) -> list:
    """What all processes give in the same call, as JSON, in their order.

    Raises:
      PeerEnded: another process has ended, or does not come within `seconds`.
    """
    return [value] if _line is None else _line.gather(value, seconds)


def told(value):
    """What process 0 gives, in all; waits for all."""
    return value if _line is None else gather(value if is_main() else None)[0]


def meet() -> None:
    """Waits for all processes to come here.

    Before a program runs whose devices have not yet talked with each other: gloo gives
    a process up that comes 30 s later to that, as where it had to compile for longer.
    """
    gather(None)


def together(work: Callable, failure: type[Exception]):
    """Does what may fail in some process: then it fails in all, with its reason."""
    result, error = None, None
    try:
        result = work()
    except failure as raised:
        error = raised
    reasons = gather(None if error is None else str(error))
    if error is not None:
        raise error
    for reason in filter(None, reasons):
        raise failure(reason)
    return result


def at(step: int) -> None:
    """Takes note of the step, for what is said when another process is lost."""
    global _step
    _step = step


def seconds_to_join() -> float | None:
    """How long processes wait for each other at the start."""
    return None if _line is None else _line.cluster.seconds


@contextlib.contextmanager
def joined(command: str, flags) -> Iterator[None]:
    """Inside, jax knows all processes, and each ends when another does.

    Raises:
      UserError: the flags are wrong, or this process cannot listen.
      PeerEnded: a process does not come, or has ended.
    """
    global _line
    joins = COMMANDS[command].is_joint(flags) and not flags.restarts
    cluster = cluster_of(flags) if joins else None
    if cluster is None:
        yield
        return
    screen.process = cluster.index
    line = _line = open_line(cluster)
    try:
        with _parted(line):
            _call_the_roll(line)
            _initialize(cluster)
            yield
    except BaseException as error:
        if line.ending is not None or not line.closing:
            _leave(line, error)
        raise
    finally:
        _line = None


def open_line(cluster: Cluster) -> Line:
    """This process's end of the line."""
    from trainer.hub import Hub

    return (Caller if cluster.index else Hub)(cluster, _ended_elsewhere)


@contextlib.contextmanager
def _parted(line: Line) -> Iterator[None]:
    """Leaves in order where all come to the same end, done or interrupted."""
    interrupted = None
    try:
        yield
    except errors.Interrupted as error:
        interrupted = error
    line.gather('parted')
    line.close()
    if interrupted is not None:
        raise interrupted


def _call_the_roll(line: Line) -> None:
    """Waits until all are there, in the same versions."""
    from trainer.roll_call import check_same, versions

    done = threading.Event()
    threading.Thread(target=_mention, args=[line, done], daemon=True).start()
    try:
        check_same(versions(), 'install the same everywhere', line.cluster.seconds)
    finally:
        done.set()


def _mention(line: Line, done: threading.Event) -> None:
    cluster, began = line.cluster, time.monotonic()
    while not done.wait(MENTIONED):
        missing = getattr(line, 'missing', [0])
        who = f'process{"es" if missing[1:] else ""} {", ".join(map(str, missing))}'
        tell(
            f'waiting for {who} of {cluster.count} at {cluster.host}:{cluster.port}, '
            f'{time.monotonic() - began:.0f} s so far'
        )


def _initialize(cluster: Cluster) -> None:
    import jax

    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    jax.distributed.initialize(
        _address(cluster.host, cluster.port),
        cluster.count,
        cluster.index,
        local_device_ids=cluster.devices,
        cluster_detection_method='deactivate',
        initialization_timeout=max(1, round(cluster.seconds)),
        heartbeat_timeout_seconds=HEARTBEAT,
        coordinator_bind_address=_address(cluster.interface, cluster.port),
    )


def _address(host: str, port: int) -> str:
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def _leave(line: Line, error: BaseException) -> None:
    """Tells the others why this process ends, and sees to it that it does end."""
    ending = errors.ending_of(error) if isinstance(error, Exception) else error
    code = getattr(ending, 'exit_code', errors.INTERNAL_ERROR)
    own = isinstance(ending, errors.Ending) and not isinstance(ending, PeerEnded)
    if not own and _is_lost(line):
        threading.Event().wait()  # until what is to be said of that has been said
    if line.ending is None:
        line.last_words(PeerEnded(str(ending) or type(ending).__name__, code))
    # jax would wait at exit for processes that have died, and so would threads of a
    # save that they had a part in.
    atexit.register(_exit, line, code)
    timer = threading.Timer(2 * PATIENCE, _exit, [line, code])
    timer.daemon = True
    timer.start()


def _is_lost(line: Line) -> bool:
    """Whether a peer turns out to be lost: jax often fails before that is known."""
    deadline = time.monotonic() + SETTLING
    while line.ending is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return line.ending is not None and line.ending.lost


def _ended_elsewhere(ending: PeerEnded) -> None:
    """Ends this process, whatever it is waiting for; in a thread."""
    if not ending.lost:
        time.sleep(PATIENCE)
    line, said = _line, f'{ending}.'
    if line is None:
        return
    if ending.lost:
        where = 'before the first step' if _step is None else f'after step {_step:,}'
        said = (
            f'{ending}, {where}; the same command, for all processes, goes on from '
            f'the last checkpoint.'
        )
    screen.end_line()
    print(f'error: {said}', file=sys.stderr, flush=True)
    logging.getLogger('juniper').error('%s', said)
    _exit(line, ending.exit_code)


def _exit(line: Line, code: int) -> None:
    """Leaves at once: process 0 as the last, since jax ends those that it leaves."""
    line.close()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
