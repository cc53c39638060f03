"""The name that was probably meant; knows names only as strings."""

import difflib
from collections.abc import Iterable


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, or None where none is; case counts little."""
    choices = set(choices)
    # One slip away beats every other, however like: most need no closer look.
    slips = {choice for choice in choices if is_one_slip(name, choice)}
    ranked = sorted((-_likeness(name, choice), choice) for choice in slips or choices)
    enough = 0.5 if len(name) < 5 else 0.6
    return ranked[0][1] if ranked and -ranked[0][0] >= enough else None


def hint(name: str, choices: Iterable[str], sign: str = '') -> str:
    """ "; did you mean 'x'?", else the choices, once each, where they are few."""
    choices = list(dict.fromkeys(choices))
    found = nearest(name, choices)
    if found is not None:
        return f"; did you mean '{sign}{found}'?"
    if 0 < len(choices) <= 20:
        return f'; choose {", ".join(sign + choice for choice in choices)}'
    return ''


def is_one_slip(written: str, meant: str) -> bool:
    """Whether one letter is missing, too many or another, or two are exchanged."""
    written, meant = written.casefold(), meant.casefold()
    if min(len(written), len(meant)) < 2 or abs(len(written) - len(meant)) > 1:
        return False
    written, meant = _after_the_same(written, meant)
    written, meant = _after_the_same(written[::-1], meant[::-1])
    exchanged = len(written) == 2 and written == meant[::-1]
    return exchanged or max(len(written), len(meant)) <= 1


def _likeness(name: str, choice: str) -> float:
    written, meant = name.casefold(), choice.casefold()
    slip = is_one_slip(written, meant)
    return slip + _ratio(written, meant) + 0.01 * _ratio(name, choice)


def _after_the_same(first: str, second: str) -> tuple[str, str]:
    pairs = enumerate(zip(first, second, strict=False))
    shorter = min(len(first), len(second))
    differ = next((i for i, (a, b) in pairs if a != b), shorter)
    return first[differ:], second[differ:]


def _ratio(name: str, choice: str) -> float:
    return difflib.SequenceMatcher(None, name, choice, autojunk=False).ratio()
