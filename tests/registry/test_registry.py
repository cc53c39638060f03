"""The registry: a run published under a version, found again, used as the run was."""

import hashlib
import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from tests.export_cases import CASES, untrained
from tests.in_turn import on_devices
from tests.registry.conftest import trained
from trainer import registry, rundir
from trainer.errors import UserError
from trainer.experiment import load
from trainer.predict import predict
from trainer.registry.model import Model
from trainer.signals import Stop
from trainer.train import train


def test_a_version_is_found_by_its_name_its_range_or_as_the_latest(root):
    wanted = {'digits': '1.10.0', 'digits@^1': '1.10.0', 'digits@1.0.0': '1.0.0'}
    wanted |= {'digits@latest': '1.10.0', 'letters.v2@latest': '2.0.0-rc.1'}
    for reference, version in wanted.items():
        assert registry.find(reference, root).version == version
    names = [str(one) for one in registry.listed(root=root)]
    assert names[:3] == ['digits 1.10.0', 'digits 1.9.0', 'digits 1.0.0']
    assert registry.listed(['let*'], root)[0].name == 'letters.v2'


def test_a_loaded_model_answers_as_the_run_does(run, root, digits):
    folder, images = digits
    model = registry.load('digits', '1.0.0', root)
    expected = predict(run, [folder])
    assert model.predict([folder]) == expected
    answers = model(images)['probabilities']
    assert model.class_names == tuple(map(str, range(10)))
    best = [model.class_names[index] for index in answers.argmax(-1)]
    assert best == [row['label'] for row in expected]
    likeliest = [row['probability'] for row in expected]
    np.testing.assert_allclose(answers.max(-1), likeliest, atol=1e-6)
    results = rundir.results(run)
    assert model.scores['test/acc_top1'] == results['test/acc_top1']


def test_images_of_any_size_are_brought_to_the_nets(root, digits):
    folder, images = digits
    large = np.stack([cv2.resize(image, (20, 14))[..., None] for image in images])
    paths = []
    for index, image in enumerate(large):
        paths.append(folder.parent / f'large_{index}.png')
        cv2.imwrite(str(paths[-1]), image)
    model = registry.load('digits', root=root)
    expected = [row['probability'] for row in model.predict(paths)]
    found = model(large)['probabilities'].max(-1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_places_are_in_the_pixels_of_the_images():
    model = Model(None, untrained(*CASES['segmentation']))
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 40, 3), np.uint8)
    assert model(images)['segmentation'].shape == (2, 50, 40)


def test_other_arrays_are_refused(root):
    model = registry.load('digits', root=root)
    for images in (
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 1), np.float32),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((0, 8, 8, 1), np.uint8),
    ):
        said = r'This model takes uint8 \[B, \*, \*, 1\] with B > 0, not'
        with pytest.raises(UserError, match=said):
            model(images)


def test_a_net_of_numbers_takes_numbers(tmp_path):
    few = ['EPOCHS = 1', 'Experiment.pictures = 0']
    train(load(['configs/regression.gin'], few), tmp_path / 'run', stop=Stop())
    registry.publish(tmp_path / 'run', 'line', '1.0.0', root=tmp_path)
    model = registry.load('line', root=tmp_path)
    (answers,) = model(np.linspace(-1, 1, 5, dtype=np.float32)[:, None]).values()
    assert len(answers) == 5 and np.isfinite(answers).all()
    with pytest.raises(UserError, match=r'takes float32 \[B, 1\]'):
        model(np.zeros((5, 2), np.float32))


def test_the_card_tells_a_stranger_what_it_is(run, root):
    card = registry.find('digits@1.0.0', root).card
    start = json.loads((run / 'provenance.json').read_text())[0]
    for said in (
        '# digits 1.0.0\n\nThe | first\n',
        'Licence of the data: CC BY 4.0.',
        '--model=digits@1.0.0',
        "registry.load('digits', '1.0.0')",
        '10 names of each class: 0, 1, 2,',
        'minus the mean 0.5, divided by 0.5',
        '| test | name digits, split test |',
        f'| test/acc_top1 | {round(rundir.results(run)["test/acc_top1"], 6)} |',
        '| class | val/acc | test/acc |',
        f'`python {start["command"]}`',
        '| seed | 0 |',
        'MLP.hidden_dim = 16',
    ):
        assert said in card
    assert 'Licence of the data: not given.' in registry.find('digits', root).card


def test_another_checkpoint_has_its_own_scores(run, root):
    older = registry.find('digits@1.9.0', root)
    history = json.loads((run / 'training_history.json').read_text())
    (row,) = (row for row in history if row['step'] == 10)
    assert older.step == 10 and older.score == row['val/loss']
    assert 'test/loss' not in older.scores
    assert 'No test data was scored' in older.card


def test_the_list_is_one_that_sha256sum_reads(root):
    version = registry.find('digits@1.0.0', root)
    done = subprocess.run(
        ['sha256sum', '--strict', '-c', 'SHA256SUMS'], cwd=version.path, timeout=60
    )
    assert done.returncode == 0
    lines = (version.path / 'SHA256SUMS').read_bytes().rpartition(b'# ')[0]
    assert version.sha256 == hashlib.sha256(lines).hexdigest()


def test_what_was_published_on_eight_devices_loads_on_one(tmp_path, digits):
    folder, images = digits
    config = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=1', '--gin.Parallel.fsdp=8']
    steps = [
        [*config, '--workdir=run'],
        ['publish', 'run', '--as', 'wide', '--version', '1.0.0'],
        ['predict', folder, '--model=wide'],
    ]
    said = on_devices(8, *steps, cwd=tmp_path).splitlines()
    rows = [json.loads(line) for line in said if line.startswith('{')]
    model = registry.load('wide', '1.0.0', tmp_path / 'registry')
    assert '8 x cpu' in model.card
    found = model(images)['probabilities'].max(-1)
    expected = [row['probability'] for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_no_run_and_no_version_again_are_refused(root, run, tmp_path):
    with pytest.raises(UserError, match='matches no run directory'):
        registry.publish(tmp_path / 'none', 'a', '1.0.0', root=tmp_path)
    with pytest.raises(UserError, match=r'the newest is 1\.10\.0: take a higher one'):
        registry.publish(run, 'digits', '1.0.0', root=root)
    version = registry.find('digits', root).path
    with pytest.raises(UserError, match='is a published version, which stays as it'):
        registry.publish(version, 'a', '1.0.0', root=tmp_path)
    assert not (tmp_path / 'a').exists()


def test_a_run_without_a_gin_file_is_told(run, tmp_path):
    shutil.copytree(run, tmp_path / 'run')
    (tmp_path / 'run' / 'config.gin').unlink()
    with pytest.raises(UserError, match=r'has no config\.gin: its run was begun in Py'):
        registry.publish(tmp_path / 'run', 'a', '1.0.0', root=tmp_path)


def test_a_run_of_several_seeds_names_them(tmp_path):
    trained(tmp_path / 'run', 'Experiment.seeds = [0, 1]', 'EPOCHS = 1')
    with pytest.raises(UserError, match=r'a run for each seed; publish one.*seed_0, '):
        registry.publish(tmp_path / 'run', 'a', '1.0.0', root=tmp_path)
    registry.publish(tmp_path / 'run/seed_1', 'a', '1.0.0', root=tmp_path)
    assert '| seed | 1 |' in registry.find('a', tmp_path).card
