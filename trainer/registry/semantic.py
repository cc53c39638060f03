"""Semantic versions: which text is one, which is newer, and which is meant.

After Semantic Versioning 2.0.0 (semver.org), without build metadata: two versions that
differ in it alone would be equally new. Knows text alone.
"""

import re
from collections.abc import Iterable

from trainer.errors import UserError

LATEST = 'latest'
_NUMBER = r'(?:0|[1-9][0-9]*)'
_PART = rf'(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)'
VERSION = re.compile(
    rf'({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PART}(?:\.{_PART})*))?'
)
RANGE = re.compile(rf'\^({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?')


def check(version: str) -> str:
    """The version itself.

    Raises:
      UserError: it is none; says the nearest thing to say.
    """
    if VERSION.fullmatch(version):
        return version
    raise UserError(
        f'{version!r} is no version to publish; say MAJOR.MINOR.PATCH, as in 1.0.0, '
        f'or 1.0.0-rc.1 before it.'
    )


def order(version: str) -> tuple:
    """What versions are sorted by, the oldest first.

    A pre-release comes before its release; numbers in it come before words.
    """
    *numbers, before = VERSION.fullmatch(version).groups()
    parts = before.split('.') if before else ()
    ranked = tuple((0, int(p), '') if p.isdigit() else (1, 0, p) for p in parts)
    return (*map(int, numbers), before is None, ranked)


def newest(wanted: str, versions: Iterable[str]) -> str | None:
    """The newest version that is wanted; None where there is none.

    Args:
      wanted: a version; 'latest', which is a pre-release only where nothing else is;
        or a range of releases: '^1' and '^1.2' up to the next major version, '^0.3' up
        to 0.4.0.
      versions: those that there are.

    Raises:
      UserError: what is wanted is none of these.
    """
    there = sorted(versions, key=order)
    if VERSION.fullmatch(wanted):
        return wanted if wanted in there else None
    releases = [version for version in there if order(version)[3]]
    if wanted == LATEST:
        return (releases or there or [None])[-1]
    span = RANGE.fullmatch(wanted)
    if span is None:
        raise UserError(
            f'{wanted!r} is no version; say one as in 1.0.0, latest, or a range as in '
            f'^1 or ^1.2.'
        )
    low, high = _ends(span)
    within = [one for one in releases if low <= order(one)[:3] < high]
    return (within or [None])[-1]


def _ends(span: re.Match) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first version of a range, and the first behind it.

    The leftmost number that is said and not zero stays; all are zero: the last one.
    """
    said = [int(number) for number in span.groups() if number is not None]
    keeps = next((i for i, number in enumerate(said) if number), len(said) - 1)
    low = (*said, 0, 0)[:3]
    high = (*said[:keeps], said[keeps] + 1, 0, 0)[:3]
    return low, high
