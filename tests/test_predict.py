"""Predictions of image files: what evaluation says of the same images, and no less."""

import csv
import json
import pathlib
import subprocess

import cv2
import numpy as np
import pytest

import main
from trainer.data.images import Images
from trainer.errors import UserError
from trainer.experiment import load
from trainer.predict import Predictor, open_predictor, predict
from trainer.train import train

SMALL = ['MLP.hidden_dim = 16', 'EPOCHS = 2']


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A finished run, and its results."""
    directory = tmp_path_factory.mktemp('runs') / 'mlp'
    return directory, train(load(['configs/mlp.gin'], SMALL), directory)


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """All images that the run was tested on, as files in their order."""
    folder = tmp_path_factory.mktemp('digits')
    data = Images(name='digits', split='test', batch=1).open()
    for index in range(len(data)):
        path = folder / f'{index:03}_{data[index]["label"]}.png'
        cv2.imwrite(str(path), data[index]['image'])
    return folder


@pytest.fixture
def photos(digits, tmp_path, monkeypatch):
    """Where commands are given: two digits, what is no image, and a larger photo."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'photos'
    (folder / 'more').mkdir(parents=True)
    for name, number in (('b.png', 0), ('more/a.png', 1)):
        (folder / name).write_bytes(sorted(digits.iterdir())[number].read_bytes())
    (folder / 'broken.png').write_bytes((folder / 'b.png').read_bytes()[:60])
    (folder / 'empty.jpg').write_bytes(b'')
    (folder / 'notes.txt').write_text('no image')
    (folder / '.hidden.png').write_bytes((folder / 'b.png').read_bytes())
    return folder


def test_predictions_are_what_evaluation_scored(run, digits, monkeypatch):
    directory, results = run
    compiled = []
    compile_once = Predictor._compile
    monkeypatch.setattr(
        Predictor, '_compile', lambda *given: compiled.append(1) or compile_once(*given)
    )
    monkeypatch.setattr(Images, 'open', None)  # the data is not needed any more
    rows = predict(directory, [digits], top=3)
    assert [row['file'] for row in rows] == [str(p) for p in sorted(digits.iterdir())]
    right = [pathlib.Path(row['file']).stem[-1] == row['label'] for row in rows]
    assert np.mean(right) == pytest.approx(results['test/acc_top1'])
    assert len(rows) > 2 * 128 and len(compiled) == 1


def test_a_row_has_the_likeliest_classes_first(run, digits):
    rows = predict(run[0], [digits], top=20)
    for row in rows:
        probabilities = [one['probability'] for one in row['top']]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert (row['label'], row['probability']) == tuple(row['top'][0].values())
        assert {one['label'] for one in row['top']} == set('0123456789')
    few = predict(run[0], sorted(digits.iterdir())[:3], top=2)
    assert [len(row['top']) for row in few] == [2, 2, 2]
    for one, other in zip(few, rows, strict=False):  # padding changes nothing
        assert one['probability'] == pytest.approx(other['probability'], abs=1e-6)


def test_what_is_no_image_is_named_and_the_rest_predicted(run, photos, capsys):
    words = ['photos/more', 'nowhere.png', 'photos', 'photos/more/a.png']
    rows = predict(run[0], words)
    files = [row['file'] for row in rows]
    assert files == ['photos/more/a.png', 'photos/b.png', *['photos/more/a.png'] * 2]
    assert rows[0]['top'] == rows[2]['top'] == rows[3]['top']
    warned = capsys.readouterr().err.splitlines()
    assert [line.partition(' (')[0] for line in warned] == [
        'warning: nowhere.png: No such file or directory',
        'warning: photos/broken.png: damaged',
        'warning: photos/empty.jpg: an empty file',
    ]


def test_where_there_is_no_image_nothing_is_predicted(run, photos):
    for words in (['nowhere', 'photos/broken.png'], []):
        with pytest.raises(UserError, match=f'of {len(words)} files none is an image'):
            predict(run[0], words)


