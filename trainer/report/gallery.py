"""Pictures that a run has left of its examples: worst, best and random ones."""

import pathlib

from trainer.report.blocks import KINDS, Block, Pictures, Section, Text, picture_of
from trainer.report.page import LIMIT
from trainer.report.records import Record

FOLDER = 'pictures'
TITLES = {
    'worst': 'The worst mistakes',
    'random': 'Random examples',
    'best': 'The best',
}
ROOM = LIMIT // 2  # bytes of pictures as they are on disk, before they are text


def section(record: Record) -> Section:
    """What lies in `pictures/`, as far as there is room in the page."""
    folder, room = record.directory / FOLDER, ROOM
    shown, left_out = [], 0
    paths = [p for p in folder.rglob('*') if p.suffix.lower() in KINDS]
    for path in sorted(paths, key=place_of):
        size = path.stat().st_size
        if size > room:
            left_out += 1
            continue
        room -= size
        shown.append(picture_of(path, caption=title_of(path)))
    blocks: list[Block] = []
    if shown:
        words = 'What each example is, and beside it what the net says of it.'
        blocks = [Text(text=words), Pictures(pictures=shown, wide=True)]
    if left_out:
        words = f'{left_out} more lie in {folder}: this page has no room for them.'
        blocks.append(Text(text=words, tone='quiet'))
    return Section(anchor='examples', title='Examples', blocks=blocks)


def place_of(path: pathlib.Path) -> tuple[int, str]:
    """The worst first, then as the titles stand."""
    kind = path.stem.rpartition('_')[2]
    order = [*TITLES, kind]
    return order.index(kind), str(path)


def title_of(path: pathlib.Path) -> str:
    """What is to be seen in 'val_worst.png'."""
    role, _, kind = path.stem.rpartition('_')
    return f'{TITLES[kind]} ({role} data)' if kind in TITLES else path.stem
