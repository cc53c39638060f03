"""Ends of a search's ranges: where more is allowed, and a best value lies too near.

Distances in a log range are those of logarithms.
"""

from collections.abc import Mapping, Sequence

from trainer.search.space import at, is_range, position

NEAR = 0.05  # of a range: a best value so close to its end may lie beyond
BEYOND = {'low': -0.1, 'high': 1.1}


def open_ends(config: str, space: Mapping[str, Sequence]) -> dict[str, list[str]]:
    """The ends, 'low' or 'high', beyond which a parameter may take a value too."""
    from trainer.lint.report import findings

    def allowed(key: str, value: object) -> bool:
        found = findings([config], [f'{key} = {value!r}'])
        return not any(one.severity == 'error' for one in found)

    ranges = {key: c for key, c in space.items() if is_range(c)}
    return {
        key: [end for end, place in BEYOND.items() if allowed(key, at(c, place))]
        for key, c in ranges.items()
    }


def near_ends(
    space: Mapping[str, Sequence], best: Mapping, open_: Mapping[str, Sequence[str]]
) -> list[tuple[str, str]]:
    """(parameter, end) where the best value lies at an end that is open."""
    found = []
    for key, choices in space.items():
        if not is_range(choices) or key not in best:
            continue
        place = position(choices, best[key])
        distances = {'low': place, 'high': 1 - place}
        near = [end for end, d in distances.items() if d <= NEAR]
        found += [(key, end) for end in near if end in open_.get(key, ())]
    return found
