"""Data that lies on the devices: the same numbers as from the host, to the bit."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from trainer import feeding, parallel, resident
from trainer.data.images import Images
from trainer.errors import UserError
from trainer.evaluate import evaluate
from trainer.experiment import load
from trainer.job import open_job
from trainer.train import train
from trainer.transforms import RandomResizedCrop

SMALL = ['EPOCHS = 2', 'BATCH = 64', 'MLP.hidden_dim = 32']


def job_of(cache, *bindings):
    bindings = [*SMALL, f"Images.cache = '{cache}'", *bindings]
    return open_job(load(['configs/mlp.gin'], bindings))


def assert_same(left, right):
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)


def steps(job, count):
    """The state after so many single steps."""
    state, step, batches = (
        job.init_state(),
        job.compile_train_step(),
        job.train_batches(),
    )
    beside = job.programs.update_norm().result()
    for _ in range(count):
        kept = beside.keep(state.params)
        state, watch = step(state, next(batches)[0])
        watch = {**watch, 'update_norm': beside.since(kept, state.params)}
    batches.close()
    return state, watch


def test_steps_and_scores_are_those_of_the_host_to_the_bit():
    host, device = job_of('host'), job_of('device')
    on_host, on_device = steps(host, 25), steps(device, 25)
    assert_same(on_host, on_device)
    weights = on_host[0].weights
    assert evaluate(host, 'test', *weights) == evaluate(device, 'test', *weights)


def test_several_steps_in_one_dispatch_are_single_steps(monkeypatch):
    """As GPU and TPU take them; a network of products has no cliff in CPU loops."""
    job = job_of('device')
    expected, watch = steps(job, 10)
    monkeypatch.setattr(feeding, 'SCANNING', ('cpu',))
    job = dataclasses.replace(job)
    batch, count = next(job.train_batches())
    assert count == job.longest_stride == 10
    state, found = job.compile_train_steps()(job.init_state(), batch)
    assert int(state.step) == 10
    for a, b in zip(
        jax.tree.leaves((expected, watch)), jax.tree.leaves((state, found)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_a_run_logs_evaluates_and_saves_at_the_same_steps(tmp_path, monkeypatch):
    """20 steps an epoch, a line every 7: single steps where something is due."""
    bindings = [*SMALL, 'Experiment.log_every = 7', "Images.cache = 'device'"]

    def run(name, more=()):
        train(load(['configs/mlp.gin'], [*bindings, *more]), tmp_path / name)
        text = (tmp_path / name / 'metrics.jsonl').read_text()
        lines = map(json.loads, text.splitlines())
        timeless = [
            {k: v for k, v in line.items() if not k.startswith(('perf/', 'time'))}
            for line in lines
        ]
        return timeless, sorted(p.name for p in (tmp_path / name).glob('check*/*'))

    single = run('single')
    monkeypatch.setattr(feeding, 'SCANNING', ('cpu',))
    several = run('several')
    assert several[1] == single[1]
    assert [line.keys() for line in several[0]] == [line.keys() for line in single[0]]
    for left, right in zip(several[0], single[0], strict=True):
        assert left == pytest.approx(right, rel=1e-3, abs=1e-5, nan_ok=True)


def test_rows_of_several_processes_make_the_batch():
    dataset = Images(split='train[:200]', batch=24, cache='device').open()
    whole = next(dataset.train_batches(3, 4))
    rows = [next(dataset.train_rows(3, 4, p, 2))['row'] for p in range(2)]
    np.testing.assert_array_equal(np.concatenate(rows), whole['index'])


def test_chance_on_the_host_is_refused():
    images = Images(
        split='train', batch=8, cache='device', transforms=[RandomResizedCrop(size=6)]
    )
    with pytest.raises(UserError, match=r"RandomResizedCrop .*augment.* = 'host'"):
        resident.check_resident(images.open())


def test_what_does_not_fit_is_refused_in_one_line():
    dataset = Images(split='train', batch=8, cache='device').open()
    with pytest.raises(UserError, match=r'takes 0.1 MiB and a device has 0.1 MiB') as e:
        resident.check_resident(dataset, memory=100_000)
    assert '\n' not in str(e.value)
    assert parallel.device_memory() > dataset.num_bytes
