"""State and batch cut over simulated devices: the numbers of one, less memory."""

import dataclasses
import json
import subprocess
import sys
import types

import jax
import pytest

from tests.in_turn import alone, on_devices
from tests.run_ends import timeless
from tests.several import DEVICES, ROOT
from trainer import feeding, parallel, sharding
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import open_job
from trainer.parallel import Parallel

MLP = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=5', '--gin.MLP.dropout=0.3']
MLP += ['--gin.Experiment.log_every=1']
COLUMNS = "--gin.Parallel.rules={'backbone/layers/.*/kernel': [None, 'model']}"
LAYOUTS = {
    'data': [],
    'fsdp': ['--gin.Parallel.fsdp=8'],
    'all': ['--gin.Parallel.fsdp=2', '--gin.Parallel.model=2', COLUMNS],
}
FACTS = """
import json, math, jax
import tests.small_resnet
from trainer.experiment import load
from trainer.job import open_job
def opened(*bindings):
    cut = ['Images.batch = 32', 'Parallel.fsdp = 8', *bindings]
    return open_job(load(['configs/resnet18.gin'], cut), ())
def leaves(state):
    return [x for x in jax.tree.leaves([state.params, state.opt_state]) if x.ndim]
def foretold(x):
    return math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
whole = leaves(opened().abstract_state())
job = opened('Net.backbone = @SmallResNet', 'Parallel.smallest = 8')
made, first = leaves(job.init_state()), jax.devices()[0]
shards = [shard for x in made for shard in x.addressable_shards]
here = [shard.data.nbytes for shard in shards if shard.device == first]
text = job.compile_train_step().as_text()
names = ('all-gather', 'all-reduce', 'reduce-scatter')
found = {name: text.count(f' {name}(') for name in names}
found |= {'all': sum(x.nbytes for x in made), 'here': sum(here)}
found['whole'] = sum(x.size * x.dtype.itemsize for x in whole)
print(json.dumps({**found, 'of_whole': sum(map(foretold, whole))}))
"""


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp('layouts')
    alone(place / 'one', *MLP)
    runs = ([*MLP, *cut, f'--workdir={place / name}'] for name, cut in LAYOUTS.items())
    on_devices(8, *runs)
    return place


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_gives_the_losses_of_one_device(runs, layout):
    one, eight = (map(json.loads, timeless(runs / name)) for name in ('one', layout))
    compared = 0
    for row, other in zip(one, eight, strict=True):
        for key in row:
            if key.endswith(('loss', 'loss_epoch')):
                assert row[key] == pytest.approx(other[key], abs=1e-5)
                compared += 1
    assert compared > 50


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_moves_as_far_as_one_device(runs, layout):
    """Beside the step where all is whole on each device, within it where it is cut."""
    one, eight = (map(json.loads, timeless(runs / name)) for name in ('one', layout))
    key = 'train/update_norm'
    one, eight = ([row[key] for row in rows if key in row] for rows in (one, eight))
    assert len(one) == 50
    assert one == pytest.approx(eight, rel=1e-3)


@pytest.mark.parametrize('layout', ['fsdp', 'all'])
def test_a_checkpoint_of_any_layout_is_scored_on_one_device(runs, layout):
    alone(runs / layout, 'evaluate')
    scores = json.loads((runs / layout / 'evaluation_test.json').read_text())
    results = json.loads((runs / layout / 'results.json').read_text())
    assert scores['examples'] == 360
    assert scores['test/acc_top1'] == results['test/acc_top1']
    assert scores['test/loss'] == pytest.approx(results['test/loss'], abs=1e-6)


def test_a_run_goes_on_in_another_layout(runs, tmp_path):
    more, half = ['--gin.EPOCHS=5'], ['--gin.EPOCHS=2']
    constant = ['--gin.Experiment.schedule=@constant', '--gin.constant.peak=1e-3']
    arguments = [*MLP, *constant, f'--workdir={tmp_path}']
    starts = [*LAYOUTS['fsdp'], *half], [*LAYOUTS['all'], *more]
    output = on_devices(8, *([*arguments, *words] for words in starts))
    assert 'going on from step 20' in output
    alone(tmp_path / 'whole', *MLP, *constant, *more)
    ends = [json.loads(timeless(p)[-1]) for p in (tmp_path, tmp_path / 'whole')]
    assert ends[0]['test/loss'] == pytest.approx(ends[1]['test/loss'], abs=1e-5)


def test_each_device_holds_its_part_of_the_state(monkeypatch):
    monkeypatch.setenv('XLA_FLAGS', f'{DEVICES}8')
    command = [sys.executable, '-c', FACTS]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    facts = json.loads(printed.stdout.splitlines()[-1])
    assert facts['here'] / facts['all'] < (1 + 0.05) / 8
    assert facts['of_whole'] / facts['whole'] < (1 + 0.05) / 8
    assert facts['all-gather'] > 10  # parameters, where they are used
    assert facts['all-reduce'] + facts['reduce-scatter'] > 10  # gradients, statistics


