"""A rare class: it is named when training begins, and weights raise its recall."""

import numpy as np
import pytest

import main
from tests.picture_folders import picture, write
from trainer import imbalance
from trainer.data import photos
from trainer.data.images import Images
from trainer.data.sources.arrays import Arrays
from trainer.data.sources.csv import Csv
from trainer.data.sources.shapes import Shapes
from trainer.experiment import load
from trainer.job import open_job
from trainer.overview import tell_data
from trainer.tasks.classification import Classification
from trainer.tasks.extended import Extended
from trainer.tasks.multilabel import MultiLabel
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


SAID = (
    'ant 20, bee 2 examples to train on, the commonest 10 times the rarest: set '
    "Classification.class_weights = 'balanced' or train/Images.sampler = 'balanced', "
    'or add examples; evaluations log acc_class_<i> of each class'
)


def write_photos(root, **counts):
    """root/train/CLASS/NUMBER.png, and two of each class in root/test."""
    for name, count in counts.items():
        for number in range(count):
            write(root / f'train/{name}/{number}.png', picture(seed=number))
        for number in range(2):
            write(root / f'test/{name}/{number}.png', picture(seed=number))
    return root


def said(task=None, split='train', **fields):
    """What is said of a training set."""
    dataset = Images(split=split, batch=2, **fields).open()
    task = (task or Classification()).prepare(dataset)
    return imbalance.uneven(dataset, task)


def test_a_rare_class_is_named_with_what_mends_it(tmp_path):
    photos_of = write_photos(tmp_path / 'photos', ant=20, bee=2)
    assert said(folder=str(photos_of)) == SAID
    assert said(Extended(task=Classification()), folder=str(photos_of)) == SAID
    few = write_photos(tmp_path / 'few', ant=19, bee=2)
    assert said(folder=str(few)) is None


@pytest.mark.parametrize(
    ('task', 'sampler'),
    [
        (Classification(class_weights='balanced'), None),
        (Classification(class_weights=[1, 2]), None),
        (Extended(task=Classification(class_weights='balanced')), None),
        (Classification(), 'balanced'),
    ],
)
def test_nothing_is_said_where_something_makes_up_for_it(task, sampler, tmp_path):
    folder = str(write_photos(tmp_path, ant=20, bee=2))
    assert said(task, folder=folder, sampler=sampler) is None


def test_a_class_without_examples_is_named(tmp_path):
    write_photos(tmp_path, ant=20, bee=18, cat=0, dog=1)
    assert said(folder=str(tmp_path)).startswith(
        'ant 20, bee 18, dog 1, cat 0 examples to train on, the commonest 20 times the '
        "rarest and none of cat: set Classification.class_weights = 'balanced' or "
    )
    write_photos(tmp_path / 'even', ant=3, bee=3, cat=0)
    assert said(folder=str(tmp_path / 'even')) == (
        'ant 3, bee 3, cat 0 examples to train on, none of cat: choose another split, '
        'drop the class, or add examples; evaluations log acc_class_<i> of each class'
    )


def test_of_many_classes_the_ends_are_named(tmp_path):
    labels = np.repeat(np.arange(8), [40, 30, 20, 9, 8, 7, 3, 2])
    file = tmp_path / 'eight.npz'
    images = np.zeros((len(labels), 4, 4, 1), np.uint8)
    np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
    found = said(source=Arrays(file=str(file)))
    assert found.startswith('0 40, 1 30, 2 20, ..., 5 7, 6 3, 7 2 examples to train on')


def test_of_several_labels_their_own_weights_are_named(tmp_path):
    write(tmp_path / 'a.png', picture())
    rows = [f'a.png,1,{int(row < 2)},train' for row in range(30)]
    rows += ['a.png,0,1,test', 'a.png,0,0,train']
    table = tmp_path / 'labels.csv'
    table.write_text('\n'.join(['path,red,rare,split', *rows]))
    found = said(MultiLabel(), source=Csv(file=str(table)))
    assert "set MultiLabel.positive_weights = 'balanced', or add examples" in found
    assert found.startswith('red 30, rare 2 examples') and 'ap_class_<i>' in found


class Listener:
    """Keeps what a console is given."""

    def __init__(self):
        self.warned = []

    def say(self, message):
        pass

    def warn(self, message):
        self.warned.append(message)


def job_of(*bindings):
    small = ['BATCH = 2', 'MLP.hidden_dim = 4', 'Experiment.eval_data = None']
    whole = "train/Images.split = 'train'"
    return open_job(load(['configs/mlp.gin'], [*small, whole, *bindings]))


def test_it_reads_no_picture(tmp_path, monkeypatch):
    folder = write_photos(tmp_path, ant=20, bee=2)
    job = job_of(f"Images.folder = '{folder}'")

    def refuse(*_):
        raise AssertionError('a picture is read')

    monkeypatch.setattr(photos, 'read_picture', refuse)
    listener = Listener()
    tell_data(job, listener)
    assert listener.warned == [SAID]


def test_nothing_is_counted_where_that_would_read_examples(monkeypatch):
    """Of records and drawn pictures the labels are known once they are read."""
    shares = 'Shapes.frequencies = (50, 1, 1)'
    job = job_of('Images.source = @Shapes()', shares, 'Shapes.num_classes = 3')
    assert isinstance(job.datasets['train'].images.origin, Shapes)
    assert imbalance.uneven(job.datasets['train'], job.task)
    listener = Listener()
    tell_data(job, listener)
    assert listener.warned == []


def test_training_says_it_in_one_line(tmp_path, capsys):
    folder = write_photos(tmp_path / 'photos', ant=20, bee=2)
    words = ['main.py', '--gin_file=configs/mlp.gin', f"--gin.Images.folder='{folder}'"]
    words += ["--gin.train/Images.split='train'", "--gin.eval/Images.split='test'"]
    words += ['--gin.EPOCHS=1', '--gin.BATCH=4', '--gin.MLP.hidden_dim=4']
    words += ['--gin.Experiment.pictures=0', f'--workdir={tmp_path / "run"}']
    assert main.main(words) == 0
    assert capsys.readouterr().err.count(f'warning: {SAID}\n') == 1
    assert SAID in (tmp_path / 'run/log.txt').read_text()
    assert 'val/acc_class_1' in (tmp_path / 'run/metrics.jsonl').read_text()
