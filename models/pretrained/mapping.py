"""Renames and reshapes weights by a table of rules, both ways; all or nothing.

Works on flat dictionaries of numpy arrays: theirs, `{'layer1.0.conv1.weight': array}`,
and ours, `{'backbone/stages/0/0/conv1/conv/kernel': array}`. Reads and writes no files
and knows no family; what lies under `head/` may differ, and then stays as it is.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from models.pretrained.complaints import in_one_line
from models.pretrained.layouts import SAME, Layout

Arrays = Mapping[str, np.ndarray]
# (array as imported, shape wanted) -> array of that shape
Adapt = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]
HEAD = 'head/'


@dataclasses.dataclass(frozen=True)
class Rule:
    """A layer: `Rule('layer1.{block}.conv1', 'stages/0/{block}/conv1/conv', CONV)`.

    Attributes:
      foreign: its name there; `{word}` stands for a whole number.
      ours: its path here, of the same words.
      tensors: their tensor -> (our tensor, layout), such as `CONV` or `DENSE`; None
        for a tensor without a counterpart.
      part: (index, count) where the layer is one of several that lie side by side in
        ours, along the last axis, such as queries, keys and values.
    """

    foreign: str
    ours: str
    tensors: Mapping[str, tuple[str, Layout] | None]
    part: tuple[int, int] = (0, 1)


@dataclasses.dataclass(frozen=True)
class Imported:
    """Foreign weights in our names.

    Attributes:
      arrays: by our path, float32; without what is replaced.
      replaced: our paths under `head/` that the weights do not fit.
      adapted: our paths whose arrays were fitted to another shape.
      left_out: foreign names without a place here.
    """

    arrays: dict[str, np.ndarray]
    replaced: tuple[str, ...]
    adapted: tuple[str, ...]
    left_out: tuple[str, ...]


def import_weights(
    rules: Sequence[Rule] | None,
    foreign: Arrays,
    wanted: Mapping,
    adapt: Mapping[str, Adapt] | None = None,
) -> Imported:
    """Foreign weights as ours, with every tensor of both accounted for.

    Args:
      rules: of the family and its naming; None where the names are ours.
      foreign: all arrays of a file, by name.
      wanted: our parameters and statistics by path; only `.shape` is read.
      adapt: for paths whose arrays may be fitted to another shape, how.

    Raises:
      ValueError: lists every tensor that is unknown, missing, or of another shape.
    """
    places, complaints = _places(rules, foreign)
    shapes = {path: tuple(leaf.shape) for path, leaf in wanted.items()}
    arrays, adapted = _adapt(_join(places, foreign, complaints), shapes, adapt or {})
    found = {path: array.shape for path, array in arrays.items()}
    replaced = ()
    left_out = [name for name, place in places.items() if place is None]
    if _head(found) != _head(shapes):
        replaced = tuple(_head(shapes))
        left_out += [name for name, place in places.items() if _is_head(place)]
        arrays, found, shapes = map(_body, (arrays, found, shapes))
    complaints += _differences(rules or (), found, shapes)
    if complaints:
        raise ValueError(in_one_line('The weights do not fit this model', complaints))
    return Imported(arrays, replaced, tuple(adapted), tuple(left_out))


def export_weights(rules: Sequence[Rule], arrays: Arrays) -> dict[str, np.ndarray]:
    """Our weights in foreign names and layouts: the way back of `import_weights`.

    Args:
      rules: of the family and its naming.
      arrays: all parameters and statistics of a model by path.

    Raises:
      ValueError: lists every array that has no name there.
    """
    foreign, complaints = {}, []
    for path, array in arrays.items():
        places = list(_matches(rules, path, back=True))
        if not places or len(places) != places[0].part[1]:
            complaints.append(f'{path} has no name there')
            continue
        for place in places:
            index, count = place.part
            piece = np.split(np.asarray(array), count, axis=-1)[index]
            foreign[place.name] = np.ascontiguousarray(place.layout.to_foreign(piece))
    if complaints:
        raise ValueError(in_one_line('These weights cannot be exported', complaints))
    return foreign


def known_names(rules: Sequence[Rule], names: Iterable[str]) -> list[str]:
    """The foreign names that the rules know."""
    return [name for name in names if any(True for _ in _matches(rules, name))]


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where one tensor goes, and how."""

    name: str
    layout: Layout
    part: tuple[int, int]


