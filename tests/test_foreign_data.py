"""Files of somebody else's writing train, and are predicted, with only paths given."""

import contextlib
import io
import json

import cv2
import numpy as np
import pytest

import main
from models import resnet
from tests.foreign_files import CATEGORIES, SIDES, write_coco, write_masks
from trainer.experiment import load
from trainer.job import open_job
from trainer.predict import predict
from trainer.train import train

TINY = ['EPOCHS = 1', 'BATCH = 4', 'Experiment.eval_every = 1']


@pytest.fixture(scope='module', autouse=True)
def narrow(quickly_compiled):
    """The detector's net with a block in each stage and few channels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, 'WIDTHS', (8, 16, 24, 32))
        patch.setitem(resnet.STAGES, 18, (resnet.STAGES[18][0], (1, 1, 1, 1)))
        yield


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp('coco'))


def coco_paths(file):
    """The bindings of a COCO file: where it lies."""
    return [
        'Images.source = @Coco()',
        f"Coco.annotations = '{file}'",
        f"Coco.images = '{file.parent / 'pictures'}'",
    ]


@pytest.fixture(scope='module')
def detector(coco, tmp_path_factory):
    """A detector of somebody's objects, hardly trained."""
    directory = tmp_path_factory.mktemp('runs') / 'detector'
    bindings = [*coco_paths(coco), *TINY]
    return directory, train(load(['configs/detector.gin'], bindings), directory)


@pytest.fixture(scope='module')
def pointer(coco, tmp_path_factory):
    """A finder of somebody's keypoints, hardly trained."""
    directory = tmp_path_factory.mktemp('runs') / 'pointer'
    bindings = [*coco_paths(coco), *TINY, 'UNet.width = 8']
    return directory, train(load(['configs/unet_keypoints.gin'], bindings), directory)


@pytest.fixture(scope='module')
def painter(tmp_path_factory):
    """A painter of somebody's masks, hardly trained, and their folder."""
    folder = write_masks(tmp_path_factory.mktemp('pairs'))
    directory = tmp_path_factory.mktemp('runs') / 'painter'
    bindings = ['Images.source = @MaskFolder()', f"MaskFolder.folder = '{folder}'"]
    bindings += [*TINY, 'UNet.width = 8']
    experiment = load(['configs/unet_segmentation.gin'], bindings)
    return directory, train(experiment, directory), folder


def command(*arguments):
    assert main.main(['main.py', 'predict', *map(str, arguments)]) == 0


def loaded(coco, results, monkeypatch):
    """Results as pycocotools has them, with the score of its own evaluation."""
    pytest.importorskip('pycocotools')
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(coco))
        return truth, truth.loadRes(str(results))


def test_boxes_train_and_are_given_back_in_cocos_format(
    detector, coco, tmp_path, monkeypatch
):
    directory, results = detector
    assert 0 <= results['test/map50'] <= 1 and 'test/ap_class_0' in results
    out = tmp_path / 'results.json'
    pictures = coco.parent / 'pictures'
    command(
        pictures,
        f'--workdir={directory}',
        '--format=coco',
        f'--out={out}',
        f'--annotations={coco}',
        f'--overlays={tmp_path / "drawn"}',
    )
    found = json.loads(out.read_text())
    known = {image['id'] for image in json.loads(coco.read_text())['images']}
    assert found and {one['image_id'] for one in found} <= known
    assert {one['category_id'] for one in found} <= {3, 17, 90}
    for x, y, width, height in (one['bbox'] for one in found):
        assert 0 <= x <= x + width <= SIDES[1] + 1e-3
        assert 0 <= y <= y + height <= SIDES[0] + 1e-3
    rows = predict(directory, [pictures])
    assert sum(len(row['objects']) for row in rows) == len(found)
    assert rows[0]['objects'][0]['bbox'] == found[0]['bbox']
    drawn = sorted((tmp_path / 'drawn').iterdir())
    assert [path.name for path in drawn] == [f'{n:04}.png' for n in range(1, 25)]
    assert cv2.imread(str(drawn[0])).shape[1] % SIDES[1] == 0
    _, taken = loaded(coco, out, monkeypatch)
    assert len(taken.getAnnIds()) == len(found)


def test_keypoints_train_and_lose_their_half_pixel(
    pointer, coco, tmp_path, monkeypatch
):
    directory, results = pointer
    assert 0 <= results['test/pck@0.1'] <= 1
    out, picture = tmp_path / 'points.json', coco.parent / 'pictures' / '0001.png'
    command(picture, f'--workdir={directory}', '--format=coco', f'--out={out}')
    (one,) = json.loads(out.read_text())
    (row,) = predict(directory, [picture])
    assert (one['image_id'], one['category_id']) == (1, 17)
    places = np.reshape(one['keypoints'], (4, 3))
    names = [point['name'] for point in row['keypoints']]
    assert names == CATEGORIES[2]['keypoints']
    said = [(point['x'], point['y']) for point in row['keypoints']]
    np.testing.assert_allclose(places[:, :2] + 0.5, said, atol=1e-4)
    assert (places[:, 2] == 1).all() and one['score'] == row['score']
    command(
        picture,
        f'--workdir={directory}',
        '--format=coco',
        f'--out={out}',
        f'--annotations={coco}',
    )
    truth, taken = loaded(coco, out, monkeypatch)
    assert taken.getImgIds() == truth.getImgIds()


