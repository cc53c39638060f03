"""Answers are clean lines; a file is whole or as it was."""

import os
import pathlib
import subprocess
import sys

import pytest

from trainer import answers
from trainer.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_lines_of_answers():
    rows = [
        {'file': 'a,b', 'top': [{'label': 'x'}, {'label': 'ü'}]},
        {'file': 'c', 'top': [{'label': 'y'}], 'score': float('nan')},
    ]
    assert list(answers.lines(rows, 'jsonl')) == [
        '{"file": "a,b", "top": [{"label": "x"}, {"label": "ü"}]}\n',
        '{"file": "c", "top": [{"label": "y"}], "score": null}\n',
    ]
    assert list(answers.lines(rows, 'csv')) == [
        'file,label_1,label_2\n',
        '"a,b",x,ü\n',
        'c,y,\n',
    ]
    assert list(answers.lines([{'box': [1, 2]}], 'csv')) == ['box\n', '"[1, 2]"\n']


def test_keypoints_of_objects_have_columns_though_the_first_image_has_none():
    nose = {'name': 'nose', 'x': 1, 'y': 2, 'score': 0.5}
    cat = {'label': 'cat', 'score': 0.9, 'bbox': [1, 2, 3, 4], 'keypoints': [nose]}
    rows = [{'file': 'a', 'objects': []}, {'file': 'b', 'objects': [cat]}]
    assert list(answers.lines(rows, 'csv')) == [
        'file,label,score,x,y,width,height,name_1,x_1,y_1,score_1\n',
        'a,,,,,,,,,,\n',
        'b,cat,0.9,1,2,3,4,nose,1,2,0.5\n',
    ]
    assert list(answers.lines(rows[:1], 'csv'))[1:] == ['a,,,,,,\n']


def test_a_table_of_objects_has_a_row_for_each():
    cat = {'label': 'cat', 'score': 0.5, 'bbox': [1.0, 2.0, 3.5, 4.0]}
    rows = [
        {'file': 'a', 'objects': []},
        {'file': 'b', 'objects': [cat, {**cat, 'label': 'dog'}]},
    ]
    assert ''.join(answers.lines(rows, 'csv')).splitlines() == [
        'file,label,score,x,y,width,height',
        'a,,,,,,',
        'b,cat,0.5,1.0,2.0,3.5,4.0',
        'b,dog,0.5,1.0,2.0,3.5,4.0',
    ]


def test_a_device_is_written_to_and_not_replaced():
    assert answers.write(['a\n'], '/dev/null') == 1
    assert not pathlib.Path('/dev/null').is_file()


def test_a_reader_who_has_gone_ends_it_quietly():
    code = (
        'import itertools\n'
        'from trainer import answers\n'
        "answers.write(itertools.repeat('line\\n'), None)\n"
    )
    command = f'set -o pipefail; {sys.executable} -c "$CODE" | head -n 1'
    done = subprocess.run(
        ['bash', '-c', command],
        cwd=ROOT,
        env=os.environ | {'CODE': code},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, 'line\n', '')


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / 'a.jsonl'
    path.write_text('old')

    def lines():
        yield 'new'
        raise ValueError

    with pytest.raises(ValueError):
        answers.write(lines(), path)
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]
    assert answers.write(['a\n', 'b\n'], path) == 2
    assert path.read_text() == 'a\nb\n' and list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    for out, said in (
        (tmp_path, 'is a directory'),
        (tmp_path / 'no' / 'a', 'is no directory'),
        ('/proc/none', 'cannot be written|may not be written'),
    ):
        with pytest.raises(UserError, match=said):
            answers.check_out(out)
            answers.write(['a'], out)


def test_the_name_of_a_file_says_its_format():
    named = (None, 'a', 'A.CSV', '/dev/fd/63', 'a.b/c.jsonl')
    assert [answers.format_of(name) for name in named] == [
        'jsonl',
        'jsonl',
        'csv',
        'jsonl',
        'jsonl',
    ]
    for name in ('z.parquet', 'a.json', 'a.csv.gz'):
        with pytest.raises(UserError, match=r'no format, as .* --format'):
            answers.format_of(name)
