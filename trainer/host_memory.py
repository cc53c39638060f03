"""The host's memory: what one step frees is kept for the next, garbage sought rarely.

Knows glibc's allocator and Python's collector; nothing of arrays. For a process that
is ours alone: in a notebook nobody's allocator is changed.
"""

import atexit
import ctypes
import gc
import os
import sys

# Options of mallopt(3) and what they are set to.
OPTIONS = {
    -8: 1,  # M_ARENA_MAX: one for all threads; another thread's own ends at 64 MiB
    -3: 2**30,  # M_MMAP_THRESHOLD: only blocks beyond 1 GiB come from the system
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: at most 2 GiB that nobody uses are kept
}
USERS_OWN = ('GLIBC_TUNABLES', 'MALLOC_ARENA_MAX', 'MALLOC_MMAP_THRESHOLD_')


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed; call it before threads begin.

    XLA takes the scratch memory of a step anew each time (109 MB for ResNet-18 on the
    digits), and glibc would give it back to the system each time, to have it cleared
    page by page at the next step: 26,000 page faults, a fifth of the step.
    """
    if not sys.platform.startswith('linux') or any(map(os.environ.get, USERS_OWN)):
        return
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    for option, value in OPTIONS.items() if mallopt else ():
        mallopt(option, value)


def collect_garbage_rarely() -> None:
    """Looks for cycles after 50,000 new objects, not 700, and not at all on leaving.

    To import and to trace makes millions of objects and hardly a cycle; looking at all
    of them again and again is a sixth of a start, and of an end.
    """
    gc.set_threshold(50_000, 20, 20)
    atexit.register(gc.freeze)
