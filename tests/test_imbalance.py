"""A rare class: what weights do for its recall, in whole runs on noisy digits."""

import numpy as np
import pytest

from trainer.experiment import load
from trainer.train import train

RARE, RATIO, NOISE = 20, 50, 3.0  # examples, others for each of them, of 16 levels


@pytest.fixture(scope='module')
def eights(tmp_path_factory):
    """Twenty eights among a thousand other digits; a test set of 150 and 300."""
    digits = pytest.importorskip('sklearn.datasets').load_digits()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(digits.target))
    rare = order[digits.target[order] == 8]
    others = order[digits.target[order] != 8]
    noisy = digits.images + rng.normal(scale=NOISE, size=digits.images.shape)
    images = np.clip(noisy / 16, 0, 1).astype(np.float32)
    rows = {
        'train': (rare[:RARE], others[: RARE * RATIO]),
        'test': (rare[RARE:][:150], others[RARE * RATIO :][:300]),
    }
    arrays = {}
    for split, parts in rows.items():
        arrays[f'x_{split}'] = images[np.concatenate(parts)]
        arrays[f'y_{split}'] = np.repeat([1, 0], [len(part) for part in parts])
    path = tmp_path_factory.mktemp('eights') / 'eights.npz'
    np.savez(path, class_names=['other', 'eight'], **arrays)
    return path


def recalls(eights, workdir, *bindings):
    """Of 'other' and 'eight', for seeds 0 to 2, [3, 2]."""
    found = []
    for seed in range(3):
        experiment = load(
            ['configs/mlp.gin'],
            [
                'Images.source = @Arrays()',
                f"Arrays.file = '{eights}'",
                "train/Images.split = 'train'",
                'Experiment.eval_data = None',
                'Experiment.save_every = 30',
                'Experiment.pictures = 0',
                'MLP.hidden_dim = 64',
                'EPOCHS = 30',
                'BATCH = 64',
                'LEARNING_RATE = 3e-3',
                # Weights multiply what smoothing gives to the rare class as well.
                'Classification.label_smoothing = 0.0',
                f'Experiment.seed = {seed}',
                *bindings,
            ],
        )
        results = train(experiment, workdir / str(seed))
        found.append([results[f'test/acc_class_{c}'] for c in range(2)])
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize('gamma', [0.0, 2.0])
def test_balanced_weights_raise_the_recall_of_a_rare_class(eights, tmp_path, gamma):
    """And not by calling everything rare: most of the others are still known."""
    focal = f'Classification.focal_gamma = {gamma}'
    plain = recalls(eights, tmp_path / 'plain', focal)
    balanced = "Classification.class_weights = 'balanced'"
    weighted = recalls(eights, tmp_path / 'balanced', focal, balanced)
    assert (weighted[:, 1] - plain[:, 1] >= 0.2).all()
    assert (weighted[:, 0] >= 0.75).all()
    assert weighted.mean() > plain.mean() + 0.1
