"""Pictures of the best, worst and random examples: the right ones, for each task."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from trainer.experiment import load
from trainer.gallery import Exhibit, choose, exhibit_pictures, look, write_gallery
from trainer.job import open_job
from trainer.train import train

MLP = 'configs/models/mlp.gin'
SMALL = ['EPOCHS = 1', 'BATCH = 16', 'Shapes.train = 64', 'Shapes.test = 8']
SMALL += ['MLP.hidden_dim = 8', 'Shapes.size = 16']
KINDS = ('best', 'random', 'worst')


def exhibits(losses):
    return (Exhibit(index, loss, {}, {}) for index, loss in enumerate(losses))


def test_best_worst_and_random_ones_are_chosen():
    losses = [0.5, 0.1, float('nan'), 0.9, 0.2, 0.7, 0.3]
    chosen = choose(exhibits(losses), 2)
    found = {name: [one.index for one in ones] for name, ones in chosen.items()}
    assert found['best'] == [1, 4] and found['worst'] == [2, 3]
    assert len(set(found['random'])) == 2
    assert choose(exhibits(losses), 2)['random'] == chosen['random']
    assert {len(ones) for ones in choose(exhibits(losses[:1]), 2).values()} == {1}


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """A finished run on digits, and its job."""
    directory = tmp_path_factory.mktemp('runs') / 'mlp'
    experiment = load(['configs/mlp.gin'], ['MLP.hidden_dim = 8', 'EPOCHS = 1'])
    train(experiment, directory)
    return directory, open_job(experiment)


def test_a_run_leaves_three_small_sheets(digits):
    directory, _ = digits
    sheets = sorted((directory / 'pictures').iterdir())
    assert [path.name for path in sheets] == [f'val_{kind}.png' for kind in KINDS]
    for path in sheets:
        assert path.stat().st_size < 100_000
        with Image.open(path) as sheet:
            assert sheet.width > 2 * 160 and sheet.height > 4 * 160


def test_losses_are_those_of_the_evaluation(digits):
    directory, job = digits
    state = job.init_state()
    seen = list(look(job, 'eval', *state.weights))
    assert [one.index for one in seen] == list(range(144))
    from trainer.evaluate import evaluate

    mean = evaluate(job, 'eval', *state.weights)['val/loss']
    assert np.mean([one.loss for one in seen]) == pytest.approx(mean, rel=1e-5)
    assert write_gallery(job, *state.weights, directory, stop=True) == []
    left, right = exhibit_pictures(seen[0], job.datasets['eval'])
    assert left.shape == right.shape
    np.testing.assert_array_equal(left[:160], right[:160])


@pytest.mark.parametrize(
    ('config', 'bindings'),
    [
        ('multilabel', []),
        ('multilabel', ["Shapes.kind = 'target'", 'Experiment.task = @Regression()']),
    ],
)
def test_tasks_without_places_say_what_they_find(tmp_path, config, bindings):
    if bindings:
        extra = [*bindings, 'Net.head = @Regressor']
        text = f"include 'configs/{config}.gin'\ninclude '{MLP}'\n" + '\n'.join(extra)
        (tmp_path / 'own.gin').write_text(text.replace('MultiLabel.', '# '))
        files = [str(tmp_path / 'own.gin')]
    else:
        files = [f'configs/{config}.gin', MLP]
    experiment = load(files, SMALL)
    experiment = dataclasses.replace(experiment, pictures=2)
    results = train(experiment, tmp_path / 'run')
    assert np.isfinite(results['test/loss'])
    assert len(list((tmp_path / 'run/pictures').iterdir())) == 3


def test_none_are_drawn_where_none_are_asked_for_or_there_are_no_images(tmp_path):
    experiment = load(['configs/mlp.gin'], ['MLP.hidden_dim = 8', 'EPOCHS = 1'])
    train(dataclasses.replace(experiment, pictures=0), tmp_path / 'none')
    assert not (tmp_path / 'none/pictures').exists()
    numbers = load(['configs/regression.gin'], ['EPOCHS = 1', 'MLP.hidden_dim = 8'])
    train(numbers, tmp_path / 'numbers')
    assert not (tmp_path / 'numbers/pictures').exists()
    assert json.loads((tmp_path / 'numbers/results.json').read_text())['step'] > 0
