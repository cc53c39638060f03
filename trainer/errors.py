"""What can end a run early, and the exit code that each ending has.

Knows nothing else of Juniper, so every room may import it, before jax too.
"""

import errno
import os

DONE = 0
USER_ERROR = 2
TRAINING_FAILED = 3
INTERNAL_ERROR = 70
INTERRUPTED = 75

BAD_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


class Ending(Exception):
    """An expected end of the program: one line for the screen, and an exit code."""

    exit_code = INTERNAL_ERROR


class UserError(Ending, ValueError):
    """A mistake that the user can mend: what came, what was expected, what to do."""

    exit_code = USER_ERROR


class TrainingFailed(Ending):
    """Training cannot go on (a loss that is not finite, data that cannot be read)."""

    exit_code = TRAINING_FAILED


class SaveFailed(TrainingFailed):
    """A checkpoint could not be written; the ones before it are as they were.

    Attributes:
      what: the message without advice.
    """

    def __init__(self, what: str, advice: str = ''):
        super().__init__(f'{what}. {advice}' if advice else what)
        self.what = what


class Interrupted(Ending):
    """A signal asked the run to stop; what was done is saved, and it can go on."""

    exit_code = INTERRUPTED


def ending_of(error: Exception) -> Exception:
    """The error itself; of a disk that is full or broken, what to say and do."""
    if not isinstance(error, OSError) or error.errno not in BAD_DISK:
        return error
    where = error.filename or 'A file'
    return TrainingFailed(
        f'{where} could not be read or written: {os.strerror(error.errno).lower()}. '
        f'Make room or mend the disk; the same command goes on.'
    )
