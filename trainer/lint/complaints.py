"""Turns what a config uses, lacks and never reads into findings."""

import itertools
from collections.abc import Iterator, Sequence

from trainer.lint import names
from trainer.lint.config import Config
from trainer.lint.finding import COMMAND_LINE, Finding, Place
from trainer.lint.nearest import hint
from trainer.lint.statements import Binding, Macro, Reference, shown, walk
from trainer.lint.usage import FILLED_IN, Call, Usage, missing, usage


def doubled(bindings: Sequence[Binding]) -> tuple[list[Binding], list[Finding]]:
    """The bindings less those that stand in their file already, and a finding of each.

    To replace what an earlier or included file has bound is no mistake.
    """
    seen: dict[tuple, Binding] = {}
    findings = []
    for binding in bindings:
        first = seen.setdefault((binding.reading, *Config.key(binding)), binding)
        if first is not binding and not (binding.mended or first.mended):
            message = f'{binding} is bound twice; the first time at {first.place}'
            findings.append(Finding(binding.place, f'{message}; keep one of them'))
    return list(seen.values()), findings


def circles(found: Usage) -> Iterator[Finding]:
    """References and macros that lead back to themselves."""
    for binding in dict.fromkeys(found.circles):
        message = f'{binding} = {shown(binding.value)} leads back to itself'
        yield Finding(binding.place, message)


def lacking(found: Usage, root: Place) -> Iterator[Finding]:
    """Required values that nothing gives; those of Experiment are placed at `root`."""
    for call, parameters in missing(found):
        place = call.asked.place if call.asked else root
        early = [p for p in parameters if p in FILLED_IN]
        if call.evaluate and early and call.asked:
            yield Finding(place, _too_early(call, call.asked, early))
            continue
        for parameter in parameters:
            yield Finding(place, f'{call.key(parameter)} has no value; bind it')


def _too_early(call: Call, asked: Binding, parameters: Sequence[str]) -> str:
    plain = '/'.join((*call.scope, call.short))
    known = f'{", ".join(parameters)} will be known only in the run'
    return f"{asked} = {shown(asked.value)}: {known}; did you mean '@{plain}'?"


def unused(
    bindings: Sequence[Binding], config: Config, found: Usage
) -> Iterator[Finding]:
    """Bindings that nothing reads: errors, or one info line where that is the wish.

    A binding that an earlier file's settings would have used, had a later file or the
    command line not replaced them, is no mistake.
    """
    idle = [b for b in config if b not in found.used and not _excused(b, config)]
    earlier = list(_earlier_usages(bindings)) if idle else []
    replaced = [b for b in idle if any(b in then.used for then in earlier)]
    for binding in idle:
        if binding not in replaced:
            yield Finding(binding.place, _idle(binding, config, found))
    if replaced:
        then = next(u for u in earlier if replaced[0] in u.used)
        yield _set_aside(replaced, then, config)


def _excused(binding: Binding, config: Config) -> bool:
    """Whether a file sets a macro that stands in some value, be that one used or not.

    On the command line it is what somebody wants just now.
    """
    typed = binding.place.document == COMMAND_LINE
    return bool(not typed and _readers(binding, config))


def _readers(binding: Binding, config: Config) -> list[Binding]:
    """Where a macro stands in a value."""
    if not binding.is_macro:
        return []
    return [other for other in config if Macro(binding.name) in walk(other.value)]


def _earlier_usages(bindings: Sequence[Binding]) -> Iterator[Usage]:
    """What would be used if reading had stopped wherever one document ends."""
    for i, (here, following) in enumerate(itertools.pairwise(bindings)):
        if here.place.document != following.place.document:
            yield usage(Config(bindings[: i + 1]))


def _idle(binding: Binding, config: Config, found: Usage) -> str:
    if binding.is_macro:
        macros = {m.name for b in config for m in walk(b.value) if isinstance(m, Macro)}
        keys = [c.key(binding.name) for c in found.calls if _takes(c, binding.name)]
        readers = _readers(binding, config)
        if readers:
            return f'{binding} has no effect: {readers[0]}, which reads it, is not used'
        advice = f"; did you mean '{keys[0]}'?" if keys else hint(binding.name, macros)
        return f'{binding}: nothing reads %{binding.name}{advice}'
    _, full, parameter = Config.key(binding)
    calls = [call for call in found.calls if call.full == full]
    scopes = dict.fromkeys('/'.join(call.scope) for call in calls)
    instead = [c.bound[parameter] for c in calls if parameter in c.bound]
    if not calls:
        return f'{binding} is never used; nothing refers to @{binding.name}'
    if instead and not binding.scope:
        return f'{binding} is never used; {instead[0]} ({instead[0].place}) holds'
    return f'{binding} is never used{hint(binding.scope, filter(None, scopes))}'


def _takes(call: Call, parameter: str) -> bool:
    return parameter in names.signature(call.full).parameters


def _set_aside(idle: Sequence[Binding], then: Usage, config: Config) -> Finding:
    """One line for all that a replacement has made idle."""
    listed = ', '.join(map(str, idle[:6])) + (', ...' if len(idle) > 6 else '')
    gone = [binding for binding in then.used if _replaced(binding, config)]
    causes = [binding for binding in gone if _leads_to(binding, idle[0])]
    holders = [config.held[Config.key(binding)] for binding in causes or gone]
    # What replaced a reference is more likely the cause than what replaced a number.
    holders.sort(key=lambda holder: (not _refers(holder), str(holder)))
    by = f'; {holders[0].place} replaced {holders[0]}' if holders else ''
    verb = 'is' if len(idle) == 1 else 'are'
    return Finding(idle[0].place, f'{listed} {verb} not used{by}', 'info')


def _leads_to(binding: Binding, idle: Binding) -> bool:
    """Whether a value names the macro, or what is bound."""
    if idle.is_macro:
        return Macro(idle.name) in walk(binding.value)
    named = (item for item in walk(binding.value) if isinstance(item, Reference))
    return any(names.matching(r.name) == names.matching(idle.name) for r in named)


def _replaced(binding: Binding, config: Config) -> bool:
    holder = config.held[Config.key(binding)]
    return repr(holder.value) != repr(binding.value)


def _refers(binding: Binding) -> bool:
    return any(isinstance(item, Reference) for item in walk(binding.value))
