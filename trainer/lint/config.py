"""Bindings of which the last holds, looked up as gin does; the one model of its scopes.

A call in scope `a/b` reads the bindings of no scope, then of `a`, then of `a/b`; a
later one replaces an earlier one. A reference with a scope of its own is called in that
scope alone; one without is called in the scope in which it is read. A macro's value is
read in the scope that has the macro's name (measured with gin 0.5.0).
"""

from collections.abc import Iterable

from trainer.lint import names
from trainer.lint.statements import Binding, Macro

Scope = tuple[str, ...]


class Config:
    """The bindings that hold once all have been read."""

    def __init__(self, bindings: Iterable[Binding]):
        """Takes bindings whose names are known, in the order in which they stand."""
        self.held: dict[tuple[str, str, str], Binding] = {}
        self._of_call: dict[tuple[str, str], dict[str, Binding]] = {}
        for binding in bindings:
            scope, full, parameter = self.key(binding)
            self.held[scope, full, parameter] = binding
            self._of_call.setdefault((scope, full), {})[parameter] = binding

    @staticmethod
    def key(binding: Binding) -> tuple[str, str, str]:
        """What makes two bindings the same: scope, full name, parameter."""
        if binding.is_macro:
            return ('', binding.name, '')
        (full,) = names.matching(binding.name)
        return (binding.scope, full, binding.parameter)

    def __iter__(self):
        return iter(self.held.values())

    def __contains__(self, binding: Binding) -> bool:
        return self.held.get(self.key(binding)) is binding

    def bound(self, full: str, scope: Scope) -> dict[str, Binding]:
        """The bindings of a call by parameter, as the innermost scope has them."""
        found = {}
        for depth in range(len(scope) + 1):
            found |= self._of_call.get(('/'.join(scope[:depth]), full), {})
        return found

    def macro(self, name: str) -> Binding | None:
        """The binding of a macro."""
        return self.held.get(('', name, ''))

    def source(self, binding: Binding) -> Binding:
        """The binding that writes the value: itself, or the macro's that it reads."""
        seen = set()
        while isinstance(binding.value, Macro) and binding.value.name not in seen:
            seen.add(binding.value.name)
            following = self.macro(binding.value.name)
            if following is None:
                return binding
            binding = following
        return binding
