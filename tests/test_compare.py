"""Runs side by side: rank, groups over seeds, Welch's test, differences, output."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from tests.written_runs import write_run
from trainer.errors import UserError
from trainer.report import comparison, versus
from trainer.welch import welch

SCORES = {0.1: (0.40, 0.45, 0.42), 0.3: (0.70, 0.90, 0.75), 0.5: (0.5,)}


@pytest.fixture
def runs(tmp_path):
    """Three groups of runs, of three, three and one seeds."""
    for rate, scores in SCORES.items():
        for seed, score in enumerate(scores):
            place = tmp_path / f'rate{rate}_{seed}'
            write_run(place, rate=rate, seed=seed, score=score)
    return tmp_path


@pytest.mark.parametrize('sizes', [(3, 3), (2, 9), (30, 4)])
def test_welchs_test_is_scipys(sizes):
    rng = np.random.default_rng(sum(sizes))
    one = rng.normal(0, 1, sizes[0]).tolist()
    other = rng.normal(0.5, 3, sizes[1]).tolist()
    wanted = stats.ttest_ind(one, other, equal_var=False).pvalue
    assert welch(one, other) == pytest.approx(wanted, rel=1e-9)


def test_nothing_is_said_of_too_few_or_equal_values():
    assert welch([1.0], [1.0, 2.0]) is None
    assert welch([1.0, 1.0], [2.0, 2.0]) is None


def test_runs_are_ranked_and_grouped_over_seeds(runs):
    found = comparison.compare([f'{runs}/*'])
    assert found.metric == 'test/loss' and found.lower
    scores = [found.score(run) for run in found.ranked]
    assert scores == sorted(itertools.chain(*SCORES.values()))
    first, second, third = found.groups
    assert (first.name, first.p, first.mean) == ('A', None, np.mean(SCORES[0.1]))
    assert first.std == pytest.approx(np.std(SCORES[0.1], ddof=1))
    assert second.p is None and second.std is None  # one run says nothing
    assert third.p == pytest.approx(welch(SCORES[0.3], SCORES[0.1]))


def test_only_what_differs_is_shown(runs):
    found = comparison.compare([f'{runs}/*'])
    assert set(found.differences) == {'optimizer.rate', 'seed'}
    header, rows = versus.difference_rows(found)
    assert header == ['what', 'A', 'B', 'C']
    assert ['optimizer.rate', '0.1', '0.5', '0.3'] in rows


def test_more_is_better_where_the_metric_says_so(runs):
    found = comparison.compare([f'{runs}/*'], 'test/acc_top1')
    assert not found.lower


def test_a_metric_or_run_that_is_not_there_is_named(runs):
    with pytest.raises(UserError, match=r"'test/acc_top'; did you mean test/acc_top1"):
        comparison.compare([f'{runs}/*'], 'test/acc_top')
    with pytest.raises(UserError, match='matches no run'):
        comparison.compare([f'{runs}/nothing*'])


def test_the_page_has_its_sections_and_stays_text(runs):
    write_run(runs / '<i>hostile', rate=0.7)
    html = versus.as_page(comparison.compare([f'{runs}/*']))
    assert '<i>' not in html and '&lt;i&gt;hostile' in html
    for anchor in ('runs', 'curves', 'config'):
        assert f'<section id="{anchor}">' in html


def test_the_command_writes_text_json_and_a_page(runs, tmp_path):
    command = [sys.executable, 'main.py', 'compare', f'{runs}/rate*']
    page = tmp_path / 'page.html'
    done = subprocess.run(
        [*command, f'--out={page}', '--json'], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [group['n'] for group in said['groups']] == [3, 1, 3]
    assert len(said['runs']) == 7 and page.read_text().startswith('<!DOCTYPE html>')
    text = subprocess.run(command, capture_output=True, text=True).stdout
    assert "Welch's t-test" in text and 'config differences' in text
