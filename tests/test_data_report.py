"""The report on the data: everything odd is named, and what is left still trains."""

import json
import os
import re

import pytest

import main
from tests.picture_folders import COLOURS, picture, write, write_classes, write_zoo

HOSTILE = '<script>alert(1)<'
MLP = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=1', '--gin.MLP.hidden_dim=8']


def varied_zoo(root):
    """The zoo, with no picture twice but the one that is meant to be."""
    write_zoo(root)
    for number, path in enumerate(sorted(root.glob('*/*/[0-9]*.jpg'))):
        if path.name != '1.jpg' or path.parts[-2:] != ('cat', '1.jpg'):
            write(path, picture(COLOURS[path.parts[-2]], seed=100 + number))
    copied = (root / 'train/cat/1.jpg').read_bytes()
    (root / 'test/cat/copy.jpg').write_bytes(copied)
    (root / 'test/cat/1.jpg').unlink()
    return root


def report(capsys, *arguments, code=0):
    """What `data --json` prints."""
    capsys.readouterr()
    done = main.main(['main.py', 'data', *map(str, arguments), '--json'])
    said = capsys.readouterr()
    assert done == code, said.err
    return json.loads(said.out) if said.out else said.err


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return varied_zoo(tmp_path / 'zoo')


def of(folder):
    return f"--gin_bindings=Images.folder = '{folder}'"


def test_everything_odd_in_the_zoo_is_named(zoo, capsys):
    found = report(capsys, *MLP, of('zoo'), '--gin.train/Images.split="train"')
    lines = ' | '.join(row['line'] for row in found['unreadable'])
    assert 'zoo/train/ant/broken.jpg: HTML' in lines and 'bee/cut.JPG: damaged' in lines
    assert [row['name'] for row in found['classes']['examples']] == [*COLOURS]
    assert found['remarks'] == ['zoo: class dog is dropped: no picture in it']
    names = {row['name'].split('/')[-1]: row['traits'] for row in found['odd']}
    assert names == {
        'alpha.png': ['RGBA'],
        'grey.PNG': ['greyscale'],
        'print.jpeg': ['CMYK'],
        'turned.jpg': ['EXIF-rotated'],
        'deep.png': ['16-bit', 'greyscale'],
    }
    across = [g for g in found['duplicates'] if g['across_splits']]
    files = [{one['name'] for one in group['examples']} for group in across]
    assert {'train/cat/1.jpg', 'test/cat/copy.jpg'} in files


def test_weights_and_imbalance_are_those_of_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, count in (('ant', 4), ('bee', 12)):
        for number in range(count):
            image = picture(COLOURS[name], seed=number)
            write(tmp_path / f'photos/train/{name}/{number}.png', image)
            write(tmp_path / f'photos/test/{name}/{number}.png', 255 - image)
    found = report(capsys, *MLP, of('photos'), '--gin.train/Images.split="train"')
    ant, bee = found['classes']['examples']
    assert (ant['train'], bee['train']) == (4, 12)
    assert ant['weight'] == 2 and bee['weight'] == pytest.approx(2 / 3)
    assert found['imbalance'] == {'examples': 3}


def test_the_page_and_the_text_hold_it_all_and_escape_it(zoo, capsys):
    (zoo / 'train/ant').rename(zoo / 'train' / HOSTILE)
    (zoo / 'test/ant').rename(zoo / 'test' / HOSTILE)
    arguments = ['main.py', 'data', *MLP, of('zoo'), '--out=said']
    assert main.main(arguments) == 0
    said = capsys.readouterr()
    assert 'odd pictures: 5' in said.out and 'said/data.html' in said.err
    made = (zoo.parent / 'said/data.html').read_text()
    assert '<script' not in made and '&lt;script&gt;alert(1)&lt;' in made
    assert made.count('data:image/jpeg') > 20
    assert not re.findall(r'(?:src|href)="(?!data:|#)', made)
    facts = json.loads((zoo.parent / 'said/data.json').read_text())
    assert facts['splits']['train']['examples'] == 28


