"""Packages that writers need and that Juniper does not bring; imports none of them."""

import functools
import importlib.util
from collections.abc import Callable


def missing(writer: Callable) -> str | None:
    """What to install for a writer, in one line; None where nothing is missing.

    A writer says what it needs as `needs = (module, name for pip)`.
    """
    target = function_of(writer)
    needs = getattr(target, 'needs', None)
    if needs is None or importlib.util.find_spec(needs[0]) is not None:
        return None
    module, package = needs
    return (
        f'{target.__name__} needs {module}, which is not installed: '
        f'pip install {package}'
    )


def function_of(writer: Callable) -> Callable:
    """The class or function itself, without what a config has bound."""
    return writer.func if isinstance(writer, functools.partial) else writer
