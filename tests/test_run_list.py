"""How runs stand, read from what they have written, without disturbing them."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

import main
from trainer import files, manifest, run_list, rundir
from trainer.errors import UserError
from trainer.lock import LOCK_FILE, RunLock

INTERRUPTED = 'Traceback\ntrainer.errors.Interrupted: SIGINT; saved at step 20\n'
FAILED = 'Traceback\ntrainer.errors.TrainingFailed: not finite at step 21\n'


def make_run(path, step=None, score=0.5, started='2026-01-01', log='', results=None):
    """A run directory as a run of that kind leaves it."""
    path.mkdir(parents=True)
    rundir.write_config(path, {'name': path.name.partition('_')[0]})
    files.write_json(path / 'provenance.json', [{'started': f'{started}T00:00:00Z'}])
    if log:
        (path / 'log.txt').write_text(f'ERROR juniper: {run_list.ENDED}\n{log}')
    if results:
        files.write_json(path / 'results.json', results)
    if step is not None:
        tracker = {'metric': 'val/acc_top1', 'best_value': score}
        facts = {'tracker': tracker, 'total_steps': 30}
        saved = path / 'checkpoints' / str(step)
        saved.mkdir(parents=True)
        metadata = {'custom_metadata': manifest.make(facts, step, {})}
        files.write_json(saved / manifest.METADATA_FILE, metadata)
    return path


def stand(path, **kind):
    """How such a run stands."""
    return run_list.standing(make_run(path / 'mlp_20260101_000000', **kind))


def test_a_finished_run(tmp_path):
    one = stand(tmp_path, step=20, results={'step': 30, 'total_steps': 30})
    assert (one.status, one.step, one.total_steps) == ('finished', 30, 30)
    assert (one.metric, one.score, one.resumable) == ('val/acc_top1', 0.5, False)
    assert one.name == 'mlp'


@pytest.mark.parametrize(
    ('kind', 'status', 'resumable'),
    [
        ({}, 'empty', False),
        ({'step': 20}, 'interrupted', True),
        ({'step': 20, 'log': INTERRUPTED}, 'interrupted', True),
        ({'step': 20, 'log': FAILED}, 'failed', True),
        ({'log': FAILED}, 'failed', False),
    ],
)
def test_a_run_that_is_not_finished(tmp_path, kind, status, resumable):
    one = stand(tmp_path, **kind)
    assert (one.status, one.resumable) == (status, resumable)
    assert one.step == kind.get('step')


def test_a_run_under_way_is_known_and_not_disturbed(tmp_path):
    run = make_run(tmp_path / 'mlp', step=10)
    (run / 'metrics.jsonl').write_text('{"step": 10}\n{"step": 17}\n{"st')
    with RunLock(run):
        one = run_list.standing(run)
        assert (one.status, one.step, one.resumable) == ('running', 17, False)
        assert one.who['pid'] == os.getpid()
    one = run_list.standing(run)
    assert (one.status, one.step, one.who) == ('interrupted', 10, None)
    RunLock(run).acquire()


def test_a_killed_run_has_crashed(tmp_path):
    run = make_run(tmp_path / 'mlp', step=10)
    lease = {'host': 'here', 'pid': 1, 'since': 'long ago'}
    (run / LOCK_FILE).write_text(json.dumps(lease))
    one = run_list.standing(run)
    assert (one.status, one.step, one.resumable) == ('crashed', 10, True)


def test_damaged_files_hide_no_run(tmp_path):
    run = make_run(tmp_path / 'mlp', step=10)
    for name in (
        'results.json',
        'provenance.json',
        'checkpoints/10/_CHECKPOINT_METADATA',
    ):
        (run / name).write_text('{"torn')
    one = run_list.standing(run)
    assert (one.status, one.step, one.score) == ('interrupted', 10, None)


def test_the_newest_run_comes_first_and_seeds_count_together(tmp_path):
    make_run(tmp_path / 'old', step=10, started='2026-01-01')
    whole = make_run(tmp_path / 'whole', started='2026-01-02')
    for seed, score in enumerate((0.4, 0.8)):
        done = {'step': 30, 'total_steps': 30} if seed == 0 else None
        place, day = whole / f'seed_{seed}', f'2026-01-0{seed + 3}'
        make_run(place, step=20, score=score, started=day, results=done)
    found = run_list.standings(tmp_path)
    assert [one.run.rpartition('/')[2] for one in found] == [
        'seed_1',
        'seed_0',
        'whole',
        'old',
    ]
    whole = found[2]
    assert (whole.status, whole.resumable) == ('interrupted', True)
    assert (whole.step, whole.total_steps) == (50, 60)
    assert whole.score == pytest.approx(0.6)
    config = tmp_path / 'whole' / rundir.CONFIG
    told = json.loads(config.read_text()) | {'seeds': [0, 1, 2]}
    config.write_text(json.dumps(told))
    assert run_list.standings(tmp_path)[2].total_steps == 90


def test_a_directory_that_is_a_run_is_listed_itself(tmp_path):
    run = make_run(tmp_path / 'mlp', step=10)
    assert [one.run for one in run_list.standings(run)] == [str(run)]
    with pytest.raises(UserError, match='no directory'):
        run_list.standings(tmp_path / 'nowhere')


def test_the_table_says_how_to_go_on(tmp_path):
    runs = [stand(tmp_path, step=20), stand(tmp_path / 'b')]
    header, first, second, _, hint = run_list.run_table(runs, 300).splitlines()
    assert header.split() == ['run', 'status', 'age', 'step', 'best']
    assert first.split()[1] == 'interrupted'
    assert first.endswith('20/30  val/acc_top1 0.5000')
    assert second.split()[1] == 'empty' and second.endswith('-/-    -')
    assert hint == f'go on with one: python main.py --workdir={runs[0].run}'


def test_ages_are_short():
    ages = [run_list.age(seconds) for seconds in (-3, 40, 3599, 7200, 3e5)]
    assert ages == ['0 s', '40 s', '59 min', '2 h', '3 d']


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(['main.py', 'runs']) == 0
    assert capsys.readouterr().err == 'There are no runs in runs.\n'
    make_run(tmp_path / 'runs' / 'mlp_1', step=20)
    assert main.main(['main.py', 'runs']) == 0
    assert 'runs/mlp_1  interrupted' in capsys.readouterr().out
    assert main.main(['main.py', 'runs', 'runs', '--json']) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert set(listed) == {f.name for f in dataclasses.fields(run_list.Standing)}
    assert (listed['run'], listed['status']) == ('runs/mlp_1', 'interrupted')


def test_a_hundred_runs_are_listed_at_once_and_without_jax(tmp_path):
    for number in range(100):
        make_run(tmp_path / f'mlp_{number}', step=20, log=FAILED)
    code = (
        'import sys, time, main\n'
        f'assert main.main(["main.py", "runs", {str(tmp_path)!r}]) == 0\n'
        'assert time.process_time() < 2\n'
        'assert not {"jax", "gin"} & set(sys.modules)\n'
    )
    command = [sys.executable, '-c', code]
    root = os.path.dirname(main.__file__)
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.count('failed') == 100
