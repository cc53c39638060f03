"""How much is tried: a little on every change, all of it by `python -m tests.faults`.

`JUNIPER_FAULTS=whole` in the environment asks for all of it.
"""

import os

WHOLE = os.environ.get('JUNIPER_FAULTS') == 'whole'


def few_or_all(few: int, whole: int) -> int:
    """The amount that this session is to try."""
    return whole if WHOLE else few


KILLS = {
    'mlp': few_or_all(10, 40),
    'resnet': few_or_all(6, 30),
    'vit': few_or_all(4, 30),
}
FLIPS = few_or_all(100, 1000)  # that alter data; harmless ones are tried on top
SYSCALLS = few_or_all(2, 12)  # kills at each kind of system call
FUZZ = few_or_all(40, 1300)  # cases for each of eight kinds of input
