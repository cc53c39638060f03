"""The compile cache: one per user, on by default, so that a second start is fast."""

import os
import pathlib

import jax


def cache_directory() -> pathlib.Path:
    """`$JUNIPER_CACHE`, else `~/.cache/juniper`."""
    given = os.environ.get('JUNIPER_CACHE')
    return pathlib.Path(given or '~/.cache/juniper').expanduser().absolute()


def enable_cache() -> None:
    """Every compiled program is kept and found again; a broken cache only warns."""
    jax.config.update('jax_compilation_cache_dir', str(cache_directory() / 'xla'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
    jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
