"""What a command that makes devices work is guarded by: no hang, no dump of memory.

Training has the same with a log of its own, see `train.py`.
"""

import contextlib
from collections.abc import Callable, Iterator

from trainer.job import Job
from trainer.remedies import advised
from trainer.signals import Stop
from trainer.watchdog import watched


@contextlib.contextmanager
def guarded(
    job: Job, stop: Stop | None = None, advise: Callable[[Job], str] | None = None
) -> Iterator[None]:
    """Ends what is hung inside, with its stacks on stderr; gives advice on memory.

    Args:
      job: what is done; how long it may say nothing is its experiment's `watchdog`.
      stop: the signal that came, if one did; the end is then due within the grace.
      advise: as `advised` takes it.

    Raises:
      UserError: memory has run out, see `advised`.
    """
    with watched(job.experiment.watchdog, stop=stop), advised(job, advise):
        yield
