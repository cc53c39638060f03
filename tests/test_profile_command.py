"""`profile` names the costliest operations of a step, and its numbers add up."""

import json

import jax
import jax.numpy as jnp
import pytest

from trainer import operations, program_text
from trainer.errors import TrainingFailed

MLP = '--gin_file=configs/mlp.gin'


def test_the_command_tells_where_a_step_goes_and_keeps_the_trace(here, tmp_path):
    done = here('profile', MLP, '--json', '--out=kept')
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = found['costliest']
    assert len(rows) == operations.COSTLIEST < found['operations']
    assert sum(found['shares'].values()) == pytest.approx(1)
    assert [row['share'] for row in rows] == sorted(
        (row['share'] for row in rows), reverse=True
    )
    for row in rows:
        expected = row['share'] * found['operations_ms_per_step']
        assert row['ms_per_step'] == pytest.approx(expected)
        assert row['calls'] >= found['steps'] == operations.STEPS
    for kind, share in found['shares'].items():
        listed = sum(row['share'] for row in rows if row['kind'] == kind)
        assert listed <= share + 1e-9
    assert found['shares']['matmul'] > 0 == found['shares']['convolution']
    assert any(row['source'].startswith('models/mlp.py:') for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ['kept']
    (trace,) = tmp_path.rglob('*.xplane.pb')
    assert str(trace.relative_to(tmp_path)) in done.stderr
    assert list(tmp_path.rglob('*.trace.json.gz'))
    assert 'matmul' in operations.text(found) and rows[0]['operation'] in done.stdout


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ((MLP, '--out=file/within'), '--out=file/within cannot be written'),
        ((), 'No config: give --gin_file='),
        ((MLP, '--top=3'), 'profile does not look at --top'),
    ],
)
def test_mistakes_are_one_line(here, tmp_path, arguments, said):
    (tmp_path / 'file').write_text('')
    done = here('profile', *arguments)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_kinds_are_those_of_what_is_fused():
    def step(image, kernel):
        out = jax.lax.conv(image, kernel, (1, 1), 'SAME')
        return jnp.sort(jnp.tanh(out).reshape(8, -1) @ jnp.ones((256, 8)))

    compiled = jax.jit(step).lower(jnp.ones((8, 4, 8, 8)), jnp.ones((4, 4, 3, 3)))
    known = program_text.operations(compiled.compile().as_text())
    kinds = {one.path.rpartition('/')[2]: one.kind for one in known.values()}
    assert kinds['conv_general_dilated'] == 'convolution'
    assert kinds['dot_general'] == 'matmul'
    assert kinds['tanh'] == 'elementwise'
    assert kinds['sort'] == 'other'


def test_libraries_are_known_by_the_names_of_their_functions():
    line = '  %a = f32[8] custom-call(%b), custom_call_target="{}", metadata={{}}'
    targets = {
        '__cudnn$convForward': 'convolution',
        '__cublas$lt$matmul': 'matmul',
        '__cublas$gemm': 'matmul',
        'TopK': 'other',
    }
    for target, kind in targets.items():
        text = f'HloModule m\n\nENTRY %main () -> f32[8] {{\n{line.format(target)}\n}}'
        assert program_text.operations(text)['a'].kind == kind


def test_a_loop_costs_what_its_body_does_not():
    spans = [(10, 20, 'body'), (0, 100, 'loop'), (30, 30, 'body'), (100, 5, 'next')]
    found = sorted(operations.own_times(spans))
    assert found == [('body', 20), ('body', 30), ('loop', 50), ('next', 5)]


def test_a_trace_without_the_step_is_told():
    text = 'HloModule jit_step, is_scheduled=true\n'
    with pytest.raises(TrainingFailed, match='saw no operation of jit_step on cpu'):
        operations.costs([('jit_other', 'add', 5.0)], text, 10)
