"""The terminal: whole lines, one writer at a time, and all of it in the run's log too.

A screen that has gone never stops a run. Knows nothing of what is said.
"""

import contextlib
import logging
import os
import sys
import threading

log = logging.getLogger('juniper')
log.setLevel(logging.DEBUG)
log.propagate = False  # the screen is ours; the run's log takes it from here
log.addHandler(logging.NullHandler())


class Screen:
    """The one place that writes to the terminal; threads may share it.

    Attributes:
      lock: held while a line is written.
      process: which of several this is: only the first has the screen's lines, what
        the others say on stderr is marked.
      bar: what is drawn on the last line, if anything; its `write(text, stream)` writes
        above it.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.bar, self.process = None, 0
        self._unfinished: object = None

    def line(self, text: str, stream=None) -> None:
        """Writes a whole line, after ending one that is unfinished."""
        stream, text = stream or sys.stdout, escaped(text)
        if self.process and stream is sys.stdout:
            return
        text = f'process {self.process}: {text}' if self.process else text
        with self.lock:
            self.end_line()
            if self.bar is None:
                put(text + '\n', stream)
            else:
                self.bar.write(text, stream)

    def begin(self, owner: object, text: str) -> None:
        """Begins a line that its owner will go on with."""
        with self.lock:
            self.end_line()
            put(text, sys.stdout)
            self._unfinished = owner

    def go_on(self, owner: object, text: str, head: str, end: str = '') -> None:
        """Goes on with the owner's line; after another line, with a new one."""
        with self.lock:
            if self.bar is not None:
                self.bar.write(head + text, sys.stdout)
                return
            if self._unfinished is not owner:
                self.begin(owner, head)
            put(text + end, sys.stdout)
            self._unfinished = None if end else owner

    def end_line(self) -> None:
        """Ends a line that is unfinished, if there is one."""
        with self.lock:
            if self._unfinished is not None:
                put('\n', sys.stdout)
                self._unfinished = None


screen = Screen()


def say(message: str) -> None:
    """Writes a line, or several, for people and into the log."""
    screen.line(message)
    log.info('%s', escaped(message))


def warn(message: str) -> None:
    """Writes one line to stderr and into the log."""
    message = ' '.join(message.split())
    screen.line(f'warning: {message}', sys.stderr)
    log.warning('%s', escaped(message))


def tell(message: str) -> None:
    """As `say`, on stderr: for words beside an answer that programs read on stdout."""
    screen.line(message, sys.stderr)
    log.info('%s', escaped(message))


def escaped(text: str) -> str:
    """Text whose control characters are written out: names of files may hold them."""
    if text.isprintable():
        return text
    return ''.join(
        c if c.isprintable() or c in '\n\t' else c.encode('unicode_escape').decode()
        for c in text
    )


def keep_standard_streams() -> None:
    """Puts /dev/null where stdin, stdout or stderr is closed, as `>&-` leaves them.

    The next file that is opened would else be the one that all is printed into.
    """
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            mode = 'w' if number else 'r'
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def put(text: str, stream) -> None:
    """Writes at once, if the screen is still there; escapes what it cannot show."""
    encoding = getattr(stream, 'encoding', None) or 'utf-8'
    shown = text.encode(encoding, 'backslashreplace').decode(encoding)
    with contextlib.suppress(OSError):
        stream.write(shown)
        stream.flush()


def format_seconds(seconds: float) -> str:
    """'0.84 s', '17.3 s', '40 s', '2 min 05 s', '1 h 02 min'."""
    if seconds < 60:
        digits = 0 if isinstance(seconds, int) else 2 if seconds < 1 else 1
        return f'{seconds:.{digits}f} s'
    if seconds < 3600:
        return f'{int(seconds) // 60} min {int(seconds) % 60:02d} s'
    return f'{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min'