def _matches(
    rules: Sequence[Rule], name: str, back: bool = False
) -> Iterator[_Place | None]:
    """A place for each rule that knows the name; None where it has no counterpart."""
    for rule in rules:
        for theirs, tensor in rule.tensors.items():
            source = _joined('.', rule.foreign, theirs)
            target = tensor and _joined('/', rule.ours, tensor[0])
            if back:
                source, target = target, source
            numbers = source and _pattern(source).fullmatch(name)
            if numbers and tensor is None:
                yield None
            elif numbers:
                path = target.format_map(numbers.groupdict())
                yield _Place(path, tensor[1], rule.part)


def _joined(separator: str, *names: str) -> str:
    return separator.join(name for name in names if name)


@functools.cache
def _pattern(template: str) -> re.Pattern:
    """'layer1.{block}.conv1' as an expression with a group of digits named block."""
    escaped = re.escape(template).replace(r'\{', '{').replace(r'\}', '}')
    return re.compile(re.sub(r'\{(\w+)\}', r'(?P<\1>\\d+)', escaped))


def _places(rules, foreign) -> tuple[dict[str, _Place | None], list[str]]:
    """Where each foreign tensor goes, and a complaint for each without one rule."""
    if rules is None:
        return {name: _Place(name, SAME, (0, 1)) for name in foreign}, []
    places, complaints = {}, []
    for name, array in foreign.items():
        found = list(_matches(rules, name))
        if len(found) == 1:
            places[name] = found[0]
        else:
            known = f'is known to {len(found)} rules' if found else 'is unknown'
            complaints.append(f'{name} {tuple(array.shape)} {known}')
    return places, complaints


def _join(places, foreign, complaints) -> dict[str, np.ndarray]:
    """Our arrays, of all their parts, by path; complains of wrong numbers of axes."""
    parts = {}
    for name, place in places.items():
        if place is None:
            continue
        try:
            array = place.layout.to_ours(np.asarray(foreign[name], np.float32))
        except ValueError:
            complaints.append(f'{name} has {foreign[name].ndim} axes, which is wrong')
            continue
        parts.setdefault(place.name, {})[place.part] = array
    return {
        path: np.concatenate([pieces[part] for part in sorted(pieces)], axis=-1)
        for path, pieces in parts.items()
        if len(pieces) == next(iter(pieces))[1]
    }


def _adapt(arrays, shapes, adapt) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays fitted to the shapes where that is known, and the paths of these."""
    adapted = [
        path
        for path in adapt
        if path in arrays and path in shapes and arrays[path].shape != shapes[path]
    ]
    fitted = {path: adapt[path](arrays[path], shapes[path]) for path in adapted}
    return {**arrays, **fitted}, adapted


def _head(arrays) -> dict:
    return {path: leaf for path, leaf in arrays.items() if path.startswith(HEAD)}


def _body(arrays) -> dict:
    return {path: leaf for path, leaf in arrays.items() if not path.startswith(HEAD)}


def _is_head(place: _Place | None) -> bool:
    return place is not None and place.name.startswith(HEAD)


def _differences(rules, found, shapes) -> list[str]:
    """A line for each path that only one side has, or in another shape."""
    lines = []
    for path in {**shapes, **found}:
        if path not in found:
            names = [place.name for place in _matches(rules, path, back=True) if place]
            lines.append(f'{" and ".join(names) or path} {shapes[path]} is missing')
        elif path not in shapes:
            lines.append(f'{path} {found[path]} has no place in this model')
        elif found[path] != shapes[path]:
            lines.append(f'{path} has shape {found[path]}, and wants {shapes[path]}')
    return lines
