"""Answers that programs read: JSON lines or CSV, on stdout or in a whole file.

Knows rows of plain values by name; nothing of where they come from.
"""

import contextlib
import csv
import itertools
import json
import os
import pathlib
import sys
import types
from collections.abc import Iterable, Iterator

from trainer import files
from trainer.errors import UserError
from trainer.overwriting import check_file

SUFFIXES = {'.jsonl': 'jsonl', '.csv': 'csv'}  # that say a format
REPLACED = (*SUFFIXES, '.json')  # of answers, which the same command writes again
OBJECT = ('label', 'score', 'x', 'y', 'width', 'height')  # columns of objects in CSV


def lines(rows: Iterable[dict], form: str) -> Iterator[str]:
    """One line for each row; CSV has the names of the first whole one on top.

    Args:
      rows: values by name; a list of such, as in `{'top': [{'label': 'a'}]}`, has
        CSV columns 'label_1' and so on, `objects`, of which each image has its own
        number, a row each; all else that is nested is JSON in its cell.
      form: 'jsonl', 'csv', or 'coco': all rows as one JSON list, a line each.
    """
    if form == 'coco':
        yield from _listed(rows)
        return
    if form == 'jsonl':
        for row in rows:
            yield json.dumps(files.plain(row), ensure_ascii=False) + '\n'
        return
    writer = csv.writer(types.SimpleNamespace(write=str), lineterminator='\n')
    rows = map(_flat, itertools.chain.from_iterable(map(_listing, rows)))
    first = list(_to_the_first_object(rows))
    names = list(first[-1]) if first else []
    if names:
        yield writer.writerow(names)
    for row in itertools.chain(first, rows):
        yield writer.writerow([row.get(name) for name in names])


def _to_the_first_object(rows: Iterator[dict]) -> Iterator[dict]:
    """The rows to the first that is whole: that of no object lacks its keypoints."""
    for row in rows:
        yield row
        if row.get('label', '') is not None:
            return


def _listed(rows: Iterable[dict]) -> Iterator[str]:
    before = '['
    for row in rows:
        yield f'{before}{json.dumps(files.plain(row), ensure_ascii=False)}'
        before = ',\n'
    yield '[]\n' if before == '[' else ']\n'


def format_of(out: str | os.PathLike | None) -> str:
    """The format that a file's name asks for; JSON lines where it has no suffix.

    Raises:
      UserError: a suffix that says no format.
    """
    suffix = pathlib.Path(out or '').suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise UserError(
            f'--out={out} says no format, as {" and ".join(SUFFIXES)} do; call the '
            f'file so, or say which with --format.'
        )
    return SUFFIXES.get(suffix, 'jsonl')


def check_out(
    out: str | os.PathLike | None,
    suffixes: Iterable[str] = REPLACED,
    inputs: Iterable[str | os.PathLike] = (),
) -> None:
    """Raises UserError where that file cannot or must not be written; writes nothing.

    Args:
      out: the file of --out, if any.
      suffixes, inputs: as `overwriting.check_file` takes them.
    """
    if out is None:
        return
    files.check_local(out, '--out')
    path = pathlib.Path(out).expanduser()
    if path.is_dir():
        raise UserError(f'--out={out} is a directory; name a file in it.')
    if not os.access(path.parent, os.W_OK):
        there = 'may not be written' if path.parent.is_dir() else 'is no directory'
        raise UserError(f'--out={out}: {path.parent} {there}; name another file.')
    check_file(out, suffixes, inputs)


def write(text: Iterable[str], out: str | os.PathLike | None) -> int:
    """Writes lines as they come, to stdout where `out` is None; returns their number.

    A file is whole or as it was; a reader of stdout who has gone ends it quietly.

    Raises:
      UserError: the file cannot be written.
    """
    if out is None:
        return _to_stdout(text)
    try:
        with _whole(pathlib.Path(out).expanduser()) as file:
            return sum(1 for line in text if file.write(line))
    except OSError as error:
        raise UserError(
            f'--out={out} cannot be written: {os.strerror(error.errno)}.'
        ) from error


def _listing(row: dict) -> list[dict]:
    """A row for each object of an image; one with empty cells where it has none."""
    if 'objects' not in row:
        return [row]
    rest = {name: value for name, value in row.items() if name != 'objects'}
    rows = []
    for found in row['objects']:
        cells = found['label'], found['score'], *found['bbox']
        points = {'keypoints': found['keypoints']} if 'keypoints' in found else {}
        rows.append({**rest, **dict(zip(OBJECT, cells, strict=True)), **points})
    return rows or [{**rest, **dict.fromkeys(OBJECT)}]


def _flat(row: dict) -> dict:
    """A row with one cell for each name."""
    cells = {}
    for name, value in files.plain(row).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for rank, item in enumerate(value, 1):
                cells |= {f'{key}_{rank}': part for key, part in item.items()}
        else:
            nested = isinstance(value, list | dict)
            cells[name] = json.dumps(value, ensure_ascii=False) if nested else value
    return cells


def _to_stdout(text: Iterable[str]) -> int:
    count = 0
    encoding = getattr(sys.stdout, 'encoding', None) or 'utf-8'
    try:
        for line in text:
            sys.stdout.write(line.encode(encoding, 'backslashreplace').decode(encoding))
            sys.stdout.flush()
            count += 1
    except BrokenPipeError:  # such as `| head`; what is left must not fail at exit too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return count


@contextlib.contextmanager
def _whole(path: pathlib.Path):
    """A file to write that takes its name when all is written."""
    options = {'encoding': 'utf-8', 'errors': 'surrogateescape', 'newline': ''}
    if path.exists() and not path.is_file():  # /dev/null must stay what it is
        with path.open('w', **options) as file:
            yield file
        return
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        with partial.open('w', **options) as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