def test_training_on_the_zoo_completes_and_names_what_it_left_out(zoo, here):
    small = '--gin.BATCH=8'
    done = here(*MLP, of('zoo'), small, '--workdir=run', cwd=zoo.parent)
    assert done.returncode == 0, done.stderr
    results = json.loads((zoo.parent / 'run/results.json').read_text())
    left = [line for lines in results['left_out'].values() for line in lines]
    assert len(left) == 2
    assert 'broken.jpg' in ' '.join(left) and 'cut.JPG' in ' '.join(left)


def test_no_tensorflow_is_needed(zoo, juniper):
    (zoo.parent / 'tensorflow.py').write_text('raise ImportError("not here")')
    done = juniper('data', *MLP, of('zoo'), cwd=zoo.parent, PYTHONPATH=zoo.parent)
    assert done.returncode == 0, done.stderr
    assert (zoo.parent / 'reports/data_mlp/data.html').exists()


def test_nothing_left_to_train_on_is_a_mistake(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / 'photos', 6)
    for path in [*tmp_path.glob('photos/bee/*'), *tmp_path.glob('photos/cat/*')]:
        path.write_bytes(b'')
    assert main.main(['main.py', 'data', *MLP, of('photos')]) == 2
    assert 'one class only that can be read, ant' in capsys.readouterr().err
    for path in tmp_path.glob('photos/ant/*'):
        path.write_bytes(b'')
    assert 'cannot be read' in report(capsys, *MLP, of('photos'), code=2)
    (tmp_path / 'empty').mkdir()
    assert 'holds no picture' in report(capsys, *MLP, of('empty'), code=2)
    assert 'There is no folder' in report(capsys, *MLP, of('nowhere'), code=2)


def test_every_trouble_of_a_file_system_is_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = write_classes(tmp_path / 'photos', 12)
    (root / 'ant/empty.jpg').write_bytes(b'')
    (root / 'bee/bomb.jpg').write_bytes(b'P5 20000 20000 255\n' + bytes(64))
    os.symlink(root, root / 'ant/loop')
    os.symlink('nothing.jpg', root / 'cat/dangling.jpg')
    odd = os.fsdecode(os.fsencode(root / 'cat') + b'/\xff.jpg')
    with open(odd, 'wb') as file:
        file.write(b'no picture')
    split = '--gin.train/Images.split="all"'
    found = report(capsys, *MLP, of('photos'), split)
    said = [row['line'] for row in found['unreadable'] if row['split'] == 'train']
    said += found['problems'] + found['remarks']
    for words in (
        'empty.jpg: an empty file',
        'bomb.jpg: 20,000 x 20,000 pixels, more than 50 million',
        'loop: leads where we were already',
        'dangling.jpg: a link that leads nowhere',
        r'\udcff.jpg: no picture of a known kind',
    ):
        assert any(words in line for line in said), (words, said)


@pytest.mark.parametrize(
    ('config', 'unit'),
    [
        ('mlp', 'examples'),
        ('multilabel', 'labels'),
        ('unet_segmentation', 'pixels'),
        ('detector', 'objects'),
        ('unet_keypoints', 'objects'),
    ],
)
def test_every_task_has_its_counts_and_its_pictures(config, unit, tmp_path, capsys):
    arguments = [f'--gin_file=configs/{config}.gin', f'--out={tmp_path}']
    if config != 'mlp':
        arguments += ['--gin.Shapes.train=60', '--gin.Shapes.test=10']
    found = report(capsys, *arguments)
    assert unit in found['classes'] and found['unreadable'] == []
    assert (tmp_path / 'data.html').read_text().count('data:image/jpeg') == 24


def test_numbers_to_predict_are_described(tmp_path, capsys):
    arguments = ['--gin_file=configs/regression.gin', f'--out={tmp_path}']
    found = report(capsys, *arguments)
    assert found['classes'] == {} and len(found['targets']) == 1
    assert 'The inputs are numbers' in (tmp_path / 'data.html').read_text()