def gpus(machines, each):
    """As jax shows them: a machine is a slice of its own."""
    kind = {'platform': 'gpu', 'device_kind': 'NVIDIA H100 80GB HBM3'}
    return [
        types.SimpleNamespace(id=n, process_index=n, slice_index=n // each, **kind)
        for n in range(machines * each)
    ]


@pytest.mark.parametrize('shape', [(32, 1, 1), (4, 8, 1), (1, 32, 1), (2, 4, 4)])
def test_machines_of_gpus_make_a_mesh_whose_inner_axes_stay_in_one(shape):
    mesh = parallel.arrange(shape, gpus(4, 8))
    assert mesh.shape == shape
    assert {device.id for device in mesh.flat} == set(range(32))
    if shape == (4, 8, 1):
        assert [device.slice_index for device in mesh[2].flat] == [2] * 8
    if shape == (2, 4, 4):  # two machines of every fsdp group
        spans = {d.slice_index for d in mesh[0].flat}
        assert len(spans) == 2


def test_machines_with_unequal_numbers_of_gpus_make_a_mesh():
    mesh = parallel.arrange((6, 1, 1), gpus(2, 3)[:5] + gpus(3, 3)[6:7])
    assert len({device.id for device in mesh.flat}) == 6


def test_the_axes_of_a_tpu_are_split_where_the_layout_asks():
    chips = [
        types.SimpleNamespace(
            id=n,
            platform='tpu',
            device_kind='TPU v6 lite',
            coords=(n % 4, n // 4, 0),
            core_on_chip=0,
            process_index=n // 4,
            slice_index=0,
        )
        for n in range(16)
    ]
    assert parallel.arrange((2, 8, 1), chips).shape == (2, 8, 1)


def test_devices_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match=r'fsdp 3, .* the 1 devices .* must be 1'):
        parallel.make_mesh(Parallel(fsdp=3))


@pytest.mark.parametrize(
    'layout', [Parallel(model=2), Parallel(fsdp=3), Parallel(data=2)]
)
def test_they_are_refused_before_a_batch_is_divided_over_them(layout):
    experiment = dataclasses.replace(load(['configs/mlp.gin']), parallel=layout)
    with pytest.raises(UserError, match=r'does not make the 1 devices'):
        open_job(experiment, ())


def test_a_run_is_scored_on_devices_that_it_was_not_made_for(monkeypatch):
    monkeypatch.setattr(jax, 'device_count', lambda: 8)
    odd = ['Images.batch = 50', 'Experiment.accumulate = 5', 'Parallel.fsdp = 3']
    experiment = load(['configs/mlp.gin'], odd)
    fitting = feeding.for_scoring(experiment)
    assert {images.batch for images in fitting.roles.values()} == {56}
    assert (fitting.accumulate, fitting.parallel) == (1, Parallel())
    two = dataclasses.replace(experiment, parallel=Parallel(fsdp=2))
    assert feeding.for_scoring(two).parallel.fsdp == 2


KERNEL = {'a/kernel': (4, 4)}


@pytest.mark.parametrize(
    'axes', [['model'], [None, 'rows'], ['fsdp', None], ['model', 'model']]
)
def test_a_rule_that_does_not_fit_names_the_parameter(axes):
    layout = Parallel(model=2, fsdp=3, rules={'.*/kernel': axes})
    with pytest.raises(UserError, match=r'does not fit a/kernel of shape \(4, 4\)'):
        sharding.ruled(KERNEL, layout)


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [('kernel', "has 'kernel', which matches no parameter"), ('(', 'no regular')],
)
def test_a_rule_that_says_nothing_is_refused_before_any_file(pattern, message):
    layout = Parallel(rules={pattern: [None]})
    experiment = dataclasses.replace(load(['configs/mlp.gin']), parallel=layout)
    with pytest.raises(UserError, match=rf'^Parallel.rules .*{message}'):
        open_job(experiment, ())


def test_what_has_another_shape_than_its_parameter_is_cut_by_size():
    """As the rows and columns that Adafactor keeps of a kernel."""
    mesh = jax.sharding.AbstractMesh((1, 4, 2), parallel.AXES)
    shapes = {'a': {'kernel': (64, 64)}, 'rows': {'kernel': (64,)}, 'v': {'b': (1,)}}
    tree = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, 'float32'),
        shapes,
        is_leaf=lambda leaf: isinstance(leaf, tuple),
    )
    layout = Parallel(model=2, fsdp=4, smallest=8, rules={'kernel|b': [None, 'model']})
    made = sharding.shardings(tree, {'kernel': (64, 64), 'b': (8, 8)}, mesh, layout)
    cut = {part: tuple(place.spec) for part, (place,) in _places(made)}
    assert cut == {'a': (None, 'model'), 'rows': ('fsdp',), 'v': ()}


def _places(tree):
    return ((part, tuple(places.values())) for part, places in tree.items())


def test_devices_that_have_nothing_of_their_own_are_told():
    rules = {'.*': [None, 'model']}
    assert 'is 2, but no rule in Parallel.rules' in parallel.idle(Parallel(model=2))
    assert parallel.idle(Parallel(model=2, rules=rules)) is None
    assert parallel.idle(Parallel(fsdp=2)) is None


def test_the_longest_dimension_that_divides_is_cut():
    mesh = jax.sharding.AbstractMesh((1, 4, 1), parallel.AXES)
    shapes = {'a': (3, 3, 64, 128), 'b': (1000, 10), 'c': (64,), 'd': (999, 7)}
    tree = {k: jax.ShapeDtypeStruct(v, 'float32') for k, v in shapes.items()}
    made = sharding.shardings(tree, shapes, mesh, Parallel(fsdp=4))
    cut = {name: tuple(place.spec) for name, place in made.items()}
    assert cut == {
        'a': (None, None, None, 'fsdp'),
        'b': ('fsdp', None),
        'c': (),
        'd': (),
    }
