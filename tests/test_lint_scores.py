"""Metrics that no evaluation gives: said before any data is opened."""

import pathlib

import pytest

from trainer.lint.report import check_report, findings

MLP = ['configs/mlp.gin']
NIGHT = [
    "Experiment.evaluations = {'night': @night/Evaluation()}",
    'night/Evaluation.data = @test/Images()',
]
PLATEAU = ['Experiment.schedule = @plateau', 'plateau.peak = 1e-3']
MINE = """
import dataclasses
import gin
from trainer.tasks.classification import Classification

@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mine(Classification):
    pass

@gin.register
def brier_of_mine(outputs, batch):
    return outputs[:, 0]

@gin.register
def score_of_mine():
    raise AssertionError('checking a config makes no metric')
"""
MISTAKES = [
    ('val/los', "did you mean 'val/loss'?"),
    ('val/acc_top2', "did you mean 'val/acc_top1'?"),
    ('val/acc_class_cat', "did you mean 'val/acc_class_0'?"),
    ('val/map', 'choose val/loss, val/acc_top1, val/acc_top5, val/acc_class_0'),
    ('vall/loss', "did you mean 'val/loss'?"),
    ('loss', "did you mean 'val/loss'?"),
    ('test/loss', 'choose val/loss'),
    ('train/acc_top1', "did you mean 'val/acc_top1'?"),
]
GIVEN = {
    'mlp': ('loss', 'acc_top1', 'acc_top5', 'acc_class_3', 'acc_class_0'),
    'multilabel': ('map', 'f1', 'ap_class_12', 'threshold_class_2'),
    'regression': ('r2', 'rmse', 'mae_target_0', 'mae_target_7'),
    'detector': ('map', 'map50', 'ap50_class_79'),
    'keypoint_rcnn': ('keypoint_ap', 'keypoint_ap75', 'map'),
    'unet_keypoints': ('ap', 'pck@0.1', 'pck@0.05_keypoint_16'),
    'unet_segmentation': ('miou', 'acc_pixel', 'iou_class_20'),
}


def best(metric):
    return f'Best.metric = {metric!r}'


@pytest.mark.parametrize(('metric', 'advice'), MISTAKES)
def test_a_metric_that_never_comes_is_named_with_the_nearest(metric, advice, tmp_path):
    run = tmp_path / 'run.gin'
    run.write_text(f"include 'configs/mlp.gin'\n{best(metric)}\n")
    text, good = check_report([str(run)])
    line, count = text.splitlines()
    assert not good and count == '1 mistake'
    assert line.startswith(f'{run}:2: {best(metric)} is no score of an evaluation')
    assert line.endswith(advice)
    assert findings([str(run)]) == []  # train itself asks the data


@pytest.mark.parametrize('config', GIVEN)
def test_what_a_task_measures_passes_for_any_class(config):
    for name in GIVEN[config]:
        text, good = check_report([f'configs/{config}.gin'], [best(f'val/{name}')])
        assert good, text
    text, good = check_report([f'configs/{config}.gin'], [best('val/qqq')])
    assert not good and 'choose val/loss, ' in text


def test_further_evaluations_have_scores_of_their_own():
    assert check_report(MLP, [*NIGHT, best('night/acc_class_4')])[1]
    text, good = check_report(MLP, [*NIGHT, best('nigth/acc_top1')])
    assert not good and "did you mean 'night/acc_top1'?" in text


def test_the_metric_of_a_plateau_is_looked_at_and_only_if_it_is_used():
    unknown = "plateau.metric = 'val/los'"
    text, good = check_report(MLP, [*PLATEAU, unknown])
    assert not good and f'{unknown} is no score' in text
    assert check_report(MLP, [*PLATEAU, "plateau.metric = 'val/acc_top1'"])[1]
    assert 'no score' not in check_report(MLP, [unknown])[0]


def test_a_macro_is_named_with_who_reads_it():
    text, _ = check_report(MLP, ["METRIC = 'val/los'", 'Best.metric = %METRIC'])
    assert "METRIC = 'val/los' (read by Best.metric) is no score" in text


@pytest.mark.parametrize(
    'bindings',
    [
        ['Experiment.task = @Mine()'],
        ['Experiment.task = @Extended()', 'Extended.task = @Mine()'],
        [
            'Experiment.task = @Extended()',
            'Extended.task = @Classification()',
            "Extended.scores = {'mine': @score_of_mine}",
        ],
        ['Classification.class_weights = [1, 2, 3]'],
    ],
)
def test_what_only_the_run_can_say_is_left_to_it(bindings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path('scores_of_mine.py').write_text(MINE)
    pathlib.Path('mine.gin').write_text('import scores_of_mine\n')
    files = [*MLP, 'mine.gin']
    text, good = check_report(files, [*bindings, best('val/mine')])
    assert good, text
    text, good = check_report(files, [*bindings, best('vall/mine')])
    assert not good and "did you mean 'val/mine'?" in text


def test_a_further_loss_is_measured_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path('scores_of_mine.py').write_text(MINE)
    pathlib.Path('mine.gin').write_text('import scores_of_mine\n')
    bindings = [
        'Experiment.task = @Extended()',
        'Extended.task = @Classification()',
        "Extended.losses = {'part_1': @brier_of_mine}",
    ]
    files = [*MLP, 'mine.gin']
    for name in ('loss_part_1', 'loss_task', 'acc_class_2'):
        assert check_report(files, [*bindings, best(f'val/{name}')])[1]
    text, good = check_report(files, [*bindings, best('val/loss_part_2')])
    assert not good and "did you mean 'val/loss_part_1'?" in text
