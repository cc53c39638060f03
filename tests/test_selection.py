"""The best evaluation so far, and when to stop."""

import json
import math

import pytest

from trainer.selection import Tracker


def test_takes_the_best_and_of_equals_the_first():
    tracker = Tracker('val/acc_top1', 'max')
    values = [0.5, 0.7, 0.7, 0.6]
    assert [tracker.update(i, v) for i, v in enumerate(values)] == [True, True, 0, 0]
    assert (tracker.best_step, tracker.best_value) == (1, 0.7)


def test_less_is_better_where_the_mode_says_so():
    tracker = Tracker('val/loss', 'min')
    assert [tracker.update(i, v) for i, v in enumerate([2.0, 3.0, -1.0])] == [1, 0, 1]
    assert tracker.best_step == 2


@pytest.mark.parametrize('mode', ['max', 'min'])
@pytest.mark.parametrize('value', [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_never_best(mode, value):
    tracker = Tracker('val/loss', mode, patience=2)
    assert not tracker.update(1, value)
    assert tracker.best_step is None
    assert tracker.update(2, 0.0)
    assert not tracker.update(3, value)
    assert not tracker.should_stop
    tracker.update(4, value)
    assert tracker.should_stop


def test_patience_counts_evaluations_without_improvement():
    tracker = Tracker('val/loss', 'min', patience=2)
    stops = []
    for step, value in enumerate([3.0, 3.5, 2.0, 2.5, 2.1]):
        tracker.update(step, value)
        stops.append(tracker.should_stop)
    assert stops == [False, False, False, False, True]


def test_without_patience_it_never_stops():
    tracker = Tracker('val/loss', 'min')
    for step in range(100):
        tracker.update(step, 1.0)
    assert not tracker.should_stop


def test_goes_on_from_its_state_through_json():
    tracker = Tracker('val/loss', 'min', patience=3)
    for step, value in enumerate([3.0, None, 4.0]):
        tracker.update(step, value)
    again = Tracker.from_state(json.loads(json.dumps(tracker.state())), patience=3)
    assert again.state() == tracker.state()
    assert not again.should_stop
    assert not again.update(3, 3.0)
    assert again.should_stop


def test_another_mode_is_refused():
    with pytest.raises(ValueError, match="'maximum'; choose 'max' or 'min'"):
        Tracker('val/loss', 'maximum')
