"""Several processes as one run: the numbers of one process, and every end named."""

import json
import signal

import pytest

from tests.in_turn import alone
from tests.run_ends import assert_same_end, timeless
from tests.several import Several
from trainer.checkpoints import CheckpointStore

MLP = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=5', '--gin.Experiment.log_every=1']
MLP += ['--gin.MLP.hidden_dim=32', '--gin.Experiment.save_every=1']
FSDP = ['--gin.Parallel.fsdp=8', '--gin.Parallel.smallest=64']
OLD = "import sys, main, trainer; trainer.__version__ = '0.0.1'; sys.exit(main.main("
OLD += "['main.py', *sys.argv[1:]]))"


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """The same run by one process on one device, and by two on eight."""
    place = tmp_path_factory.mktemp('runs')
    alone(place / 'one', *MLP)
    said = Several([*MLP, *FSDP, f'--workdir={place / "two"}']).ends()
    assert {code for code, _ in said.values()} == {0}, said
    return place, said


def assert_close(one, other):
    """Every number of every line within 1e-5, over at least 50 steps."""
    rows, others = (list(map(json.loads, timeless(run))) for run in (one, other))
    assert len(rows) == len(others) > 50
    for row, same in zip(rows, others, strict=True):
        assert row.keys() == same.keys()
        for key, value in row.items():
            assert same[key] == pytest.approx(value, abs=1e-5, rel=0), (key, row)


def scores(workdir):
    return json.loads((workdir / 'evaluation_test.json').read_text())


def test_two_processes_give_the_losses_of_one_device(runs):
    place, _ = runs
    assert_close(place / 'one', place / 'two')


def test_one_process_speaks_and_writes(runs):
    place, said = runs
    assert 'best step' in said[0][1]
    others = [line for line in said[1][1].splitlines() if 'Gloo' not in line]
    assert others == []
    names = sorted(path.name for path in (place / 'two').iterdir())
    one = {path.name for path in (place / 'one').iterdir()} - {'pictures'}
    assert names == sorted({*one, 'log_1.txt'})
    assert 'Traceback' not in (place / 'two/log_1.txt').read_text()
    [started] = json.loads((place / 'two/provenance.json').read_text())
    assert started['devices'] == {'cpu': 8}


def test_an_evaluation_by_two_is_that_of_one_plain_cpu(runs):
    place, _ = runs
    alone(place / 'two', 'evaluate')
    single = scores(place / 'two')
    said = Several(['evaluate', f'--workdir={place / "two"}'], devices=1).done()
    double = scores(place / 'two')
    assert '360 examples' in said
    assert single['examples'] == double['examples'] == 360
    assert single.keys() == double.keys()
    for key, value in single.items():
        if key.startswith('test/acc'):
            assert double[key] == value
        elif key.startswith('test/'):
            assert double[key] == pytest.approx(value, abs=1e-6)


def test_a_killed_process_ends_all_and_the_run_goes_on(tmp_path, runs):
    place, _ = runs
    arguments = [*MLP, *FSDP, f'--workdir={tmp_path}']
    ends, seconds = Several(arguments).signal_after(20, tmp_path, 1, signal.SIGKILL)
    assert ends[1][0] == -signal.SIGKILL
    code, said = ends[0]
    assert code == 70, said
    assert seconds < 60
    assert 'error: process 1 (process ' in said
    assert 'has gone, after step ' in said
    assert 'the same command, for all processes, goes on' in said
    assert 'going on from step ' in Several(arguments).done()
    assert_same_end(tmp_path, place / 'two')


def test_without_one_of_four_the_others_name_it():
    began = Several([*MLP, '--join_seconds=8'], count=4, devices=1, absent=[2])
    for code, said in began.ends().values():
        assert code == 2, said
        assert 'error: process 2 of 4 did not come within 8 s; start all' in said


def test_another_version_is_named_before_jax_begins():
    old = {1: ['-c', OLD]}
    ends = Several(MLP, devices=1, program=old).ends()
    for code, said in ends.values():
        assert code == 2, said
        assert "error: process 1 has juniper '0.0.1', process 0 '" in said


def test_another_config_is_named_before_data_is_opened(tmp_path):
    other = {1: ['--gin.LEARNING_RATE=2e-3']}
    place = f'--workdir={tmp_path / "run"}'
    for code, said in Several([*MLP, place], others=other).ends().values():
        assert code == 2, said
        assert 'error: process 1 has schedule.peak 0.002, process 0 0.001; give' in said
    assert not (tmp_path / 'run').exists()


def test_a_mistake_of_one_is_told_to_all(tmp_path):
    other = {1: ['--gin.LEARNING_RAT=2e-3']}
    ends = Several([*MLP, f'--workdir={tmp_path / "run"}'], others=other).ends()
    assert ends[0][0] == ends[1][0] == 2
    assert 'LEARNING_RAT' in ends[0][1]
    assert ends[0][1].count('error: process 1 (process ') == 1


def together(workdir, *names):
    """What two processes have come to that did these things in one start."""
    program = {index: ['-m', 'tests.done_together', *names] for index in (0, 1)}
    said = Several([f'--workdir={workdir}'], devices=1, program=program).done()
    return json.loads(said.splitlines()[-1])


def test_what_several_do_beside_a_run(tmp_path):
    found = together(tmp_path, 'bench', 'fast', 'seeds')
    bench = found['bench']
    assert (bench['processes'], bench['devices'], bench['batch']) == (2, 2, 128)
    assert bench['images_per_second'] * bench['step_ms'] == pytest.approx(128_000)
    assert found['fast']['step'] == 2
    files = [tmp_path / f'seeds/seed_{seed}/results.json' for seed in (0, 1)]
    losses = [json.loads(file.read_text())['test/loss'] for file in files]
    assert losses[0] != losses[1]
    assert found['seeds']['test/loss/mean'] == pytest.approx(sum(losses) / 2)
    assert [path.name for path in tmp_path.iterdir()] == ['seeds']


def test_a_signal_to_one_saves_the_same_step_in_all(tmp_path):
    long = [*MLP, '--gin.EPOCHS=500', f'--workdir={tmp_path}']
    ends, _ = Several(long).signal_after(20, tmp_path, 1, signal.SIGTERM)
    last = CheckpointStore(tmp_path / 'checkpoints').steps()[-1]
    for code, said in ends.values():
        assert code == 75, said
        assert f'interrupted: SIGTERM, saved at step {last:,}; the same' in said
