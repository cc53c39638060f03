"""The compile cache: one per user, on by default, so that a second start is fast."""

import functools
import re
import warnings

import jax

from trainer.places import cache_directory
from trainer.screen import warn

BROKEN = re.compile('Error (reading|writing) persistent compilation cache')


def enable_cache() -> None:
    """Every compiled program is kept and found again; a broken cache only warns."""
    jax.config.update('jax_compilation_cache_dir', str(cache_directory() / 'xla'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
    jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
    _fold_warnings()


@functools.cache
def _fold_warnings() -> None:
    """Of all that is broken in the cache, jax warns one by one; we warn once."""
    show, told = warnings.showwarning, []

    def shown(message, *where, **more):
        if not BROKEN.match(str(message)):
            return show(message, *where, **more)
        if not told:
            told.append(message)
            warn(
                f'the compile cache in {cache_directory()} is damaged; what it does '
                f'not give is compiled anew. To mend it, delete that directory.'
            )

    warnings.showwarning = shown
