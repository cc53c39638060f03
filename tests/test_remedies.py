"""Memory that has run out becomes one line: of what, and what helps here."""

import jax
import jax.numpy as jnp
import pytest

from trainer import remedies
from trainer.errors import UserError
from trainer.evaluate import evaluate
from trainer.experiment import load
from trainer.job import Job, open_job
from trainer.programs import Programs
from trainer.train import train

MLP, RESNET = ['configs/mlp.gin'], ['configs/resnet18.gin']
OUT = 'RESOURCE_EXHAUSTED: Out of memory allocating 137438953472 bytes.'


def job_of(*bindings, files=MLP, splits=()):
    return open_job(load(files, list(bindings)), splits)


def fail(*_, **__):
    raise jax.errors.JaxRuntimeError(OUT)


class Failing:
    """A compiled step whose device runs out of memory when it runs."""

    def __init__(self, step):
        self.step = step

    def __getattr__(self, name):
        return getattr(self.step, name)

    __call__ = staticmethod(fail)


@pytest.mark.parametrize('where', ['compile', 'step', 'init'])
def test_out_of_memory_becomes_one_line_of_advice(where, tmp_path, monkeypatch):
    compiled = Programs.begin_train_step
    if where == 'compile':
        monkeypatch.setattr(Job, 'compile_train_step', fail)
    elif where == 'init':
        monkeypatch.setattr(Job, 'init_state', fail)
    else:
        monkeypatch.setattr(
            Job,
            'compile_train_step',
            lambda job: Failing(compiled(job.programs, job.datasets['train']).result()),
        )
    with pytest.raises(UserError) as caught:
        train(load(MLP, []), tmp_path / 'run')
    line = str(caught.value)
    assert caught.value.exit_code == 2
    assert '\n' not in line
    for word in ('0.1 M parameters, batch 128', '. Set train/Images.batch = 64, or'):
        assert word in line
    assert 'Parallel.fsdp' in line and 'check --memory' in line


@pytest.mark.parametrize(
    ('backend', 'helps'),
    [
        ('cpu', 'Parallel.fsdp over several machines'),  # its parts are written out
        *(
            (one, 'Experiment.accumulate or Parallel.fsdp over several devices')
            for one in ('gpu', 'tpu')
        ),
    ],
)
def test_what_helps_depends_on_the_backend(backend, helps, monkeypatch):
    job = job_of()
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    assert remedies.remedies(job) == (
        f'set train/Images.batch = 64, or keep the batch with {helps}'
    )


def test_it_names_what_the_model_has(monkeypatch):
    has, given = job_of(files=RESNET), job_of('ResNet.remat = True', files=RESNET)
    assert 'remat' not in remedies.remedies(has)  # on a CPU it saves nothing
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    said = remedies.remedies(has)
    assert 'Experiment.accumulate, ResNet.remat = True or Parallel.fsdp' in said
    assert 'remat' not in remedies.remedies(given)
    assert 'remat' not in remedies.remedies(job_of())  # a perceptron has none


def test_a_batch_of_one_cannot_be_smaller():
    said = remedies.of_training(job_of('Images.batch = 1'))
    assert said.startswith('batch 1. Keep the batch with Parallel.fsdp')


@pytest.mark.parametrize(
    ('batch', 'todo'),
    [(128, 'Set eval/Images.batch = 64, which'), (1, 'Take a device with more memory')],
)
def test_an_evaluation_is_told_of_its_own_batch(batch, todo, monkeypatch):
    job = job_of(f'eval/Images.batch = {batch}', splits=['eval'])
    monkeypatch.setattr(Job, 'eval_step', fail)
    said = f'parameters, batch {batch} of eval. {todo}'
    with pytest.raises(UserError, match=said) as caught:
        evaluate(job, 'eval', {}, {})
    assert '\n' not in str(caught.value) and 'train' not in str(caught.value)


def test_a_prediction_is_told_of_its_files():
    advised = remedies.advised(job_of(), remedies.of_predicting)
    with pytest.raises(UserError, match=r'Name fewer files at once'), advised:
        fail()


def test_what_xla_itself_raises_is_understood():
    advised, said = remedies.advised(job_of()), r'^Out of memory on 1 x cpu'
    with pytest.raises(UserError, match=said), advised:
        jnp.zeros((2**50,)).block_until_ready()


def test_other_errors_stay_what_they_are():
    advised = remedies.advised(job_of())
    with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'), advised:
        raise jax.errors.JaxRuntimeError('INTERNAL: something else')