def test_images_of_other_sizes_and_colours_are_brought_to_the_runs(run, photos, capsys):
    small = cv2.imread(str(photos / 'b.png'))
    large = cv2.resize(small, (64, 64), interpolation=cv2.INTER_NEAREST)
    for name in ('large.bmp', 'larger.bmp'):
        cv2.imwrite(str(photos / name), large)
    expected, *others = predict(run[0], [photos / n for n in ('b.png', 'large.bmp')])
    assert others[0]['top'] == expected['top']
    predict(run[0], [photos / 'large.bmp', photos / 'larger.bmp'])
    (line,) = capsys.readouterr().err.splitlines()[1:]
    assert 'has 64x64 pixels' in line and '8x8 are resized to it' in line


def test_any_function_of_the_net_may_be_asked(run, digits):
    def brightness(params, model_state, images):
        return {'mean': images.mean((1, 2, 3))}

    predictor = open_predictor(run[0], 'best')
    paths = sorted(digits.iterdir())[:5]
    ((files, arrays),) = predictor.outputs(paths, brightness)
    images = np.stack([cv2.imread(str(path), 0) for path in paths])
    expected = (images / 255 - 0.5).mean((1, 2)) / 0.5
    assert files == paths
    np.testing.assert_allclose(arrays['mean'], expected, atol=1e-5)


def test_checkpoints_are_chosen_and_never_replaced(run, digits, tmp_path):
    directory = run[0]
    image = sorted(digits.iterdir())[:1]
    first, last = (
        predict(directory, image, checkpoint='10'),
        predict(directory, image, checkpoint='last'),
    )
    assert first != last
    with pytest.raises(UserError, match='choose best, last or 10, 20'):
        predict(directory, image, checkpoint='15')


def test_a_damaged_checkpoint_is_refused(run, digits, tmp_path):
    directory = tmp_path / 'run'
    subprocess.run(['cp', '-r', run[0], directory], check=True)
    saved = directory / 'checkpoints' / '20'
    largest = max(saved.rglob('*'), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    for position in range(0, len(data), 1024):  # wherever the weights are
        data[position] ^= 255
    largest.write_bytes(data)
    with pytest.raises(UserError, match='20 is damaged'):
        predict(directory, [digits], checkpoint='last')
    assert saved.is_dir()
    assert predict(directory, [digits], checkpoint='10')


def test_the_command_keeps_stdout_clean(run, photos, capfd):
    arguments = ['predict', 'photos', f'--workdir={run[0]}', '--top=2']
    assert main.main(['main.py', *arguments]) == 0
    out, err = capfd.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows == predict(run[0], ['photos'], top=2)
    assert err.splitlines()[-1] == f'2 of 4 predicted by {run[0]}, step 20'


def test_the_command_writes_a_table(run, photos, capsys):
    arguments = ['predict', 'photos', f'--workdir={run[0]}', '--out=new.csv', '--top=2']
    assert main.main(['main.py', *arguments]) == 0
    out, err = capsys.readouterr()
    assert out == '' and err.splitlines()[-1].startswith('2 of 4 predicted')
    with open('new.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    expected = predict(run[0], ['photos'], top=2)
    for row, wanted in zip(rows, expected, strict=True):
        assert (row['file'], row['label']) == (wanted['file'], wanted['label'])
        assert float(row['probability_2']) == wanted['top'][1]['probability']
    assert main.main(['main.py', *arguments, '--format=jsonl']) == 0
    assert json.loads(pathlib.Path('new.csv').read_text().splitlines()[0])


def test_where_nothing_can_be_predicted_nothing_is_written(run, photos, capsys):
    pathlib.Path('old.csv').write_text('old')
    before = sorted(photos.parent.iterdir())
    arguments = ['predict', 'photos/broken.png', f'--workdir={run[0]}']
    assert main.main(['main.py', *arguments, '--out=old.csv']) == 2
    assert 'Nothing was predicted' in capsys.readouterr().err
    assert pathlib.Path('old.csv').read_text() == 'old'
    assert sorted(photos.parent.iterdir()) == before


def test_eight_devices_share_few_images(run, photos, juniper):
    eight = '--xla_force_host_platform_device_count=8'
    arguments = ['predict', 'photos', f'--workdir={run[0]}', '--top=1']
    done = juniper(*arguments, cwd=photos.parent, XLA_FLAGS=eight)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row, wanted in zip(rows, predict(run[0], ['photos'], top=1), strict=True):
        assert row['label'] == wanted['label']
        assert row['probability'] == pytest.approx(wanted['probability'], abs=1e-6)
