"""What a model is told of the data: shapes of images, numbers of outputs.

Knows references as partials and signatures; nothing of nets or tasks.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from trainer.errors import UserError

# What heads call the number that the task tells them.
TOLD = ('num_outputs', 'num_classes', 'num_keypoints', 'num_targets')


def with_facts(model: Callable, facts: Mapping[str, Any]) -> Callable:
    """The model with what the data says, after checking that the config agrees.

    Args:
      model: a class or function, or a partial of one.
      facts: `input_shape` and `num_outputs`, given where its signature has them.

    Raises:
      UserError: a config says another number than the data.
    """
    _refuse_contradictions(model, facts)
    accepted = _parameters(model)
    known = {key: value for key, value in facts.items() if key in accepted}
    return functools.partial(_strip(model), **known)


def _parameters(model: Callable) -> Mapping[str, inspect.Parameter]:
    """What a function or class takes; NNX's metaclass hides a class's own signature."""
    function = model.func if isinstance(model, functools.partial) else model
    if inspect.isclass(function):
        function = function.__init__
    return inspect.signature(function).parameters


def _bound(model: Callable):
    """Yields (name, partial) for a partial and the partials inside it."""
    if isinstance(model, functools.partial):
        yield getattr(model.func, '__name__', str(model.func)), model
        for value in model.keywords.values():
            yield from _bound(value)


def _refuse_contradictions(model: Callable, facts: Mapping[str, Any]) -> None:
    outputs = facts['num_outputs']
    for name, partial in _bound(model):
        for key in TOLD:
            value = partial.keywords.get(key, outputs)
            if value != outputs:
                raise UserError(
                    f'{name}.{key} is {value}, but the data has {outputs}; '
                    f'remove the binding: it follows the data.'
                )


def _strip(model: Any) -> Any:
    """The same partials without what the data says (already found to agree)."""
    if not isinstance(model, functools.partial):
        return model
    keywords = {k: _strip(v) for k, v in model.keywords.items() if k not in TOLD}
    return functools.partial(model.func, *model.args, **keywords)
