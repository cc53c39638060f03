"""A search: what it refuses, survives and shares, and what is best of it."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest

from tests.conftest import ROOT
from trainer.console import Console
from trainer.errors import UserError
from trainer.experiment import load
from trainer.lint.report import findings
from trainer.search.methods import make_pruner, make_sampler
from trainer.search.predicted import PredictedPruner
from trainer.search.space import Search
from trainer.search.study import search
from trainer.signals import Stop

SHIPPED = sorted((ROOT / 'configs/search').glob('*.gin'))
CONFIG = ROOT / 'configs/search/resnet18.gin'
SPACE = "{'warmup_cosine.peak': ('log', 1e-4, 1e-2), 'MLP.num_layers': [1, 2]}"
SMALL = [
    '--gin_file=configs/mlp.gin',
    '--gin.EPOCHS=2',
    '--gin_bindings=Experiment.pictures = 0',
    '--gin_bindings=Experiment.search = @Search()',
    f'--gin_bindings=Search.space = {SPACE}',
]


def command(workdir, *more):
    return ['search', f'--workdir={workdir}', *SMALL, *more]


def start(*arguments):
    words = [sys.executable, 'main.py', *command(*arguments)]
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
    return subprocess.Popen(words, cwd=ROOT, text=True, **pipes)


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def trials(workdir):
    file = str(workdir / 'study.journal')
    backend = optuna.storages.journal.JournalFileBackend(file)
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name='search', storage=storage).trials


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.name)
def test_a_shipped_search_has_nothing_to_report(path):
    assert findings([str(path)]) == []
    assert load([str(path)]).search.trials == 12


@pytest.mark.parametrize(
    ('space', 'said'),
    [
        ("{'ResNet.depht': [18]}", "did you mean 'depth'?"),
        ("{'ResNet.depth': [18, 20]}", 'is not one of 18, 34'),
        ("{'ResNet.depth': []}", 'or list of choices'),
        ("{'warmup_cosine.peak': ('log', 1e-1, 1e-2)}", 'is empty'),
        ("{'warmup_cosine.peak': ('log', 0.0, 1e-2)}", 'begins above 0'),
        ("{'Images.batch': ('log', 8, 16)}", 'is not an integer'),
        ("{'ResNet.depth': ('int', 18.0, 34)}", 'is no integer'),
        ("{'MLP.dropout': [0.1]}", 'never used'),
        ("{'a b': [0.1]}", 'is no name of a parameter'),
    ],
)
def test_check_refuses_a_space(space, said):
    found = findings([str(CONFIG)], [f'Search.space = {space}'])
    assert len(found) == 1 and said in found[0].message, list(map(str, found))


def test_names_of_samplers_and_pruners():
    space = {'ResNet.depth': [18, 34]}
    for name in ('tpe', 'random', 'grid', 'NSGAIISampler'):
        make_sampler(Search(space=space, sampler=name), 3)
    for name in ('median', 'hyperband', 'predicted', 'none', 'ThresholdPruner'):
        options = {'upper': 2.0} if 'Thr' in name else {}
        make_pruner(Search(space=space, pruner=name, pruner_options=options), 10)
    with pytest.raises(UserError, match="did you mean 'median'"):
        make_pruner(Search(space=space, pruner='medain'), 10)
    with pytest.raises(UserError, match='PredictedPruner cannot be made'):
        make_pruner(Search(space=space, pruner='predicted', pruner_options={'a': 1}), 9)


def test_a_trial_foretold_to_be_worse_is_given_up():
    study = optuna.create_study(pruner=PredictedPruner(planned=20))
    for value in (0.5, 0.4, 0.6):
        study.add_trial(optuna.trial.create_trial(value=value))
    ends = {}
    for low in (0.2, 0.8):
        trial = study.ask()
        for t in range(1, 7):
            trial.report(float(np.exp(-0.4 * t) + low), t)
        ends[low] = trial.should_prune()
    assert ends == {0.2: False, 0.8: True}


def test_killed_in_the_third_of_eight_ends_with_exactly_eight(tmp_path, here):
    arguments = tmp_path, '--gin.Search.trials=8', '--gin.Search.pruner=none'
    process = start(*arguments)
    while not (tmp_path / 'trial_002/seed_0/config.json').exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = here(*command(*arguments), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found, output = trials(tmp_path), done.stdout
    assert [t.state.name for t in found] == ['COMPLETE'] * 8
    assert len(list(tmp_path.glob('trial_*'))) == 8
    assert 'trial 2 (3 of 8)' in output and 'trial 1 (' not in output
    summary = json.loads((tmp_path / 'search.json').read_text())
    best = min(found, key=lambda t: t.value)
    assert summary['best/trial'] == best.number
    again = load([str(tmp_path / 'best.gin')])
    assert again.schedule.keywords['peak'] == best.params['warmup_cosine.peak']
    assert again.search is None and again.seeds == (0,)
    assert 'id="trials"' in (tmp_path / 'report.html').read_text()


def test_two_processes_never_run_the_same_trial_and_failures_are_failures(tmp_path):
    bad = "{'Images.batch': [64, 5000]}"
    more = [f'--gin_bindings=Search.space = {bad}', '--gin.Search.trials=6']
    outputs = [finish(p) for p in [start(tmp_path, *more) for _ in range(2)]]
    begun = [n for n in range(6) for o in outputs if f'trial {n} ({n + 1} of 6)' in o]
    assert begun == list(range(6))
    for trial in trials(tmp_path):
        failed = trial.params['Images.batch'] == 5000
        assert trial.state.name == ('FAIL' if failed else 'COMPLETE')
        assert ('traceback' in trial.user_attrs) == failed
        place = tmp_path / f'trial_{trial.number:03d}'
        assert (place / 'failure.txt').exists() == failed


def test_the_best_config_gives_the_best_value_again(tmp_path, here):
    searched = here(*command(tmp_path / 'search', '--gin.Search.trials=2'), cwd=ROOT)
    assert searched.returncode == 0, searched.stderr
    best = json.loads((tmp_path / 'search/search.json').read_text())
    run = tmp_path / 'run'
    file = f'--gin_file={tmp_path / "search/best.gin"}'
    again = here(file, f'--workdir={run}', cwd=ROOT)
    assert again.returncode == 0, again.stderr
    rows = map(json.loads, (run / 'seed_0/metrics.jsonl').read_text().splitlines())
    values = [row[best['metric']] for row in rows if best['metric'] in row]
    assert min(values) == best['best/value']


def test_a_page_that_cannot_be_made_is_no_end_of_a_search(tmp_path, capsys):
    (tmp_path / 'study.journal').touch()
    (tmp_path / 'report.html').mkdir()
    bindings = ['EPOCHS = 1', 'Experiment.pictures = 0', 'Search.trials = 1']
    bindings += ['Experiment.search = @Search()', f'Search.space = {SPACE}']
    experiment = load([str(ROOT / 'configs/mlp.gin')], bindings)
    search(experiment, str(tmp_path), stop=Stop(), console=Console())
    said = capsys.readouterr().err
    assert 'could not be made (IsADirectoryError' in said
    assert (tmp_path / 'search.json').exists()


def test_an_address_is_refused():
    experiment, said = load([str(CONFIG)]), r'^gs://b/s is an address; a search needs a'
    with pytest.raises(UserError, match=said):
        search(experiment, 'gs://b/s', stop=Stop(), console=Console())


def test_another_search_is_refused(tmp_path, here):
    seeds = '--gin.Search.seeds=(0, 1)'
    first = here(*command(tmp_path, '--gin.Search.trials=1', seeds), cwd=ROOT)
    assert first.returncode == 0, first.stderr
    assert (tmp_path / 'trial_000/seed_1/results.json').exists()
    other = here(*command(tmp_path, '--gin.EPOCHS=3', seeds), cwd=ROOT)
    assert other.returncode == 2 and 'holds another search: epochs' in other.stderr
