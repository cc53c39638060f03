"""What a run would call, and so what it uses, lacks and never reads.

Walks from Experiment through references and macros in the scopes in which gin would
call them. Knows names and bindings, not types.
"""

import dataclasses
from collections.abc import Iterator

from trainer.lint import names
from trainer.lint.config import Config, Scope
from trainer.lint.statements import Binding, Macro, Reference, walk

# What the run, or the part that holds another, gives when it calls a reference. A
# config may not give the first; the others it may, to be checked against the data.
GIVEN = frozenset(
    {
        'rngs',
        'input_shape',
        'channels',
        'strides',
        'learning_rate',
        'total_steps',
        'steps_per_epoch',
        'start',
    }
)
FILLED_IN = GIVEN | {
    'num_outputs',
    'num_classes',
    'num_keypoints',
    'num_targets',
    'dtype',
}
# What a step or a data pipeline hands to a function that it was given.
HANDED_OVER = frozenset({'key', 'rng', 'batch', 'example', 'outputs'})
OURS = ('models.', 'trainer.')


@dataclasses.dataclass(frozen=True)
class Call:
    """Something registered that a run calls, in a scope.

    Attributes:
      full: its full name.
      evaluate: whether it is called while the config is read (`@Images()`).
      bound: its bindings by parameter.
      asked: the binding that refers to it; None for Experiment and for defaults.
    """

    full: str
    scope: Scope
    evaluate: bool
    bound: dict[str, Binding]
    asked: Binding | None

    @property
    def short(self) -> str:
        return names.short_name(self.full)

    def key(self, parameter: str) -> str:
        """'train/Images.split': what a config would bind."""
        return '/'.join((*self.scope, f'{self.short}.{parameter}'))


@dataclasses.dataclass
class Usage:
    """What a config uses.

    Attributes:
      calls: everything that is called, in the order of the walk.
      used: the bindings that are read, macros among them.
      circles: bindings whose reference or macro leads back to itself.
    """

    calls: list[Call] = dataclasses.field(default_factory=list)
    used: set[Binding] = dataclasses.field(default_factory=set)
    circles: list[Binding] = dataclasses.field(default_factory=list)


def usage(config: Config) -> Usage:
    """Walks a config from Experiment."""
    walker = _Walker(config)
    walker.call(names.ROOT, (), True, None, ())
    return walker.usage


class _Walker:
    def __init__(self, config: Config):
        self.config = config
        self.usage = Usage()
        self.visited: set[tuple] = set()

    def call(self, full, scope, evaluate, asked, stack) -> None:
        """Visits something that is called, and all that its bindings refer to."""
        visit = (full, scope, evaluate)
        if visit in stack and asked:
            self.usage.circles.append(asked)
        if visit in self.visited:
            return
        self.visited.add(visit)
        bound = self.config.bound(full, scope)
        self.usage.calls.append(Call(full, scope, evaluate, bound, asked))
        for binding in bound.values():
            self.read(binding, binding.value, scope, scope, (*stack, visit))
        for default in self._defaults(full, bound):
            self.call(default, scope, False, None, (*stack, visit))

    def _defaults(self, full: str, bound: dict[str, Binding]) -> Iterator[str]:
        """Registered functions that hold where nothing is bound, such as adamw."""
        for parameter in names.signature(full).parameters.values():
            default = names.full_name(parameter.default)
            if default and parameter.name not in bound:
                yield default

    def read(self, binding, value, within: Scope, caller: Scope, stack) -> None:
        """Marks a binding, and follows the references and macros in its value."""
        self.usage.used.add(binding)
        for item in walk(value):
            if isinstance(item, Macro):
                self._macro(item, binding, caller, stack)
            elif isinstance(item, Reference):
                (full,) = names.matching(item.name)
                scope = item.scopes or (within if item.evaluate else caller)
                self.call(full, scope, item.evaluate, binding, stack)

    def _macro(self, macro: Macro, binding: Binding, caller: Scope, stack) -> None:
        following = self.config.macro(macro.name)
        if following is None:
            return
        if macro in stack:
            self.usage.circles.append(binding)
            return
        within = tuple(macro.name.split('/'))
        self.read(following, following.value, within, caller, (*stack, macro))


def missing(found: Usage) -> Iterator[tuple[Call, list[str]]]:
    """Each call that lacks something, with the parameters that nothing gives."""
    for call in found.calls:
        lacking = [
            parameter.name
            for parameter in names.signature(call.full).parameters.values()
            if parameter.required and parameter.name not in call.bound
            if call.evaluate or _for_config(call, parameter)
        ]
        if lacking:
            yield call, lacking


def _for_config(call: Call, parameter: names.Parameter) -> bool:
    """Whether a reference's parameter is the config's to give, not its caller's."""
    if hasattr(names.target(call.full), 'from_model_output'):
        return False  # a metric, that nobody constructs by its fields
    given = FILLED_IN | HANDED_OVER
    return parameter.annotated and parameter.name not in given


def filled_in(full: str, parameter: names.Parameter) -> bool:
    """Whether a caller gives a parameter whatever a config says."""
    if parameter.name == 'dtype':
        return full.startswith(OURS) and not parameter.annotated
    return parameter.required and parameter.name in GIVEN
