"""Names that nothing has: each with the one that was probably meant.

Reads on with the probable name, so that one slip is one finding and not five. Knows
what gin has registered; not what the values mean.
"""

import dataclasses
from collections.abc import Sequence

from trainer.lint import names
from trainer.lint.finding import Finding, Place
from trainer.lint.nearest import hint, is_one_slip, nearest
from trainer.lint.statements import Binding, Macro, Reference, Unreadable, replaced

PLACEHOLDER = 'CHANGE_ME'


@dataclasses.dataclass
class Spelling:
    """Bindings whose names all exist, and what had to be said to get there.

    Attributes:
      complete: False where some name stayed unknown: what it would use is not known.
    """

    bindings: list[Binding]
    findings: list[Finding]
    complete: bool


def spell(bindings: Sequence[Binding], complete: bool) -> Spelling:
    """Checks every name; drops bindings of names that resemble none.

    Args:
      bindings: as read.
      complete: whether every file and module could be read. If not, a name that
        resembles none may stand in one of them, and nothing is said of it.
    """
    speller = _Speller([b.name for b in bindings if b.is_macro], complete)
    kept = [speller.binding(binding) for binding in bindings]
    found = list(dict.fromkeys(speller.findings))
    return Spelling([b for b in kept if b], found, complete and not speller.lost)


class _Speller:
    def __init__(self, macros: Sequence[str], complete: bool):
        self.macros = macros
        self.complete = complete
        self.findings: list[Finding] = []
        self.lost = False

    def binding(self, binding: Binding) -> Binding | None:
        """The binding with its names put right, or None."""
        if not binding.is_macro:
            binding = self._parameter(self._configurable(binding))
        if binding is None:
            return None
        return dataclasses.replace(binding, value=self._value(binding))

    def _configurable(self, binding: Binding) -> Binding | None:
        name = self._registered(binding.name, binding.named_at, binding.name)
        if name is None or name == binding.name:
            return name and binding
        return dataclasses.replace(binding, name=name, mended=True)

    def _registered(self, name: str, place: Place, title: str) -> str | None:
        found = names.matching(name)
        if len(found) == 1:
            return name
        if found:
            choices = ', '.join(sorted(found))
            self._say(place, f"{title}: '{name}' may be any of {choices}; say which")
        elif PLACEHOLDER in name:
            self._say(place, f'{title} still says {PLACEHOLDER}; give it a name')
        else:
            return self._unregistered(name, place, title)
        self.lost = True
        return None

    def _unregistered(self, name: str, place: Place, title: str) -> str | None:
        known = names.known()
        close = nearest(name, known)
        if close or self.complete:
            advice = hint(name, known) or '; import the module that registers it'
            whose = '' if title == name else f'{title}: '
            self._say(place, f"{whose}nothing is registered as '{name}'{advice}")
        self.lost = self.lost or not close
        return close

    def _parameter(self, binding: Binding | None) -> Binding | None:
        if binding is None:
            return None
        (full,) = names.matching(binding.name)
        known = names.signature(full)
        if known.open_ended or binding.parameter in known.parameters:
            return binding
        close = nearest(binding.parameter, known.parameters)
        others = names.having(binding.parameter)
        if others and not (close and is_one_slip(binding.parameter, close)):
            close = None
        else:
            others = []
        elsewhere = ' or '.join(map(repr, others[:3]))
        advice = f'; did you mean {elsewhere}?' if others else ''
        advice = advice or hint(binding.parameter, known.parameters)
        title = f"{binding}: {binding.name} has no parameter '{binding.parameter}'"
        self._say(binding.place, title + advice)
        mended = dataclasses.replace(binding, parameter=close or '', mended=True)
        return mended if close else None

    def _value(self, binding: Binding) -> object:
        if isinstance(binding.value, Unreadable):
            mentions = [m for m in binding.value.mentions if self._exists(m)]
            return Unreadable(tuple(mentions))
        return replaced(binding.value, lambda leaf: self._leaf(leaf, binding))

    def _exists(self, mention: Macro | Reference) -> bool:
        if isinstance(mention, Macro):
            return mention.name in self.macros
        return len(names.matching(mention.name)) == 1

    def _leaf(self, leaf: object, binding: Binding) -> object:
        if isinstance(leaf, Macro):
            return self._macro(leaf, binding)
        if isinstance(leaf, Reference):
            title = f'{binding} = {leaf}'
            name = self._registered(leaf.name, binding.place, title)
            return dataclasses.replace(leaf, name=name) if name else Unreadable()
        return leaf

    def _macro(self, macro: Macro, binding: Binding) -> Macro | Unreadable:
        if macro.name in self.macros or names.is_constant(macro.name):
            return macro
        close = nearest(macro.name, self.macros)
        if close or self.complete:
            advice = hint(macro.name, self.macros)
            title = f"{binding} = {macro}: there is no macro '{macro.name}'{advice}"
            self._say(binding.place, title)
        self.lost = self.lost or not close
        return Macro(close) if close else Unreadable()

    def _say(self, place: Place, message: str) -> None:
        self.findings.append(Finding(place, message))
