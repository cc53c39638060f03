"""Runs a command in this process, as the command line would, and looks at how it ends.

Input of any kind is to be read, or refused in one line: a traceback, an exit code of
our own mistakes, a line that is too long or a hang fails the test.
"""

import contextlib
import io
import logging
import signal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import main
from tests.faults import amounts
from trainer.data.images import Images
from trainer.errors import DONE, USER_ERROR

HUNG = 120  # seconds for what takes milliseconds
FUZZ = settings(
    max_examples=amounts.FUZZ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


class Hung(BaseException):
    """Nothing that catches an `Exception` may take this for one."""


def run(*arguments):
    """The exit code of a command that is done, or refuses in one line.

    What `check` finds it lists on the screen instead, a line for each mistake.
    """
    listed, said = io.StringIO(), io.StringIO()
    screen = contextlib.redirect_stdout(listed), contextlib.redirect_stderr(said)
    logging.disable()  # pytest would keep every traceback, of names of any bytes
    try:
        with screen[0], screen[1], time_limit():
            code = main.main(['main.py', *arguments])
    finally:
        logging.disable(logging.NOTSET)
    lines = [listed.getvalue(), *said.getvalue().splitlines()]
    errors = [line for line in lines if line.startswith('error: ')]
    in_order = (
        code in (DONE, USER_ERROR)
        and (code == DONE) <= (not errors)
        and (code == USER_ERROR) <= (len(errors) == 1 or 'mistake' in lines[0])
        and all(len(line) < 1000 for line in errors)
        and 'Traceback' not in ''.join(lines)
    )
    assert in_order, f'exit code {code}: {lines!a}'
    return code


def read(monkeypatch, source=None, **fields):
    """The same of a command that reads every example of a source."""

    def reading(argv):
        data = Images(source=source, split='all', batch=2, **fields).open()
        for index in range(len(data)):
            data[index]
        return DONE

    with monkeypatch.context() as patched:
        patched.setattr(main, 'run', reading)
        return run()


@contextlib.contextmanager
def time_limit():
    """Raises `Hung` in what takes too long."""

    def hung(*_):
        raise Hung(f'nothing for {HUNG} s')

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HUNG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@st.composite
def damaged(draw, content: bytes, changes: int = 4):
    """Bytes with some changed, lost, doubled or put in, or with the end cut off."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, changes))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(1, 8))
        how = draw(st.sampled_from(['change', 'lose', 'double', 'put', 'cut']))
        if how == 'change' and at < len(content):
            content[at] ^= draw(st.integers(1, 255))
        elif how == 'lose':
            del content[at : at + length]
        elif how == 'double':
            content[at:at] = content[at : at + length]
        elif how == 'put':
            content[at:at] = draw(st.binary(max_size=8))
        elif how == 'cut':
            del content[max(at, 1) :]
    return bytes(content)
