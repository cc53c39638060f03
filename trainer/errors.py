"""What can end a run early, and the exit code that each ending has.

Knows nothing else of Juniper, so every room may import it, before jax too.
"""

DONE = 0
USER_ERROR = 2
TRAINING_FAILED = 3
INTERNAL_ERROR = 70
INTERRUPTED = 75


class Ending(Exception):
    """An expected end of the program: one line for the screen, and an exit code."""

    exit_code = INTERNAL_ERROR


class UserError(Ending, ValueError):
    """A mistake that the user can mend: what came, what was expected, what to do."""

    exit_code = USER_ERROR


class TrainingFailed(Ending):
    """Training cannot go on (a loss that is not finite, data that cannot be read)."""

    exit_code = TRAINING_FAILED


class Interrupted(Ending):
    """A signal asked the run to stop; what was done is saved, and it can go on."""

    exit_code = INTERRUPTED
