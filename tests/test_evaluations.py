"""Several evaluation sets, each with its schedule: when scored, under which name."""

import dataclasses
import json

import pytest

from tests.test_resume import assert_same_end
from trainer.errors import Interrupted, UserError
from trainer.evaluate import evaluate_run
from trainer.evaluations import Evaluation
from trainer.experiment import load
from trainer.lint.report import check_report
from trainer.rehearsal import Rehearsal
from trainer.resume import check_config, check_data
from trainer.signals import Stop
from trainer.train import train

SMALL = ['MLP.hidden_dim = 16', 'EPOCHS = 5']
OTHERS = """
Experiment.evaluations = {
    'early': @Evaluation(),
    'night': @night/Evaluation(),
}
Evaluation.data = @early/Images()
early/Images.split = 'test[:20%]'
night/Evaluation.data = @night/Images()
night/Evaluation.every = 2
night/Images.split = 'test[20%:]'
night/Images.batch = 50
"""


@pytest.fixture
def files(tmp_path):
    path = tmp_path / 'others.gin'
    path.write_text(f'# Two further sets.\n{OTHERS}')
    return ['configs/mlp.gin', str(path)]


class After(Stop):
    """A signal that comes at the n-th time somebody looks."""

    def __init__(self, looks):
        super().__init__()
        self.name, self.looks = 'SIGTERM', looks

    def __bool__(self):
        self.looks -= 1
        return self.looks < 0


def rows(workdir):
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_each_is_scored_as_often_as_it_says(files, tmp_path):
    results = train(load(files, SMALL), tmp_path / 'run')
    scored = {
        name: [row['step'] for row in rows(tmp_path / 'run') if f'{name}/loss' in row]
        for name in ('val', 'early', 'night', 'test')
    }
    every = [10, 20, 30, 40, 50]
    assert scored == {'val': every, 'early': every, 'night': [20, 40, 50], 'test': [50]}
    again = evaluate_run(tmp_path / 'run', 'night', 'last')
    assert again['examples'] == 288
    assert again['night/loss'] == rows(tmp_path / 'run')[-2]['night/loss']
    assert results['best/step'] == 50 and results['night/loss'] == again['night/loss']


@pytest.mark.parametrize('looks', [26, 33, 39, 47])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(files, tmp_path, looks):
    experiment = load(files, SMALL)
    train(experiment, tmp_path / 'whole')
    with pytest.raises(Interrupted):
        train(experiment, tmp_path / 'stopped', stop=After(looks))
    train(experiment, tmp_path / 'stopped')
    assert_same_end(tmp_path / 'whole', tmp_path / 'stopped')


def test_the_best_may_be_that_of_any_set(files, tmp_path):
    best = ["Best.metric = 'night/acc_top1'", 'Best.patience = 5']
    results = train(load(files, [*SMALL, *best]), tmp_path / 'run')
    scored = {
        r['step']: r['night/acc_top1']
        for r in rows(tmp_path / 'run')[:-1]
        if 'night/acc_top1' in r
    }
    assert results['best/step'] == max(scored, key=scored.get)
    early = ["Best.metric = 'val/loss'", "Best.mode = 'max'"]  # the worst is the best
    results = train(load(files, [*SMALL, *early]), tmp_path / 'early')
    again = evaluate_run(tmp_path / 'early', 'night', 'best')
    assert results['best/step'] == 10 and results['night/loss'] == again['night/loss']
    with pytest.raises(UserError, match="did you mean 'night/acc_top"):
        train(load(files, ["Best.metric = 'night/acc_top'"]), tmp_path / 'none')


def test_check_and_rehearsal_know_them(files, tmp_path):
    text, good = check_report(files, SMALL)
    assert good, text
    text, good = check_report(files, [*SMALL, "night/Evaluation.every = 'often'"])
    assert not good and 'Evaluation.every' in text
    rehearsal = Rehearsal(load(files, SMALL), tmp_path / 'run').go()
    assert rehearsal.good, rehearsal.text()
    assert {'early/seconds', 'night/seconds'} <= rehearsal.figures.keys()
    one = load(files, SMALL).evaluations['night']
    other = dataclasses.replace(one.data, name='nothing')
    wrong = {'night': dataclasses.replace(one, data=other)}
    experiment = dataclasses.replace(load(files, SMALL), evaluations=wrong)
    assert not Rehearsal(experiment, tmp_path / 'run').go().good


@pytest.mark.parametrize(
    ('name', 'message'), [('val', 'which other numbers'), ('My set', 'small letters')]
)
def test_names_that_no_score_can_have_are_refused(name, message):
    experiment = load(['configs/mlp.gin'], SMALL)
    others = {name: Evaluation(data=experiment.eval_data)}
    with pytest.raises(UserError, match=message):
        dataclasses.replace(experiment, evaluations=others)


def test_the_data_stays_and_the_schedule_may_change():
    check_config({'evaluations.night.every': 2}, {'evaluations.night.every': 3})
    check_config(
        {'evaluations.night.data.workers': 2}, {'evaluations.night.data.workers': 0}
    )
    with pytest.raises(UserError, match=r"night\.data\.split was 'a', is 'b'"):
        key = 'evaluations.night.data.split'
        check_config({key: 'a'}, {key: 'b'})
    with pytest.raises(UserError, match='The night data changed'):
        check_data({'night': 'abc', 'test': 'x'}, {'night': 'abd', 'test': 'y'})
