"""Operations counted in a traced program: those that XLA counts where it can."""

import types

import jax
import jax.numpy as jnp
import pytest

from trainer import overview
from trainer.experiment import load
from trainer.flops import ATTENTION, counted, flops
from trainer.job import open_job


def both(function, *arguments):
    """(ours, XLA's on this CPU before it optimises)."""
    traced = jax.jit(function).trace(*arguments)
    return flops(traced.jaxpr), traced.lower().cost_analysis()['flops']


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, 'float32')


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize(
    'how',
    [{}, {'feature_group_count': 4}, {'rhs_dilation': (2, 2)}, {'padding': 'VALID'}],
    ids=str,
)
def test_a_convolution_and_its_gradients_cost_what_xla_says(stride, how):
    how = {'padding': 'SAME', **how}
    groups = how.get('feature_group_count', 1)
    maps, kernel = shape(2, 9, 10, 8), shape(3, 3, 8 // groups, 16)

    def convolved(maps, kernel):
        axes = ('NHWC', 'HWIO', 'NHWC')
        return jax.lax.conv_general_dilated(
            maps, kernel, (stride, stride), dimension_numbers=axes, **how
        ).sum()

    ours, theirs = both(jax.grad(convolved, (0, 1)), maps, kernel)
    assert ours == pytest.approx(theirs, rel=0.05)


def test_products_in_loops_branches_and_what_is_computed_again():
    def turn(rows, _):
        rows = jax.lax.cond(rows[0, 0] > 0, lambda r: r @ r, lambda r: r, rows)
        return jax.checkpoint(lambda rows: rows @ rows)(rows), None

    def looped(rows):
        return jax.lax.scan(turn, rows, length=5)[0]

    assert flops(jax.make_jaxpr(looped)(shape(8, 8))) == 5 * 2 * 2 * 8**3


def test_the_fused_attention_costs_its_products():
    def attend(query, key, value):
        return jax.nn.dot_product_attention(query, key, value)

    tokens = shape(2, 17, 3, 8)
    variable, found = types.SimpleNamespace(aval=tokens), []
    for name in ATTENTION:
        fused = types.SimpleNamespace(name=name)
        equation = types.SimpleNamespace(
            primitive=fused, params={}, invars=[variable] * 3
        )
        found.append(counted(types.SimpleNamespace(eqns=[equation])))
    forward, backward = found
    assert forward == flops(jax.make_jaxpr(attend)(tokens, tokens, tokens))
    total = jax.make_jaxpr(jax.value_and_grad(lambda *t: attend(*t).sum(), (0, 1, 2)))
    assert forward + backward == flops(total(tokens, tokens, tokens))


def test_on_a_gpu_a_step_is_counted_as_it_is_traced(monkeypatch):
    """Its compiled program says next to nothing: libraries do the work."""
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    job = open_job(load(['configs/mlp.gin']), ())
    step = job.compile_train_step()
    told = overview.step_flops(job, types.SimpleNamespace(cost_analysis=dict))
    by_xla = step.cost_analysis()['flops']
    assert told == pytest.approx(by_xla, rel=0.2)
    assert told > 6 * 128 * 16_000
    assert jnp.isfinite(told)


def test_on_a_tpu_all_parts_of_a_batch_are_counted(monkeypatch):
    """They are the turns of a loop there, of which XLA counts one."""
    monkeypatch.setattr(jax, 'default_backend', lambda: 'tpu')
    told = []
    for parts in (1, 4):
        bindings = [f'Experiment.accumulate = {parts}', 'MLP.hidden_dim = 512']
        job = open_job(load(['configs/mlp.gin'], bindings), ())
        told.append(overview.step_flops(job, job.compile_train_step()))
    assert told[1] == pytest.approx(told[0], rel=0.2)
