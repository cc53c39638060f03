"""A page: sections become one HTML file that needs nothing beside it, not even a net.

Every text is escaped; the page says itself that it may load nothing. Knows blocks, and
nothing of what they tell.
"""

import functools
import pathlib
from collections.abc import Sequence

from trainer import __version__
from trainer.report.blocks import Section, is_number

LIMIT = 5 * 2**20  # bytes: a page is mailed and opened on a telephone


def page(
    title: str,
    sections: Sequence[Section],
    *,
    kicker: str = '',
    badge: tuple[str, str] | None = None,
    reload: int | None = None,
) -> str:
    """The whole page.

    Args:
      title: its heading, and what a browser calls it.
      sections: in order; those without blocks are left out.
      kicker: a line above the title.
      badge: a word on how things stand and its tone: 'good', 'bad', 'warn' or 'live'.
      reload: seconds after which the page loads itself again, None for never.
    """
    return _template('page.html').render(
        title=title,
        sections=[section for section in sections if section.blocks],
        kicker=kicker,
        badge=badge,
        reload=reload,
        version=__version__,
    )


def shown(value: object) -> str:
    """A value as a page has it: four decimals at most, thousands apart, None a dash."""
    if value is None:
        return '–'
    if not is_number(value):
        return str(value)
    if isinstance(value, int):
        return f'{value:,}'
    if value and not 1e-3 <= abs(value) < 1e6:
        return f'{value:.3g}'
    digits = 4 if abs(value) < 10 else 2 if abs(value) < 1e4 else 0
    return f'{value:,.{digits}f}'


@functools.cache
def _template(name: str):
    import jinja2

    folder = pathlib.Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['shown'] = shown
    environment.tests['block'] = lambda block, kind: type(block).__name__ == kind
    return environment.get_template(name)
