"""The log of a run: all that was said, and what libraries said, with the time.

Keeps the chatter of libraries off the screen. Knows nothing of runs but a path.
"""

import logging
import os
import sys

from absl import logging as absl_logging

from trainer.screen import log

LINE = '%(asctime)s %(levelname)-7s %(name)s: %(message)s'


class LogFile(logging.FileHandler):
    """The handler that `setup_log` leaves behind; there is one at a time."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drops what a full disk has no room for; saving says that it is full."""


def setup_log(path: str | os.PathLike) -> None:
    """Appends to a log from here on: ours from DEBUG, that of libraries from INFO.

    What libraries (absl, Orbax, JAX, `warnings`) would put on the screen goes there
    alone. A second call leaves the first log for another.

    Raises:
      OSError: the log cannot be opened.
    """
    handler = LogFile(path, encoding='utf-8', errors='backslashreplace')
    close_log()
    handler.setFormatter(logging.Formatter(LINE))
    root = logging.getLogger()
    for other in [*root.handlers]:
        if getattr(other, 'stream', None) in (sys.stdout, sys.stderr):
            root.removeHandler(other)
    root.removeHandler(absl_logging.get_absl_handler())
    root.setLevel(logging.INFO)
    absl_logging.get_absl_logger().setLevel(logging.INFO)
    logging.captureWarnings(True)
    for logger in (root, log):
        logger.addHandler(handler)


def close_log() -> None:
    """Closes the log, if there is one; nothing is logged to a file after it."""
    for logger in (logging.getLogger(), log):
        for handler in [*logger.handlers]:
            if isinstance(handler, LogFile):
                logger.removeHandler(handler)
                handler.close()
    logging.captureWarnings(False)
