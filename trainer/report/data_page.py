"""The page on a config's data: its facts, and pictures of what training sees.

Knows facts by name, as `data_report.examine` gives them; opens no data set.
"""

import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from trainer.data.pictures import read_picture
from trainer.data.source import Unreadable
from trainer.data_report import DUPLICATES, ODD, defect_count, defect_lines
from trainer.report.blocks import (
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    Tiles,
    data_url,
)
from trainer.report.page import page

THUMBNAIL = 200  # pixels of a picture's long side on the page
SHOWN = 24  # odd pictures that are shown, and pairs of duplicates
LISTED = 200  # rows of a table; the JSON beside the page has all
ODD_HEADER = ('picture', 'what', 'size', 'split')
TITLES = {
    'examples': 'Examples of each class',
    'labels': 'Examples with each label',
    'objects': 'Objects of each class',
    'pixels': 'Pixels of each class',
}


def data_page(facts: dict, samples: Iterable[tuple[np.ndarray, str]]) -> str:
    """The page.

    Args:
      facts: of the data.
      samples: pictures [H, W, 3] uint8 as training sees them, and their captions.
    """
    count = defect_count(facts)
    badge = (f'{count:,} to look at', 'warn') if count else ('nothing wrong', 'good')
    sections = [
        Section(anchor='overview', title='Overview', blocks=_overview(facts)),
        Section(anchor='samples', title='As training sees it', blocks=_seen(samples)),
        Section(anchor='classes', title='Classes', blocks=_classes(facts)),
        Section(anchor='defects', title='To look at', blocks=_defects(facts)),
    ]
    return page(facts['name'], sections, kicker='Report on the data', badge=badge)


def _overview(facts: dict) -> list:
    splits = facts['splits']
    tiles = [
        (role, f'{one["readable"]:,}', f'of {one["examples"]:,} examples can be used')
        for role, one in splits.items()
    ]
    kinds = [
        ('cannot be read', 'unreadable'),
        (ODD, 'odd'),
        (DUPLICATES, 'duplicates'),
    ]
    tiles += [(title, f'{len(facts[key]):,}', '') for title, key in kinds]
    header = ['split', 'from', 'image', 'fingerprint']
    rows = [
        (
            role,
            s['source'],
            ' x '.join(map(str, s['image_shape'])),
            s['fingerprint'][:12],
        )
        for role, s in splits.items()
    ]
    rows += [
        (role, f'the same as {o}', None, None) for role, o in facts['same'].items()
    ]
    return [Tiles(tiles=tiles), Table(header=header, rows=rows)]


def _seen(samples: Iterable[tuple[np.ndarray, str]]) -> list:
    pictures = [
        Picture(source=thumbnail(image), caption=said) for image, said in samples
    ]
    if not pictures:
        return [Text(text='The inputs are numbers, no pictures.', tone='quiet')]
    return [Pictures(title='After augmentation, labels drawn in', pictures=pictures)]


def _classes(facts: dict) -> list:
    blocks = []
    for unit, rows in facts['classes'].items():
        ratio = facts['imbalance'][unit]
        if ratio:
            said = f'The commonest class is {ratio:.3g} times the rarest in train.'
            blocks.append(Text(text=said, tone='quiet'))
        if rows:
            cells = [list(row.values()) for row in rows]
            title = f"{TITLES[unit]}, and its weight where weights are 'balanced'"
            blocks.append(Table(header=list(rows[0]), rows=cells[:LISTED], title=title))
    if facts['targets']:
        header = ['target', 'mean', 'standard deviation']
        cells = [list(row.values()) for row in facts['targets']]
        blocks.append(Table(header=header, rows=cells, title='Targets'))
    return blocks


def _defects(facts: dict) -> list:
    blocks = []
    for title, lines in defect_lines(facts).items():
        if not lines:
            continue
        headed = f'{title.capitalize()} ({len(lines):,})'
        header, rows = ['what'], [[line] for line in lines]
        if title == ODD:
            header, rows = list(ODD_HEADER), [_odd_row(one) for one in facts['odd']]
        blocks.append(Table(header=header, rows=rows[:LISTED], title=headed))
        if title == ODD:
            blocks += _gallery('How they look', [_odd(r) for r in facts['odd'][:SHOWN]])
        if title == DUPLICATES:
            firsts = [group['examples'][0] for group in facts['duplicates'][:SHOWN]]
            blocks += _gallery('Found twice', [(one, '') for one in firsts])
    if not blocks:
        return [Text(text='Every example can be read, and none is odd.', tone='lead')]
    return blocks


def _odd_row(row: dict) -> tuple:
    size = f'{row["width"]} x {row["height"]}' if row['width'] else None
    return row['name'], ', '.join(row['traits']), size, row['split']


def _odd(row: dict) -> tuple[dict, str]:
    return row, ', '.join(row['traits'])


def _gallery(title: str, shown: Sequence[tuple[dict, str]]) -> list:
    """Pictures of the files that can be read, as training is given them."""
    pictures = []
    for one, detail in shown:
        if one['path'] is None:
            continue
        try:
            image = read_picture(one['path'], 3, THUMBNAIL)
        except Unreadable:  # it has changed since it was looked at
            continue
        source = thumbnail(image)
        pictures.append(Picture(source=source, caption=one['name'], detail=detail))
    return [Pictures(title=title, pictures=pictures)] if pictures else []


def thumbnail(image: np.ndarray) -> str:
    """A picture [H, W, 3] uint8 as a data URL, its long side THUMBNAIL at most."""
    picture, file = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    picture.save(file, 'JPEG', quality=88, subsampling=0)
    return data_url(file.getvalue(), 'jpeg')
