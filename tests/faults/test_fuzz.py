"""Input of any kind is read or refused in a line; never a traceback, never a hang."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import main
from tests.faults import amounts
from tests.picture_folders import picture, write
from trainer.data.images import Images
from trainer.data.sources.coco import Coco
from trainer.data.sources.csv import Csv
from trainer.errors import Ending
from trainer.screen import escaped

FUZZ = settings(
    max_examples=amounts.FUZZ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
KEYS = (
    'BATCH',
    'EPOCHS',
    'LEARNING_RATE',
    'MLP.hidden_dim',
    'MLP.dropout',
    'Experiment.seed',
    'Experiment.model',
    'Experiment.watchdog',
    'Checkpoints.seconds',
    'Divergence.policy',
    'Images.split',
    'train/Images.augment',
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
WORDS = st.sampled_from(
    ['path', 'label', 'split', '0.png', '1.png', 'a', 'b', '-1', '1e9', '"', ',', '\n']
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A few pictures."""
    place = tmp_path_factory.mktemp('pictures')
    for number in range(4):
        write(place / f'{number}.png', picture(seed=number, height=20, width=20))
    return place


def read(source=None, **fields):
    """Reads every example, or ends in order, with one line."""
    try:
        data = Images(source=source, split='all', batch=2, **fields).open()
        for index in range(len(data)):
            data[index]
    except Ending as ending:
        said = escaped(str(ending))
        assert len(said.splitlines()) == 1, said
        assert len(said) < 1000


@pytest.mark.timeout(0)
@FUZZ
@given(st.sampled_from(KEYS), VALUES | st.text(max_size=20))
def test_gin_values(tally, capsys, key, value):
    text = value if isinstance(value, str) else repr(value)
    words = ['check', '--gin_file=configs/mlp.gin', f'--gin_bindings={key} = {text}']
    assert main.main(['main.py', *words]) in (0, 2)
    assert 'Traceback' not in ''.join(capsys.readouterr())
    tally('fuzz, gin values', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(st.lists(WORDS, max_size=30).map(''.join) | st.text() | st.binary())
def test_tables(folder, tally, content):
    path = folder / 'table.csv'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read(Csv(file=str(path)))
    head = b'path,label\n0.png,a\n1.png,b\n'
    path.write_bytes(head + path.read_bytes())
    read(Csv(file=str(path)))
    tally('fuzz, tables', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(
    VALUES, st.sampled_from(['images', 'annotations', 'categories', 'deep']), st.data()
)
def test_coco_files(folder, tally, value, where, data):
    content = {
        'images': [
            {'id': n, 'file_name': f'{n}.png', 'height': 20, 'width': 20}
            for n in range(4)
        ],
        'annotations': [
            {'id': 1, 'image_id': 0, 'category_id': 1, 'bbox': [1, 2, 9, 9]}
        ],
        'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}],
    }
    if where == 'deep':
        part = content[data.draw(st.sampled_from(sorted(content)))][0]
        part[data.draw(st.sampled_from(sorted(part)))] = value
    else:
        content[where] = value
    path = folder / 'coco.json'
    path.write_text(json.dumps(content))
    read(Coco(annotations=str(path)))
    tally('fuzz, COCO files', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(st.binary(max_size=200), st.integers(0, 400), st.booleans(), st.booleans())
def test_pictures(tmp_path_factory, tally, content, cut, whole, jpeg):
    root = tmp_path_factory.mktemp('fuzzed')
    kind = 'jpg' if jpeg else 'png'
    for number in range(3):
        for name in ('ant', 'bee'):
            write(root / name / f'{number}.{kind}', picture(seed=number))
    broken = root / 'ant' / f'1.{kind}'
    original = broken.read_bytes()
    changed = content if whole else original[:cut] + content + original[cut + 1 :]
    broken.write_bytes(changed)
    read(folder=str(root))
    tally('fuzz, pictures', survived=1)