def test_masks_train_and_are_given_back_as_pictures(painter, tmp_path, capsys):
    directory, results, folder = painter
    assert 0 <= results['test/miou'] <= 1 and 'test/iou_class_3' in results
    command(
        folder / 'images',
        f'--workdir={directory}',
        f'--masks={tmp_path / "m"}',
        f'--overlays={tmp_path / "o"}',
    )
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 24 and sum(rows[0]['shares'].values()) == pytest.approx(1)
    mask = cv2.imread(rows[0]['mask'], cv2.IMREAD_UNCHANGED)
    from trainer.data.masks import read_mask

    classes = read_mask(rows[0]['mask'])
    assert classes.shape == SIDES and mask is not None
    kept = classes != 255  # a net of squares has not seen all of an oblong picture
    assert kept[:, 8:56].all() and not kept[:, :7].any() and classes[kept].max() < 4
    share = (classes[kept] == 0).mean()
    assert rows[0]['shares']['0'] == pytest.approx(share)
    assert len(list((tmp_path / 'o').iterdir())) == 24


def test_bad_labels_are_left_out_or_end_the_run(coco, tmp_path, capsys):
    content = json.loads(coco.read_text())
    content['images'][3]['file_name'] = 'gone.png'
    content['annotations'][0]['bbox'] = [500, 500, 10, 10]
    number, identity = content['annotations'][0]['id'], content['images'][3]['id']
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(content))
    paths = coco_paths(file)[:2] + coco_paths(coco)[2:]
    job = open_job(load(['configs/detector.gin'], [*paths, *TINY]))
    said = ' | '.join(job.datasets['train'].skipped)
    assert f'{file}: image {identity} (gone.png): No such file' in said
    assert f'{file}: annotation {number} of image' in said and 'lies outside' in said
    words = [f'--gin_bindings={text}' for text in [*paths, *TINY]]
    words += ['--gin_file=configs/detector.gin', "--gin.Images.on_error='fail'"]
    assert main.main(['main.py', *words, f'--workdir={tmp_path / "run"}']) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert f'image {identity} (gone.png)' in last and '(and 1 more)' in last


def test_the_best_and_worst_are_drawn(detector, pointer, painter):
    for directory in (detector[0], pointer[0], painter[0]):
        sheets = sorted((directory / 'pictures').iterdir())
        assert [path.name[4:] for path in sheets] == [
            'best.png',
            'random.png',
            'worst.png',
        ]
        shapes = {cv2.imread(str(path)).shape for path in sheets}
        assert min(min(shape[:2]) for shape in shapes) > 160


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--format=coco'], "COCO's results are boxes or keypoints, and this run"),
        (['--annotations=x.json'], 'add --format=coco'),
        (['--overlays=images.txt/x'], '--overlays=images.txt/x cannot be written'),
    ],
)
def test_what_a_run_cannot_give_is_refused(
    painter, tmp_path, monkeypatch, capsys, flags, message
):
    directory, _, folder = painter
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'images.txt').write_text('')
    words = [folder / 'images' / '0000.jpg', f'--workdir={directory}', *flags]
    assert main.main(['main.py', 'predict', *map(str, words)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]


def test_annotations_that_do_not_know_the_picture(pointer, tmp_path, capsys):
    picture = tmp_path / 'new.png'
    cv2.imwrite(str(picture), np.zeros((*SIDES, 3), np.uint8))
    (tmp_path / 'no.json').write_text('{"images": [{"id": 1}]}')
    for file, message in [
        ('none.json', 'cannot be read: No such file'),
        ('no.json', "is no COCO file (KeyError: 'file_name')"),
    ]:
        words = [picture, f'--workdir={pointer[0]}', '--format=coco']
        words += [f'--annotations={tmp_path / file}']
        assert main.main(['main.py', 'predict', *map(str, words)]) == 2
        assert message in capsys.readouterr().err


def test_masks_of_a_run_without_masks_are_refused(pointer, coco, tmp_path, capsys):
    picture = coco.parent / 'pictures' / '0001.png'
    words = [picture, f'--workdir={pointer[0]}', f'--masks={tmp_path / "m"}']
    assert main.main(['main.py', 'predict', *map(str, words)]) == 2
    assert '--masks needs a run that gives each pixel' in capsys.readouterr().err
    assert not (tmp_path / 'm').exists()
