"""A page holds all it shows, escapes what it is told, and fits a telephone."""

import re

from trainer.report.blocks import (
    Code,
    Facts,
    Figure,
    Figures,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    Tiles,
    data_url,
)
from trainer.report.page import page, shown

HOSTILE = '</style><script>alert("x")</script><img src=http://evil.example/a.png>\'"&'


def everything(text):
    """A section with a block of each kind that says one text everywhere."""
    from markupsafe import Markup

    drawing = Figure(title=text, svg=Markup('<svg/>'), legend=[(text, 1)], note=text)
    picture = Picture(source=data_url(b'x'), caption=text, detail=text)
    blocks = [
        Text(text=text, tone='warn'),
        Code(title=text, text=text),
        Facts(rows=[(text, text)]),
        Tiles(tiles=[(text, text, text)]),
        Table(header=[text], rows=[[text]], title=text),
        Table(header=[text], rows=[[text]], title=text, fold=True),
        Figures(figures=[drawing]),
        Pictures(title=text, pictures=[picture]),
    ]
    return Section(anchor='all', title=text, blocks=blocks)


def test_whatever_a_page_is_told_stays_text():
    made = page(HOSTILE, [everything(HOSTILE)], kicker=HOSTILE, badge=(HOSTILE, 'bad'))
    assert '<script' not in made and '<img src=http' not in made
    assert made.count('</style>') == 1
    assert made.count('&lt;script&gt;') > 15


def test_a_page_names_nothing_outside_itself():
    made = page('t', [everything('x')])
    assert not re.findall(r'(?:src|href)="(?!data:|#)', made)
    assert "default-src 'none'" in made and 'url(' not in made


def test_only_a_living_page_loads_itself_again():
    assert 'http-equiv="refresh" content="20"' in page('t', [], reload=20)
    assert 'http-equiv="refresh"' not in page('t', [])


def test_sections_without_content_are_left_out():
    empty = Section(anchor='empty', title='Empty', blocks=[])
    assert 'Empty' not in page('t', [empty])


def test_numbers_are_short_and_missing_ones_a_dash():
    values = [None, 0, 0.0, 0.98333, 12345, 123456.7, 1.5e-7, 2.5e9, True, 'a']
    wanted = '– 0 0.0000 0.9833 12,345 123,457 1.5e-07 2.5e+09 True a'
    assert ' '.join(map(shown, values)) == wanted
