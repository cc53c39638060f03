"""How sides are compared: in turns, by median and spread, on a processor with a name.

Knows commands and numbers; nothing of what is measured.
"""

import dataclasses
import fnmatch
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def chosen(rows: Iterable[str], globs: Sequence[str]) -> list[str]:
    """The rows of a table that are asked for, such as by 'vit*'."""
    return [n for n in rows if any(fnmatch.fnmatch(n, glob) for glob in globs)]


def alternate(sides: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list]:
    """What each side gave in each round, the sides taking turns, each first in turn.

    A machine busy with other work slows neighbouring turns alike: what counts is a
    ratio of medians, and that the minima agree with it.
    """
    given, order = {name: [] for name in sides}, list(sides)
    for _ in range(rounds):
        for name in order:
            given[name].append(sides[name]())
        order.reverse()  # what one leaves behind it, such as memory, is met by all
    return given


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
      seconds: from its start to its exit.
      cpu_seconds: of all cores, user and system; hardly depends on other work.
      peak_bytes: of memory.
      output: what it wrote on stdout.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def cost(command: Sequence[str], *, env: Mapping[str, str], cwd=None) -> Cost:
    """Runs a command to its end.

    Args:
      command: program and arguments.
      env: added to this process's environment.
      cwd: where it runs.

    Raises:
      RuntimeError: it failed; with the end of what it wrote.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=os.environ | dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        failed = f'{command} ended with {process.returncode}'
        raise RuntimeError(f'{failed}: {output[-2000:]}')
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Cost(seconds, cpu_seconds, 1024 * usage.ru_maxrss, output)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """'20.1 (19.8-21.0)': the median, and in brackets minimum and maximum."""
    low, high = min(values), max(values)
    middle = statistics.median(values)
    return f'{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})'


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """'0.95 (min 0.93)': the ratio of the medians, and that of the minima."""
    medians = statistics.median(ours) / statistics.median(theirs)
    return f'{medians:.2f} (min {min(ours) / min(theirs):.2f})'


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as RESULTS.md has them."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def setting() -> str:
    """Processor, date and commit, in one line."""
    git = ['git', 'rev-parse', '--short', 'HEAD']
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    return f'{processor()}; {time.strftime("%Y-%m-%d")}; commit {commit or "unknown"}'


def processor() -> str:
    """The processor's name and number of cores."""
    name = platform.processor() or platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo') as info:
            names = [line for line in info if line.startswith('model name')]
        name = names[0].split(':')[1].strip() if names else name
    return f'{name}, {os.cpu_count()} cores'
