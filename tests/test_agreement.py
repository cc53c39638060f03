"""What several processes agree on, seen from one of them: the others are made up."""

import ast
import os
import pathlib
import re
import signal
import time
import types

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import models
from trainer import lock, parallel, processes, roll_call, signals, state_files
from trainer.errors import TrainingFailed, UserError
from trainer.manifest import Damaged
from trainer.network import make_network
from trainer.parallel import Parallel
from trainer.saver import Saver
from trainer.sharding import ruled


@pytest.fixture
def second(monkeypatch):
    """Makes another process answer: given a function of what this one says."""

    def answer(reply):
        monkeypatch.setattr(processes, 'gather', lambda v, s=None: [v, reply(v)])
        monkeypatch.setattr(processes, 'count', lambda: 2)

    return answer


def test_alone_every_answer_is_ones_own():
    assert processes.count() == 1
    assert processes.is_main()
    assert processes.gather({'a': 1}) == [{'a': 1}]
    assert processes.told('x') == 'x'
    assert processes.together(lambda: 7, OSError) == 7


def test_what_fails_in_one_fails_in_all(second):
    second(lambda _: 'kernel cannot be read')
    with pytest.raises(Damaged, match='kernel cannot be read'):
        processes.together(lambda: 7, Damaged)
    second(lambda _: None)
    assert processes.together(lambda: 7, Damaged) == 7


def test_a_difference_names_process_and_keys(second):
    mine = {key: 0 for key in 'abcdefg'}
    second(lambda value: {**value, 'a': 1, 'b': 'x', 'e': 2, 'f': 3, 'g': 4, 'z': 5})
    said = "process 1 has a 1, process 0 0; b 'x', process 0 0; .*; and 2 more; do it"
    with pytest.raises(UserError, match=said):
        roll_call.check_same(mine, 'do it')


def test_where_data_lies_may_differ_and_what_is_done_not(second):
    flat = {'train_data.folder': '/a', 'train_data.workers': 2, 'epochs': 3}
    other = {'train_data.folder': '/b', 'train_data.workers': 0}
    second(lambda value: value)
    roll_call.check_config(flat)
    seen = []
    second(lambda value: seen.append(value) or value)
    roll_call.check_config(flat | other)
    assert seen == [{'epochs': 3}]


def test_a_state_that_is_another_elsewhere_is_not_saved(second):
    second(lambda digest: digest[::-1])
    with pytest.raises(TrainingFailed, match='the state of process 1 is not that of'):
        state_files.seal({}, 3, {'x': jnp.ones(3)})


def test_a_directory_that_another_does_not_see_is_refused(second, tmp_path):
    def blind(value):
        return value if isinstance(value, dict) else False

    second(blind)
    refused = pytest.raises(UserError, match='process 1 is not that of process 0')
    with refused, lock.locked(tmp_path):
        pass


def test_the_first_process_says_when_a_save_is_due(second):
    saver = Saver(types.SimpleNamespace(busy=False, spent=0.0), seconds=1e-9)
    time.sleep(0.001)
    second(lambda value: value)
    assert saver.overdue(logged=True)
    assert not saver.overdue(logged=False)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_other_signals_are_given_to_jax(second, monkeypatch, number, capfd):
    second(lambda value: value)
    came = []
    monkeypatch.setattr(os, 'kill', lambda pid, sent: came.append((pid, sent)))
    before = signal.getsignal(signal.SIGTERM)
    with signals.stop_on_signals() as stop:
        assert signal.getsignal(signal.SIGTERM) is before  # jax's own stays
        signal.raise_signal(number)
        assert came == [(os.getpid(), signal.SIGTERM)]
        assert not stop  # jax knows of no other process here
    assert number.name in capfd.readouterr().err


def mesh(*shape, per_process):
    """A mesh of made-up devices."""
    count = np.prod(shape)
    devices = [
        types.SimpleNamespace(process_index=i // per_process) for i in range(count)
    ]
    shape = dict(zip(parallel.AXES, shape, strict=True))
    return types.SimpleNamespace(
        devices=np.array(devices).reshape(*shape.values()), shape=shape
    )


@pytest.mark.parametrize(
    ('shape', 'per_process', 'shares'),
    [
        ((8, 1, 1), 4, [(0, 2), (1, 2)]),
        ((1, 8, 1), 2, [(0, 4), (1, 4), (2, 4), (3, 4)]),
        ((1, 1, 8), 4, [(0, 1), (0, 1)]),
        ((2, 1, 4), 2, [(0, 2), (0, 2), (1, 2), (1, 2)]),
    ],
)
def test_each_process_reads_the_rows_of_its_devices(
    monkeypatch, shape, per_process, shares
):
    for index, share in enumerate(shares):
        monkeypatch.setattr(parallel.jax, 'process_index', lambda i=index: i)
        assert parallel.share(mesh(*shape, per_process=per_process)) == share


def test_processes_that_share_a_part_of_a_part_are_refused():
    with pytest.raises(UserError, match=r'give Parallel\.model a divisor'):
        parallel.share(mesh(2, 1, 3, per_process=2))


GUIDE = (pathlib.Path(__file__).parents[1] / 'docs/tpu.md').read_text()


def test_the_flags_are_told_in_the_guide():
    for flag in ('coordinator', 'process_id', 'num_processes', 'join_seconds'):
        assert f'--{flag}' in GUIDE


def test_the_rules_of_the_guide_cut_both_layers_of_every_block():
    (rules,) = re.findall(r'^Parallel\.rules = (\{.*?^\})', GUIDE, re.M | re.S)
    make = models.catalog.maker('vit_ti16')
    network = make_network(make, input_shape=(64, 64, 3), num_outputs=10)
    layout = Parallel(model=2, rules=ast.literal_eval(rules))
    assert len(ruled(network.parameter_shapes, layout)) == 2 * 12


def test_the_commands_of_the_guide_can_train_what_they_name():
    """Digits are few: a batch has to be made of them, and divide over 32 devices."""
    batches = [int(batch) for batch in re.findall(r'--gin\.BATCH=(\d+)', GUIDE)]
    assert batches
    assert all(batch <= 1293 and batch % 32 == 0 for batch in batches)


def test_the_guide_asks_for_as_many_chips_as_its_slice_has():
    (job_set,) = re.findall(r'^```yaml\n(.*?)^```', GUIDE, re.M | re.S)
    (slice_,) = yaml.safe_load(job_set)['spec']['replicatedJobs']
    job = slice_['template']['spec']
    pod = job['template']['spec']
    rows, columns = pod['nodeSelector']['cloud.google.com/gke-tpu-topology'].split('x')
    chips = pod['containers'][0]['resources']['limits']['google.com/tpu']
    assert job['parallelism'] == job['completions'] == int(rows) * int(columns) / chips
    assert f'--tpu-topology={rows}x{columns} --num-nodes={job["parallelism"]}' in GUIDE
