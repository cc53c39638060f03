"""Run directories are made, recognised and found; foreign ones are never touched."""

import datetime
import re
import threading

import numpy as np
import pytest

from trainer import answers, files, rundir
from trainer.errors import UserError


class Clock(datetime.datetime):
    """A second that does not end."""

    @classmethod
    def now(cls, tz=None):
        """Always the same."""
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


@pytest.fixture
def stopped_clock(monkeypatch):
    """Lets all runs of a test start in the same second."""
    monkeypatch.setattr(rundir.datetime, 'datetime', Clock)


def make_run(path, **flat):
    """A run directory with nothing but its config."""
    path.mkdir(parents=True)
    rundir.write_config(path, flat)
    return path


def snapshot(path):
    """Everything below a directory, with its bytes."""
    return {p: p.read_bytes() if p.is_file() else None for p in path.rglob('*')}


def test_a_run_directory_is_named_after_its_run_and_time(tmp_path, stopped_clock):
    path = rundir.create('digits', tmp_path / 'deep' / 'runs')
    assert path == tmp_path / 'deep' / 'runs' / 'digits_20260102_030405'
    assert path.is_dir()


@pytest.mark.parametrize(
    ('said', 'called'),
    [
        ([], 'mlp'),
        (['--gin.Experiment.name=digits'], 'digits'),
        (['--gin.Experiment.name=digits', '--name=mine'], 'mine'),
    ],
)
def test_a_command_without_workdir_makes_runs_name_time(here, tmp_path, said, called):
    small = ['--gin.EPOCHS=1', '--gin.MLP.hidden_dim=8', '--gin.Experiment.pictures=0']
    before = datetime.datetime.now().replace(microsecond=0)
    done = here('--gin_file=configs/mlp.gin', *small, *said)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['runs']
    (run,) = (tmp_path / 'runs').iterdir()
    assert re.fullmatch(rf'{called}_\d{{8}}_\d{{6}}', run.name)
    begun = datetime.datetime.strptime(run.name, f'{called}_%Y%m%d_%H%M%S')
    assert before <= begun <= datetime.datetime.now()
    assert rundir.config(run)['name'] == called and (run / 'checkpoints').is_dir()
    assert re.search(r'^part +params\nbackbone/layers +592\n', done.stdout, re.M)


def test_runs_of_one_name_and_second_never_clash(tmp_path, stopped_clock):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(rundir.create('a', tmp_path)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = 'a_20260102_030405'
    assert {p.name for p in made} == {first, *(f'{first}_{i}' for i in range(2, 9))}


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / 'runs').write_text('')
    with pytest.raises(UserError, match=r'runs cannot be a run directory: .*--workdir'):
        rundir.create('a', tmp_path / 'runs')


def test_a_new_an_empty_and_a_run_directory_are_opened(tmp_path):
    assert rundir.open_workdir(tmp_path / 'a' / 'b').is_dir()
    assert rundir.open_workdir(tmp_path / 'a' / 'b') == tmp_path / 'a' / 'b'
    run = make_run(tmp_path / 'run')
    (run / 'my_notes.txt').write_text('')
    assert rundir.open_workdir(run) == run


def test_what_a_start_left_that_was_killed_early_is_no_obstacle(tmp_path):
    for name in ('.lock', '.config.json.17.partial', 'log.txt'):
        (tmp_path / name).write_text('')
    assert rundir.open_workdir(tmp_path) == tmp_path


@pytest.mark.parametrize('config', [None, '[]', '{"name": "other tool"}', '{"torn'])
def test_a_foreign_directory_is_refused_and_not_touched(tmp_path, config):
    (tmp_path / 'thesis.tex').write_text('years of work')
    if config is not None:
        (tmp_path / 'config.json').write_text(config)
    before = snapshot(tmp_path)
    with pytest.raises(UserError, match=r'no Juniper run: it holds .*thesis.tex') as e:
        rundir.open_workdir(tmp_path)
    assert '\n' not in str(e.value)
    assert snapshot(tmp_path) == before


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        with pytest.raises(UserError, match='Not a directory'):
            rundir.open_workdir(path)


def test_the_config_comes_back_without_the_mark(tmp_path):
    flat = {'name': 'a', 'seed': 0, 'model.depth': 18, 'best.metric': None}
    rundir.write_config(tmp_path, flat)
    assert rundir.config(tmp_path) == flat
    assert list(rundir.config(tmp_path)) == list(flat)


def test_a_config_that_is_not_ours_to_read_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'no Juniper run: it has no config\.json'):
        rundir.config(tmp_path)
    files.write_json(tmp_path / 'config.json', {rundir.FORMAT_KEY: 99})
    with pytest.raises(UserError, match='has run format 99, but this Juniper reads 1'):
        rundir.config(tmp_path)


def test_a_run_is_finished_when_it_has_results(tmp_path):
    assert rundir.results(tmp_path) is None
    assert not rundir.finished(tmp_path)
    files.write_json(tmp_path / rundir.RESULTS, {'test/acc_top1': np.float32(0.5)})
    assert rundir.results(tmp_path) == {'test/acc_top1': 0.5}
    assert rundir.finished(tmp_path)


def test_an_address_is_no_directory_and_no_folder_is_called_like_it(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'^gs://bucket/run is an address; .* mounted'):
        rundir.open_workdir('gs://bucket/run')
    for refuse in (files.make_folder, files.check_folder):
        with pytest.raises(UserError, match='run is an address; --masks needs a file'):
            refuse('masks', 's3://bucket/run')
    with pytest.raises(UserError, match='csv is an address; --out needs a file system'):
        answers.check_out('gs://bucket/rows.csv')
    assert not list(tmp_path.iterdir())
