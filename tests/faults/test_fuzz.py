"""Data of any bytes: read, or refused in a line; never a traceback, never a hang."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from tests.faults.endings import FUZZ, VALUES, damaged, read
from tests.picture_folders import picture, write
from trainer.data.sources.arrays import Arrays
from trainer.data.sources.coco import Coco
from trainer.data.sources.csv import Csv
from trainer.data.sources.mask_folder import MaskFolder

WORDS = st.sampled_from(
    ['path', 'label', 'split', '0.png', '1.png', 'a', 'b', '-1', '1e9', '"', ',', '\n']
)
TABLE = b'path,label,split\n0.png,a,train\n1.png,b,train\n2.png,a,test\n3.png,b,test\n'
SCENES = {
    'images': [
        {'id': n, 'file_name': f'{n}.png', 'height': 20, 'width': 20} for n in range(4)
    ],
    'annotations': [
        {'id': 1, 'image_id': 0, 'category_id': 1, 'bbox': [1, 2, 9, 9], 'iscrowd': 0}
        | {'area': 81, 'segmentation': [[1, 2, 9, 2, 9, 9]]}
    ],
    'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}],
}
SHAPES = st_numpy.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
ARRAYS = st_numpy.arrays(st_numpy.scalar_dtypes() | st.just(np.dtype('U3')), SHAPES)
NAMES = ('images', 'labels', 'x_train', 'y_train', 'x_test', 'y_test', 'class_names')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A few pictures."""
    place = tmp_path_factory.mktemp('pictures')
    for number in range(4):
        write(place / f'{number}.png', picture(seed=number, height=20, width=20))
    return place


@pytest.fixture(scope='module')
def classes(tmp_path_factory):
    """Two classes of pictures, the second of each a different kind of file."""
    place = tmp_path_factory.mktemp('classes')
    for name in ('ant', 'bee'):
        for number, suffix in enumerate(('png', 'jpg', 'png')):
            image = picture(seed=number, height=20, width=20)
            write(place / name / f'{number}.{suffix}', image)
    return place


@pytest.fixture(scope='module')
def covered(tmp_path_factory):
    """Pictures with masks."""
    place = tmp_path_factory.mktemp('covered')
    mask = np.repeat(np.arange(20)[:, None] // 7, 20, 1).astype(np.uint8)
    for number in range(3):
        write(place / f'images/{number}.png', picture(height=20, width=20))
        write(place / f'masks/{number}.png', np.stack([mask] * 3, -1))
    return place


def compressed(arrays):
    """The bytes of an .npz."""
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


WHOLE = compressed(
    {'images': np.zeros((6, 4, 4, 3), np.uint8), 'labels': np.arange(6) % 2}
)


@pytest.mark.timeout(0)
@FUZZ
@given(
    damaged(TABLE)
    | st.lists(WORDS, max_size=30).map(lambda words: ''.join(words).encode())
    | st.text().map(str.encode)
    | st.binary()
)
def test_tables(folder, tally, monkeypatch, content):
    path = folder / 'table.csv'
    path.write_bytes(content)
    read(monkeypatch, Csv(file=str(path)))
    tally('fuzz, tables', survived=1)


@st.composite
def scenes(draw):
    """A COCO file with something else in one place, or damaged bytes."""
    content = json.loads(json.dumps(SCENES))
    where = draw(st.sampled_from(['bytes', 'top', 'one', 'field']))
    if where == 'bytes':
        return draw(damaged(json.dumps(content).encode()))
    part = draw(st.sampled_from(sorted(content)))
    if where == 'top':
        content[part] = draw(VALUES)
    elif where == 'one':
        content[part][0] = draw(VALUES)
    else:
        content[part][0][draw(st.sampled_from(sorted(content[part][0])))] = draw(VALUES)
    return json.dumps(content).encode()


@pytest.mark.timeout(0)
@FUZZ
@given(scenes())
def test_coco_files(folder, tally, monkeypatch, content):
    path = folder / 'coco.json'
    path.write_bytes(content)
    read(monkeypatch, Coco(annotations=str(path)))
    tally('fuzz, COCO files', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(st.data(), st.sampled_from(['ant/0.png', 'ant/1.jpg']))
def test_pictures(classes, tally, monkeypatch, data, name):
    whole = (classes / name).read_bytes()
    try:
        changed = data.draw(damaged(whole) | st.binary(max_size=200))
        (classes / name).write_bytes(changed)
        read(monkeypatch, folder=str(classes))
    finally:
        (classes / name).write_bytes(whole)
    tally('fuzz, pictures', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(
    damaged(WHOLE)
    | st.dictionaries(st.sampled_from(NAMES), ARRAYS, max_size=4).map(compressed)
    | st.fixed_dictionaries({'images': ARRAYS, 'labels': ARRAYS}).map(compressed)
)
def test_arrays(tmp_path, tally, monkeypatch, content):
    path = tmp_path / 'arrays.npz'
    path.write_bytes(content)
    read(monkeypatch, Arrays(file=str(path)))
    tally('fuzz, arrays', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(st.data())
def test_masks(covered, tally, monkeypatch, data):
    path = covered / 'masks/1.png'
    whole = path.read_bytes()
    try:
        path.write_bytes(data.draw(damaged(whole) | st.binary(max_size=100)))
        read(monkeypatch, MaskFolder(folder=str(covered)))
    finally:
        path.write_bytes(whole)
    tally('fuzz, masks', survived=1)
