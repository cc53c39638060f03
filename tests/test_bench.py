"""The figures of `bench`: all of them, of any config, and where they are not known."""

import json
import statistics
import time

import jax
import pytest

from trainer import bench, feeding, footprint
from trainer.console import Console
from trainer.experiment import load
from trainer.stopwatch import Stopwatch

FIGURES = {
    'name',
    'processes',
    'device',
    'devices',
    'batch',
    'parameters',
    'steps',
    'images_per_second',
    'step_ms',
    'step_ms_p50',
    'step_ms_p95',
    'device_ms',
    'input_wait',
    'flops_per_step',
    'step_bytes',
    'mfu',
    'compile_seconds',
    'init_seconds',
    'peak_bytes',
}


def measured(*bindings):
    experiment = load(['configs/mlp.gin'], list(bindings))
    return bench.bench(experiment, stop=False, console=Console(True), seconds=0.5)


def test_all_figures_are_there_and_are_json():
    found = measured()
    assert set(json.loads(json.dumps(found))) == FIGURES
    assert found['steps'] >= bench.LEAST_STEPS
    assert 0 <= found['input_wait'] <= 1
    assert 0 < found['step_ms_p50'] <= found['step_ms_p95']
    rate = 1000 * found['batch'] / found['step_ms']
    assert found['images_per_second'] == pytest.approx(rate)
    assert found['flops_per_step'] > 6 * 128 * 16_000  # forward and backward


def test_data_on_the_device_is_measured_too():
    assert measured("Images.cache = 'device'")['images_per_second'] > 0


def test_several_steps_go_in_one_dispatch_as_in_a_run(monkeypatch):
    """Where the data is on a GPU or TPU; ten of them, a line's worth."""
    monkeypatch.setattr(feeding, 'SCANNING', ('cpu',))
    found = measured("Images.cache = 'device'")
    assert found['steps'] % 10 == 0
    rate = 1000 * found['batch'] / found['step_ms']
    assert found['images_per_second'] == pytest.approx(rate)


def test_no_utilisation_without_a_peak_and_the_reason_is_said():
    found = measured()
    assert found['mfu'] is None
    assert "no peak is stated for 'cpu'" in bench.text(found)
    assert 'the compiler does not count' in bench.unknown({'device': 'TPU v4'})


def test_utilisation_is_flops_over_the_peak(monkeypatch):
    monkeypatch.setitem(footprint.PEAK_FLOPS, 'cpu', 1e15)
    found = measured()
    rate = found['flops_per_step'] / found['step_ms'] * 1000
    assert found['mfu'] == pytest.approx(rate / 1e15)
    assert 'MFU               0.0%' in bench.text(found)


@pytest.mark.parametrize(
    ('kind', 'teraflops'),
    [
        ('TPU v2', 45 / 2),  # two devices a chip
        ('TPU v3', 123 / 2),
        ('TPU v5 lite', 197),
        ('TPU7x', 2307 / 2),
        ('NVIDIA H100 80GB HBM3', 1979 / 2),  # stated with sparsity
        ('NVIDIA L4', 242 / 2),
        ('NVIDIA H200 NVL', 1671 / 2),
        ('NVIDIA GeForce RTX 4090', 330.3 / 2),
    ],
)
def test_a_peak_is_dense_and_of_one_device(kind, teraflops):
    assert footprint.peak_flops(kind) == pytest.approx(1e12 * teraflops, rel=2e-3)


def test_processes_go_on_for_as_long_as_the_first_says(monkeypatch):
    said = []
    monkeypatch.setattr(bench.processes, 'told', lambda more: said.append(more) or more)
    first = bench.Until(0.05)
    steps = 0
    while not first(steps):
        time.sleep(0.001)
        steps += 1
    assert steps >= bench.LEAST_STEPS and said[-1] == 0
    assert len(said) < steps == bench.LEAST_STEPS + sum(said)
    heard = iter(said)
    monkeypatch.setattr(bench.processes, 'told', lambda more: next(heard))
    other = bench.Until(1000)
    assert [other(step) for step in range(steps + 1)] == [False] * steps + [True]


def test_a_signal_ends_it_after_the_least_steps():
    until = bench.Until(1000, stop=True)
    assert not until(bench.LEAST_STEPS - 1) and until(bench.LEAST_STEPS)


def test_the_slowest_and_the_fullest_of_several_count(monkeypatch):
    other = [0.5, {'host': 3}]
    monkeypatch.setattr(bench.processes, 'gather', lambda mine: [mine, other])
    worst = bench.worst(0.25, {'host': 7})
    assert worst == {'input_wait': 0.5, 'peak_bytes': {'host': 7}}


def test_percentiles_are_those_of_the_steps():
    clock, one = Stopwatch(), jax.numpy.ones(())
    for seconds in (0.01, 0.01, 0.01, 0.3):
        time.sleep(seconds)
        clock.sent(one)
    clock.settle()
    clock.close()
    lasted = list(clock.lasted)
    figures = clock.read(1)
    assert figures['perf/step_ms_p50'] == pytest.approx(
        1000 * statistics.median(lasted)
    )
    assert figures['perf/step_ms_p95'] > 2 * figures['perf/step_ms_p50']
    assert clock.read(1) == {}


def test_the_command_prints_json_alone(here, monkeypatch):
    monkeypatch.setitem(bench.bench.__kwdefaults__, 'seconds', 0.5)
    done = here('bench', '--gin_file=configs/mlp.gin', '--json')
    assert done.returncode == 0
    assert set(json.loads(done.stdout)) == FIGURES
