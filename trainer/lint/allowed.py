"""Which modules a gin file may import: any, unless the command line names some.

An import runs code. Knows names alone, and imports nothing.
"""

from collections.abc import Sequence

OURS = ('models', 'trainer')

_prefixes: tuple[str, ...] | None = None


def limit(prefixes: Sequence[str] | None) -> None:
    """Allows modules of these packages from here on; None allows all."""
    global _prefixes
    _prefixes = tuple(prefixes) if prefixes else None


def refusal(module: str) -> str | None:
    """Why a module may not be imported; None if it may."""
    if _prefixes is None:
        return None
    for prefix in (*OURS, *_prefixes):
        if f'{module}.'.startswith(f'{prefix.rstrip(".")}.'):
            return None
    return (
        f'import {module}: only {", ".join(_prefixes)} may be imported; if you trust '
        f'it, add --gin_imports={module.partition(".")[0]}'
    )
