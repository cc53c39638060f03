"""The page of a search: Optuna's own numbers, and warnings where a step is possible."""

import shutil

import optuna
import pytest

from tests.conftest import ROOT
from trainer.report.blocks import Link
from trainer.search import page
from trainer.search.edges import near_ends, open_ends
from trainer.search.methods import NAME, open_storage
from trainer.search.space import at, position

SPACE = {'a.rate': ('log', 1e-4, 1e-1), 'b.share': ('uniform', 0.0, 0.5)}
SPACE['c.depth'] = [18, 34]
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')


def write_study(folder, trials=12, storage='journal'):
    """A study with every kind of ending."""
    folder.mkdir(parents=True, exist_ok=True)
    storage = open_storage(storage, folder)
    study = optuna.create_study(study_name=NAME, storage=storage, direction='minimize')
    told = {'space': SPACE, 'metric': 'val/loss', 'planned': 10}
    study.set_user_attr('told', {**told, 'open': {'a.rate': ['low', 'high']}})
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for number in range(trials):
        trial = study.ask()
        rate = trial.suggest_float('a.rate', 1e-4, 1e-1, log=True)
        share = trial.suggest_float('b.share', 0.0, 0.5)
        depth = trial.suggest_categorical('c.depth', [18, 34])
        for step in range(3 if number % 4 == 3 else 10):
            trial.report(rate, step + 1)
        states = {3: 'PRUNED', 2: 'FAIL'} if number < 4 else {3: 'PRUNED'}
        if state := states.get(number % 4):
            study.tell(trial, state=optuna.trial.TrialState[state])
        else:
            study.tell(trial, abs(rate - 0.01) * 50 + share + depth / 100)
    return study


@pytest.mark.parametrize('storage', ['journal', 'sqlite'])
def test_numbers_are_those_of_optuna(tmp_path, storage):
    study = write_study(tmp_path, storage=storage)
    wanted = optuna.importance.get_param_importances(study)
    assert page.importances(study) == list(wanted.items())
    text = page.write_page(tmp_path).read_text()
    assert f'<strong>{page.shown(study.best_value)}</strong>' in text
    assert f'Best is trial {study.best_trial.number}:' in text
    for anchor in ('verdict', 'importances', 'history', 'slices', 'trials'):
        assert f'<section id="{anchor}">' in text
    # Three of eleven trials that ended well were pruned after 3 of 10 evaluations.
    assert page.saving(study.trials, 10) == (21, 110)


def test_a_trial_leads_to_its_report(tmp_path):
    study = write_study(tmp_path, trials=2)
    run = tmp_path / 'trial_001/seed_0'
    run.mkdir(parents=True)
    (run / 'report.html').write_text('')
    rows = page.table(SPACE, study.trials, tmp_path).rows
    assert [row[0] for row in rows] == ['0', Link('1', 'trial_001/seed_0/report.html')]
    text = page.write_page(tmp_path).read_text()
    assert '<a href="trial_001/seed_0/report.html">1</a>' in text


def test_a_young_study_has_a_page(tmp_path):
    write_study(tmp_path, trials=0)
    assert 'No trial has come to an end yet.' in page.write_page(tmp_path).read_text()


def test_positions_of_a_log_range_are_those_of_logarithms():
    assert position(('log', 1e-4, 1e-1), 1e-2) == pytest.approx(2 / 3)
    assert at(('log', 1e-4, 1e-1), 2 / 3) == pytest.approx(1e-2)
    assert at(('int', 1, 4), -0.1) == 0 and at(('int', 1, 4), 1.1) == 5


@pytest.mark.parametrize(
    ('rate', 'said'),
    [(1.1e-4, 'low'), (9e-2, 'high'), (1e-3, None), (6e-2, None)],
)
def test_an_end_of_a_log_range_is_judged_in_log_space(rate, said):
    ends = {'a.rate': ['low', 'high']}
    found = near_ends(SPACE, {'a.rate': rate, 'b.share': 0.2}, ends)
    assert found == ([('a.rate', said)] if said else [])


def test_no_warning_where_no_further_step_is_possible():
    config = str(ROOT / 'configs/search/mlp.gin')
    space = {'MLP.dropout': ('uniform', 0.0, 0.5), 'MLP.num_layers': ('int', 1, 3)}
    ends = open_ends(config, space)
    assert ends == {'MLP.dropout': ['high'], 'MLP.num_layers': ['high']}
    best = {'MLP.dropout': 0.001, 'MLP.num_layers': 3}
    assert near_ends(space, best, ends) == [('MLP.num_layers', 'high')]


@pytest.mark.parametrize('width', [390, 1440])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_the_page_fits_and_keeps_to_itself(tmp_path, scheme, width):
    playwright = pytest.importorskip('playwright.sync_api', reason='no playwright')
    if CHROMIUM is None:
        pytest.skip('no chromium')
    write_study(tmp_path)
    address = page.write_page(tmp_path).as_uri()
    with playwright.sync_playwright() as driver:
        args = {'executable_path': CHROMIUM, 'args': ['--no-sandbox']}
        browser = driver.chromium.launch(**args)
        size = {'width': width, 'height': 900}
        shown = browser.new_page(viewport=size, color_scheme=scheme)
        said, asked = [], []
        shown.on('console', lambda message: said.append(message.text))
        shown.on('request', lambda request: asked.append(request.url))
        shown.goto(address)
        assert shown.evaluate('document.documentElement.scrollWidth') <= width
        assert said == []
        assert all(url.startswith(('file:', 'data:')) for url in asked)
        browser.close()
