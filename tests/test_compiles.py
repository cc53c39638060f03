"""Every program is compiled once, ahead of its use; the loop compiles nothing."""

import collections
import copy
import dataclasses
import shutil

import jax
import pytest

from trainer.experiment import load
from trainer.job import open_job
from trainer.loop import Loop
from trainer.train import train

COMPILED = '/jax/core/compile/backend_compile_duration'


@pytest.fixture
def compiled():
    """The names of the programs that are compiled, or found in the cache, in order."""
    names = []

    def listen(event, _seconds, **details):
        if event == COMPILED:
            names.append(details['fun_name'])

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


def experiment(*bindings):
    small = ['MLP.hidden_dim = 24', 'EPOCHS = 3']
    return load(['configs/mlp.gin'], [*small, *bindings])


PLATEAU = ('Experiment.schedule = @plateau', 'plateau.peak = 1e-3')


@pytest.mark.parametrize('bindings', [(), PLATEAU], ids=['cosine', 'plateau'])
def test_nothing_is_compiled_after_the_first_epoch(
    tmp_path, monkeypatch, compiled, bindings
):
    saved, save = [], Loop.save

    def noted(self, *arguments):
        save(self, *arguments)
        for begun in self.job.programs.futures.values():
            begun.result()
        saved.append(len(compiled))

    monkeypatch.setattr(Loop, 'save', noted)
    train(experiment(*bindings), tmp_path)
    assert len(saved) == 3
    assert compiled[saved[0] :] == []


def test_the_loop_compiles_only_what_was_begun_before_it(
    tmp_path, monkeypatch, compiled
):
    begun, run = [], Loop.run

    def waiting(self, state):
        for future in self.job.programs.futures.values():
            future.result()
        begun.extend(compiled)
        return run(self, state)

    monkeypatch.setattr(Loop, 'run', waiting)
    train(experiment(), tmp_path)
    assert compiled == begun
    steps = [name for name in begun if name == 'jit(step)']
    assert len(steps) == 2  # one trains, one evaluates both eval and test data
    leaves = {
        (leaf.shape, leaf.dtype)
        for leaf in jax.tree.leaves(open_job(experiment()).abstract_state())
    }
    counts = collections.Counter(begun)
    assert counts['jit(_fingerprint)'] <= len(leaves)


def test_data_of_another_kind_has_an_evaluation_step_of_its_own():
    job = open_job(experiment())
    other = dataclasses.replace(job.datasets['test'].images, mean=0.25)
    datasets = job.datasets | {'test': other.open()}
    job = dataclasses.replace(job, datasets=datasets)
    assert job.eval_step('eval') is job.eval_step('eval')
    assert job.eval_step('eval') is not job.eval_step('test')


def test_when_its_trace_is_there_the_step_is_on_its_way_to_xla():
    job = open_job(experiment())
    job.compile_ahead()
    job.wait_for_trace()
    programs = job.programs
    key = 'train step', 1, job.experiment.train_data.batch
    traced = programs.traced.get(key)
    assert traced is None or traced.done()
    assert programs.futures[key].result() is job.compile_train_step()
    begun = dict(programs.futures)
    job.compile_ahead()  # as each checkpoint does that is looked at
    assert programs.futures == begun
    for future in begun.values():
        future.result()
    assert programs.traced == {}  # a trace is as large as its program


def test_what_cannot_be_compiled_is_said_where_it_is_needed():
    job = open_job(experiment())

    def broken(outputs, batch):
        raise ValueError('this loss is broken')

    task = copy.copy(job.task)
    object.__setattr__(task, 'loss', broken)
    job = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, task=task))
    job.compile_ahead()
    job.wait_for_trace()
    with pytest.raises(ValueError, match='this loss is broken'):
        job.compile_train_step()


def test_a_second_start_and_a_resumed_run_find_every_program(tmp_path, juniper):
    """None is compiled anew, which is what makes them fast."""
    arguments = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=0.2']
    arguments += ['--gin.Experiment.save_every=0.1', '--gin.MLP.hidden_dim=16']

    def kept(run):
        place = f'--workdir={tmp_path / run}'
        done = juniper(*arguments, place, JUNIPER_CACHE=tmp_path / 'cache')
        assert done.returncode == 0, done.stderr
        files = (tmp_path / 'cache/xla').iterdir()
        return {file.name for file in files if not file.name.endswith('-atime')}

    first = kept('first')
    assert len(first) > 5
    assert kept('second') == first
    (tmp_path / 'first/results.json').unlink()
    shutil.rmtree(tmp_path / 'first/checkpoints/2')
    assert kept('first') == first
    assert 'going on from step 1' in (tmp_path / 'first/log.txt').read_text()
