"""How far a logged step moves the parameters, against a loop of numpy."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from tests.test_steps import first_state, job, run
from trainer.descent import Average
from trainer.experiment import load
from trainer.steps import make_train_step
from trainer.train import train
from trainer.update_norm import UpdateNorm

FROZEN = "Experiment.freeze = ('head/.*',)"
RULED = [  # by an axis of one device; the first array has more axes than the small ones
    "Experiment.freeze = ('.*/bias',)",
    "Parallel.rules = {'.*/kernel': [None, 'model']}",
    'MLP.hidden_dim = 2',
]


def numpy_norm(before, after):
    """The length of the change of all parameters, in double precision."""
    changes = [np.asarray(after[n], np.float64) - np.asarray(before[n]) for n in before]
    return np.sqrt(sum(np.sum(np.square(change)) for change in changes))


def begun(made):
    """The compiled step, the state before it, its batches, and what measures it."""
    beside = made.programs.update_norm().result()
    return made.compile_train_step(), made.init_state(), made.train_batches(), beside


@pytest.mark.parametrize('bindings', [[], [FROZEN], ['MLP.hidden_dim = 2'], RULED])
def test_it_is_the_length_of_the_change(bindings):
    step, state, batches, beside = begun(job(*bindings))
    for _ in range(3):
        before = jax.device_get(state.params)
        kept = beside.keep(state.params)
        state, watch = step(state, next(batches)[0])
        found = beside.since(kept, state.params)
        expected = numpy_norm(before, jax.device_get(state.params))
        assert float(found) == pytest.approx(expected, rel=1e-5)
        assert 'update_norm' not in watch
    batches.close()


@pytest.mark.parametrize('changes', [{}, {'average': Average()}])
def test_within_the_step_it_is_the_same(changes):
    made = job(FROZEN, "Experiment.rates = {'.*': 0.5}", **changes)
    first = first_state(made.recipe)
    (after,), _ = run(made, 1)
    batch = next(made.datasets['train'].train_batches(0))
    _, watch = jax.jit(make_train_step(made.recipe, measured=True))(first, batch)
    expected = numpy_norm(first.params, after.params)
    assert float(watch['update_norm']) == pytest.approx(expected, rel=1e-4)


def test_nothing_is_copied_to_or_from_the_host():
    step, state, batches, beside = begun(job())
    batch, _ = next(batches)
    with jax.transfer_guard('disallow'):
        kept = beside.keep(state.params)
        state, _ = step(state, batch)
        norm = beside.since(kept, state.params)
    assert np.isfinite(float(norm))
    batches.close()


def test_what_is_kept_outlives_the_donated_state_and_no_ordinary_step(monkeypatch):
    taken, keep = [], UpdateNorm.keep
    monkeypatch.setattr(
        UpdateNorm, 'keep', lambda self, params: taken.append(1) or keep(self, params)
    )
    step, state, batches, beside = begun(job())
    kept = beside.keep(state.params)
    step(state, next(batches)[0])
    assert all(leaf.is_deleted() for leaf in state.params.values())
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(kept))
    assert taken == [1]
    batches.close()


def test_every_logged_line_has_it_and_only_they_pay(tmp_path, monkeypatch):
    states, kept, keep = [], [], UpdateNorm.keep

    def counted(self, params):
        kept.append(jax.device_get(params))
        return keep(self, params)

    def hook(step, state, metrics):
        if 'train/update_norm' in metrics:
            states.append((step, jax.device_get(state.params)))

    monkeypatch.setattr(UpdateNorm, 'keep', counted)
    small = ['EPOCHS = 2', 'MLP.hidden_dim = 16', 'Experiment.log_every = 7']
    experiment = load(['configs/mlp.gin'], small)
    train(dataclasses.replace(experiment, hooks=(hook,)), tmp_path)
    rows = map(json.loads, (tmp_path / 'metrics.jsonl').read_text().splitlines())
    lines = {r['step']: r for r in rows if 'train/grad_norm' in r}
    assert list(lines) == [step for step, _ in states] == [7, 14, 20]
    assert len(kept) == len(states)
    for before, (step, after) in zip(kept, states, strict=True):
        expected = numpy_norm(before, after)
        assert lines[step]['train/update_norm'] == pytest.approx(expected, rel=1e-5)
