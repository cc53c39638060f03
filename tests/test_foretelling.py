"""How a curve will end is told by what it has shown, and on the bar."""

import types

import numpy as np
import pytest

import main
from trainer.foretelling import foretell, smoothed
from trainer.progress import FINAL_LOSS
from trainer.recorder import Recorder
from trainer.rundir import LOG


@pytest.mark.parametrize('rate', [0.02, 0.15, 0.6])
@pytest.mark.parametrize('direction', [2.0, -0.3])
def test_the_end_of_an_exponential_is_foretold(rate, direction):
    values = direction * np.exp(-rate * np.arange(1, 31)) + 0.4
    apart = abs(foretell(values[:12], 30) - values[-1])
    assert apart < 0.02 * abs(values[0] - values[-1])


def test_the_fit_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    values = np.exp(-0.3 * np.arange(1, 10)) + rng.normal(0, 0.05, 9)
    times, best = np.arange(1, 10), (np.inf, None)
    for rate in np.geomspace(0.01, 10, 500) / 9:
        matrix = np.stack([np.exp(-rate * times), np.ones(9)], axis=1)
        solution, *_ = np.linalg.lstsq(matrix, values, rcond=None)
        rest = np.square(matrix @ solution - values).sum()
        best = min(best, (rest, solution @ [np.exp(-rate * 40), 1.0]))
    assert foretell(values, 40) == pytest.approx(best[1], abs=1e-6)


def test_a_loss_that_still_falls_evenly_is_not_foretold_below_its_floor():
    values = [2.57, 2.1, 1.66, 1.2, 0.78]
    assert foretell(values, 20) < -1
    assert 0 < foretell(values, 20, floor=0.0) < values[-1]


def test_a_rise_at_the_start_is_left_out_of_what_foretells():
    """The losses of a warm-up, and those of a run without one."""
    falling = [4.0, 2.2, 0.95, 0.75, 0.68, 0.6]
    told = [foretold_after(losses) for losses in ([2.5, *falling], falling)]
    assert told[0] == pytest.approx(foretell(falling, 9, 0.0))
    assert 0.4 < told[0] < 0.6 and 0.4 < told[1] < 0.6
    assert foretold_after([2.5, 4.0, 2.2, 0.95]) is None


def foretold_after(losses):
    """What is told after these, of ten evaluations."""
    recorder = object.__new__(Recorder)
    recorder.losses, recorder.job = [], types.SimpleNamespace(total_steps=10)
    for step, loss in enumerate(losses, start=1):
        told = recorder.foretold(step, {'val/loss': loss})
    return told.get(FINAL_LOSS)


def test_what_does_not_change_ends_as_it_is():
    assert foretell([0.5] * 6, 100) == pytest.approx(0.5)


def test_each_smoothed_value_holds_a_share_of_the_past():
    assert smoothed([1.0, 2.0, 4.0], 0.5) == [1.0, 1.5, 2.75]


def test_a_run_tells_its_final_loss_from_the_fourth_evaluation_also_resumed(tmp_path):
    words = ['main.py', '--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8']
    place = f'--workdir={tmp_path}'
    assert main.main([*words, place, '--gin.EPOCHS=5']) == 0
    assert main.main([*words, place, '--gin.EPOCHS=7']) == 0
    lines = (tmp_path / LOG).read_text().splitlines()
    shown = [line for line in lines if 'val loss' in line]
    assert ['foretold' in line for line in shown] == [False] * 3 + [
        True,
        False,  # the last epoch, as was planned then
        True,
        False,
    ]
