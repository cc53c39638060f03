"""A rare class: what weights do for its recall, in whole runs on noisy digits."""

import json

import numpy as np
import pytest

from trainer.experiment import load
from trainer.train import train

RARE, RATIO, NOISE = 20, 50, 4.0  # examples, others for each of them, of 16 levels


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
                'MLP.hidden_dim = 32',
                'EPOCHS = 8',
                f'Experiment.seed = {seed}',
                *bindings,
            ],
        )
        results = train(experiment, workdir / str(seed))
        print(json.dumps(results))
        found.append([results[f'test/acc_class_{c}'] for c in range(2)])
    return np.array(found)
