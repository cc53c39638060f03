"""Waiting for data: measured as the device sees it, and said once with a remedy."""

import contextlib
import json
import re
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer.advisor import Advisor, Rates
from trainer.data.dataset import Dataset
from trainer.data.images import Images
from trainer.experiment import load
from trainer.stopwatch import Stopwatch
from trainer.train import train
from trainer.transforms import RandomResizedCrop

DELAY = 0.05


def slowly(batches, slept):
    """Each batch late; a busy machine reads and sleeps longer than it was told."""
    with contextlib.closing(batches):
        while True:
            began = time.perf_counter()
            batch = next(batches)
            time.sleep(DELAY)
            slept.append(1e3 * (time.perf_counter() - began))
            yield batch


def test_a_delay_is_reported_with_its_share(tmp_path, monkeypatch, capsys):
    """50 ms a batch, within 200 steps; a device that works is not waiting."""
    read, slept = Dataset.train_batches, []
    monkeypatch.setattr(Dataset, 'train_batches', lambda *a: slowly(read(*a), slept))
    bindings = [
        'EPOCHS = 5',
        'Experiment.eval_data = None',
        'Experiment.save_every = 5',
        'Images.cache = None',  # what lies in memory is taken many batches at once
    ]
    train(load(['configs/mlp.gin'], bindings), tmp_path)
    warnings = [
        line
        for line in capsys.readouterr().err.splitlines()
        if 'waits for data' in line
    ]
    assert len(warnings) == 1
    lines = map(json.loads, (tmp_path / 'metrics.jsonl').read_text().splitlines())
    lines = [line for line in lines if 'perf/input_wait' in line]
    assert lines[1]['step'] <= 200
    share, device, whole = (
        np.array([line[f'perf/{name}'] for line in lines])
        for name in ('input_wait', 'device_ms', 'step_ms')
    )
    told = int(re.search(r'(\d+)% of the time', warnings[0])[1]) / 100
    assert np.abs(share - told).min() < 0.01  # that of the interval it was said after
    # Times add up, shares of intervals that a busy machine made unlike do not.
    share, device, whole = share[1:], device[1:].mean(), whole[1:]
    waited = (share * whole).mean() / whole.mean()
    # While it is late the device may still work; on an idle machine that is nothing.
    late = np.mean(slept[10:50])
    least, most = (late - device) / whole.mean(), late / whole.mean()
    assert least - 0.05 < waited < most + 0.05
    assert 'decode' in warnings[0] and 'transform' in warnings[0]


def test_waiting_beside_a_busy_device_costs_nothing():
    step = jax.jit(lambda x: jax.lax.fori_loop(0, 60, lambda _, y: jnp.sin(y @ y), x))
    x = jax.block_until_ready(step(jnp.eye(700)))
    clock = Stopwatch()
    with contextlib.closing(clock):
        for _ in range(3):
            clock.next(iter([x]))
            x = step(x)
            clock.sent(x)
            time.sleep(0.001)
            jax.block_until_ready(clock.next(iter([x])))
        clock.settle()
        waited = clock.read(8)['perf/input_wait']
    assert waited < 0.5


def advise(rates, **fields):
    fields = {'split': 'train[:64]', 'batch': 8, 'cache': None, **fields}
    return Advisor(Images(**fields).open(), cores=4).line(0.4, 100, rates)


@pytest.mark.parametrize(
    'rates, fields, expected',
    [
        ((50, 1000, 900), {}, "40% .*900.*decode 50.*cache = 'host': up to 900 im"),
        ((25, 1000, 150), {'cache': 'host'}, "cache = 'device': up to 150"),
        ((25, 1000, 150), {'cache': 'device'}, 'Neither explains it'),
        ((9, 40, 500), {'transforms': [RandomResizedCrop(size=6)]}, 'host.: up to 160'),
        (
            (99, 40, 500),
            {'transforms': [RandomResizedCrop(size=6)], 'cache': 'host', 'workers': 1},
            'workers = 4: up to 160',
        ),
        (
            (99, 20, 500),
            {'transforms': [RandomResizedCrop(size=6)], 'cache': 'host', 'workers': 4},
            'smaller Images.size',
        ),
    ],
)
def test_the_change_that_brings_most_is_named(rates, fields, expected):
    assert re.search(expected, advise(Rates(*rates), **fields))


def test_one_bad_interval_at_the_start_is_no_news(capsys):
    advisor = Advisor(Images(split='train[:64]', batch=8).open())
    figures = {
        'perf/input_wait': 0.5,
        'perf/images_per_second': 100.0,
        'perf/device_ms': 1.0,
        'perf/step_ms': 200.0,
    }
    advisor.consider(figures, 10)
    advisor.consider({**figures, 'perf/input_wait': 0.05}, 10)
    advisor.consider(figures, 10)
    assert 'waits' not in capsys.readouterr().err
    advisor.consider(figures, 10)
    advisor.consider(figures, 10)
    assert capsys.readouterr().err.count('waits for data') == 1


class Step:
    """What a step makes, that ends when it is told to."""

    def __init__(self):
        self.ended = threading.Event()

    def block_until_ready(self):
        self.ended.wait()


def test_steps_count_when_they_have_ended_and_not_when_they_are_sent_off():
    first, second, third = Step(), Step(), Step()
    with contextlib.closing(Stopwatch()) as clock:
        clock.sent(first)
        clock.sent(second)
        assert clock.read(8) == {}
        first.ended.set()
        while not clock.lasted:
            time.sleep(0.001)
        time.sleep(0.05)  # in which the second is under way
        figures = clock.read(8)
        assert figures['perf/images_per_second'] * figures[
            'perf/step_ms'
        ] == pytest.approx(8000)
        second.ended.set()
        clock.settle()
        assert clock.read(8)['perf/step_ms'] >= 50
        clock.sent(third)
        clock.restart()
        third.ended.set()
        clock.settle()
        assert clock.read(8) == {}


def test_no_step_has_no_speed():
    with contextlib.closing(Stopwatch()) as clock:
        assert clock.read(8) == {}
