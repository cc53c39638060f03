"""Several seeds in one command: the mean of real runs, resumable as a whole."""

import contextlib
import io
import json
import signal
import statistics

import pytest

from tests.in_turn import alone
from tests.run_ends import timeless
from tests.test_main import state
from tests.test_resume import stop_after
from trainer import rundir
from trainer.console import Console
from trainer.errors import UserError
from trainer.experiment import load
from trainer.seeds import train_seeds

SEEDS = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=10']
SEEDS += ['--gin.Experiment.seeds=(0,1,2)']


def results(directory):
    return json.loads((directory / 'results.json').read_text())


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    directory, said = tmp_path_factory.mktemp('seeds') / 'whole', io.StringIO()
    with contextlib.redirect_stdout(said):
        alone(directory, *SEEDS)
    return directory, said.getvalue()


def test_mean_and_spread_are_those_of_the_runs(whole):
    directory, output = whole
    runs = [results(directory / f'seed_{seed}') for seed in range(3)]
    assert [run['seed'] for run in runs] == [0, 1, 2]
    values = [run['test/acc_top1'] for run in runs]
    summary = results(directory)
    assert summary['test/acc_top1/mean'] == pytest.approx(statistics.fmean(values))
    assert summary['test/acc_top1/std'] == pytest.approx(statistics.stdev(values))
    assert len(set(run['test/loss'] for run in runs)) == 3
    assert 'seed 1 (2 of 3)' in output and 'mean' in output


def test_the_page_leads_to_those_of_the_seeds(whole):
    page = (whole[0] / 'report.html').read_text()
    assert '<a href="seed_1/report.html">seed_1</a>' in page
    assert '>test/acc_top1<' in page and '>test/acc_class_0<' not in page


def test_each_seed_can_be_replayed_alone(whole):
    directory, _ = whole
    one = load([str(directory / 'seed_1' / 'config.gin')])
    assert (one.seed, one.seeds) == (1, ())


def test_killed_in_the_second_seed_ends_with_the_same_numbers(whole, tmp_path, capfd):
    killed = tmp_path / 'killed'
    second = killed / 'seed_1'
    stop_after(killed, SEEDS, 40, signal.SIGKILL, watched=second)
    alone(killed, *SEEDS)
    assert 'seed_0 is finished' in capfd.readouterr().out
    assert results(killed) == results(whole[0])
    for seed in range(3):
        one, other = (d / f'seed_{seed}' for d in (killed, whole[0]))
        assert timeless(one) == timeless(other)


def test_an_experiment_made_in_python(tmp_path):
    experiment = load(['configs/mlp.gin'], ['EPOCHS = 1', 'Experiment.seeds = (3, 4)'])
    summary = train_seeds(experiment, tmp_path, console=Console(quiet=True))
    assert summary['seeds'] == [3, 4]


def test_the_run_of_one_seed_stays_as_it_is(tmp_path):
    rundir.write_config(tmp_path, {'name': 'mlp', 'seeds': []})
    before = state(tmp_path)
    several = load(['configs/mlp.gin'], ['Experiment.seeds = (0, 1)'])
    with pytest.raises(UserError, match=r'is the run of one seed, .* --workdir'):
        train_seeds(several, tmp_path, console=Console(quiet=True))
    assert state(tmp_path) == before
