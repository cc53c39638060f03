"""What a config asks for has an effect; what it asks in vain is a mistake."""

import pathlib

import pytest

from trainer.experiment import load
from trainer.lint.report import check_report

MLP = ['configs/mlp.gin']
CONSTANT = ['Experiment.schedule = @constant', 'constant.peak = 0.1']


def test_a_macro_that_is_typed_and_has_no_effect_is_a_mistake():
    text, good = check_report(MLP, [*CONSTANT, 'LEARNING_RATE = 0.5'])
    assert not good and text.endswith('1 mistake')
    assert 'LEARNING_RATE has no effect: warmup_cosine.peak, which reads it' in text
    assert check_report(MLP, CONSTANT)[1]


def test_what_is_idle_is_told_with_what_made_it_so():
    bindings = ["Best.metric = 'val/acc'", 'warmup_cosine.peak = 3.0']
    text, _ = check_report(MLP, bindings)
    assert 'LEARNING_RATE is not used; command line replaced warmup_cosine.peak' in text


@pytest.mark.parametrize(
    ('binding', 'said'),
    [
        ("Experiment.rates = {'head[': 10.0}", 'Experiment.rates has'),
        ("Experiment.freeze = ('(',)", 'Experiment.freeze has'),
        ('Experiment.seeds = (0, 1, 0)', 'has 0 twice'),
        ("Experiment.evaluations = {'eval': @Evaluation()}", "'eval'"),
        ('Experiment.optimizer = @optax_optimizer', 'did you mean'),
    ],
)
def test_what_a_run_would_refuse_is_one_line_of_the_check(binding, said):
    more = ["optax_optimizer.name = 'nadm'"] * ('optax' in binding)
    data = ['Evaluation.data = @Images()', "Images.split = 'test'"]
    text, good = check_report(MLP, [binding, *more, *data * ('@Eval' in binding)])
    (line,) = (one for one in text.splitlines()[:-1] if ': info: ' not in one)
    assert not good and line.startswith('command line: ') and said in line


def test_one_file_and_one_binding_may_stand_without_lists():
    assert load('configs/mlp.gin', 'EPOCHS = 2').epochs == 2
    assert load(pathlib.Path('configs/mlp.gin')).name == 'mlp'
