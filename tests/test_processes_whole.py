"""What takes minutes of several processes: every layout, every death, every restart."""

import json
import os
import signal
import time

import pytest

from tests.in_turn import alone, on_devices
from tests.picture_folders import write_classes
from tests.run_ends import timeless
from tests.several import Several
from tests.test_processes import FSDP, MLP, assert_close, scores, together

pytestmark = pytest.mark.slow

# A model that is cut over all devices: two processes then read the same batches.
COLUMNS = '--gin.Parallel.rules={"backbone/layers/.*/kernel": [None, "model"]}'
CONSTANT = ['--gin.Experiment.schedule=@constant', '--gin.constant.peak=1e-3']
LAYOUTS = {
    '2 x 4, data': (2, 4, []),
    '2 x 4, fsdp': (2, 4, FSDP),
    '2 x 4, model': (2, 4, ['--gin.Parallel.model=8', COLUMNS]),
    '4 x 2, data': (4, 2, []),
    '4 x 2, fsdp': (4, 2, FSDP),
}
RESNET = ['--gin_file=configs/resnet18.gin', '--gin.BATCH=32', '--gin.EPOCHS=0.25']
RESNET += ['--gin.Experiment.log_every=1', '--gin.Experiment.pictures=0']

SHORT = 'import sys, main; from trainer import bench; '
SHORT += "bench.bench.__kwdefaults__['seconds'] = 0.5; "
SHORT += "sys.exit(main.main(['main.py', *sys.argv[1:]]))"


@pytest.fixture(scope='module')
def one(tmp_path_factory):
    """The run by one process on one device."""
    place = tmp_path_factory.mktemp('one') / 'run'
    alone(place, *MLP)
    return place


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_gives_the_losses_of_one_device(tmp_path, one, layout):
    count, devices, arguments = LAYOUTS[layout]
    Several([*MLP, *arguments, f'--workdir={tmp_path}'], count, devices).done()
    assert_close(one, tmp_path)
    alone(tmp_path, 'evaluate')
    results = json.loads((tmp_path / 'results.json').read_text())
    assert scores(tmp_path)['examples'] == 360
    assert scores(tmp_path)['test/acc_top1'] == results['test/acc_top1']
    loss = pytest.approx(results['test/loss'], abs=1e-6)
    assert scores(tmp_path)['test/loss'] == loss


def test_a_run_goes_on_from_layout_to_layout(tmp_path):
    arguments = [*MLP, *CONSTANT, f'--workdir={tmp_path / "run"}']
    for epochs, (count, devices, layout) in enumerate(LAYOUTS.values(), 1):
        more = [*arguments, *layout, f'--gin.EPOCHS={epochs}']
        said = Several(more, count, devices).done()
        assert epochs == 1 or f'going on from step {10 * (epochs - 1)} of' in said
    alone(tmp_path / 'run', *MLP, *CONSTANT, '--gin.EPOCHS=6')
    alone(tmp_path / 'whole', *MLP, *CONSTANT, '--gin.EPOCHS=6')
    ends = [json.loads(timeless(tmp_path / name)[-1]) for name in ('run', 'whole')]
    assert ends[0]['test/loss'] == pytest.approx(ends[1]['test/loss'], abs=1e-5)


def test_batch_norm_is_that_of_as_many_devices(tmp_path):
    """Against one device it drifts by rounding, as `test_drift.py` shows in double."""
    on_devices(2, [*RESNET, f'--workdir={tmp_path / "one"}'])
    Several([*RESNET, f'--workdir={tmp_path / "two"}'], devices=1).done()
    runs = [map(json.loads, timeless(tmp_path / name)) for name in ('one', 'two')]
    compared = 0
    for row, other in zip(*runs, strict=True):
        if 'train/loss' in row:
            assert other['train/loss'] == pytest.approx(row['train/loss'], abs=1e-5)
            compared += 1
    assert compared == 10


@pytest.mark.parametrize('victim', [0, 2])
def test_whoever_dies_all_end_and_the_run_goes_on(tmp_path, one, victim):
    arguments = [*MLP, *FSDP, f'--workdir={tmp_path}']
    run = Several(arguments, 4, 2)
    ends, seconds = run.signal_after(20, tmp_path, victim, signal.SIGKILL)
    print(f'all have ended after {seconds:.2f} s')
    assert seconds < 60
    for index, (code, said) in ends.items():
        if index != victim:
            # jax may end a process itself when its coordinator dies.
            assert code in (70, -signal.SIGABRT), said
            assert f'error: process {victim} (process ' in said
            assert 'has gone, after step ' in said
    Several(arguments, 4, 2).done()
    assert_close(one, tmp_path)


def test_seeds_go_on_after_a_death_in_the_second(tmp_path):
    seeds = [*MLP, '--gin.Experiment.seeds=(0, 1)']
    alone(tmp_path / 'one', *seeds)
    several = [*seeds, f'--workdir={tmp_path / "two"}']
    killed, run = tmp_path / 'two/seed_1', Several(several)
    ends, _ = run.signal_after(20, killed, 1, signal.SIGKILL)
    assert ends[0][0] == 70, ends[0][1]
    said = Several(several).done()
    assert 'seed_0 is finished' in said and 'going on from step ' in said
    for seed in ('seed_0', 'seed_1'):
        assert_close(tmp_path / 'one' / seed, tmp_path / 'two' / seed)
    texts = ((tmp_path / name / 'results.json').read_text() for name in ('one', 'two'))
    one, two = map(json.loads, texts)
    assert one.pop('seeds') == two.pop('seeds') == [0, 1]
    assert two == pytest.approx(one, abs=1e-5)


def test_a_frozen_process_is_lost(tmp_path):
    run = Several([*MLP, '--gin.EPOCHS=500', f'--workdir={tmp_path}'])
    run.wait_for((tmp_path / 'checkpoints/20').is_dir)
    run.processes[1].send_signal(signal.SIGSTOP)
    began = time.monotonic()
    said, _ = run.processes[0].communicate(timeout=60)
    seconds = time.monotonic() - began
    print(f'process 0 has ended after {seconds:.2f} s')
    assert run.processes[0].returncode == 70, said
    assert 'has been silent for 20 s, after step ' in said
    run.processes[1].send_signal(signal.SIGCONT)
    said, _ = run.processes[1].communicate(timeout=60)
    assert run.processes[1].returncode in (70, -signal.SIGABRT), said


def test_supervisors_start_all_again(tmp_path, one):
    arguments = [*MLP, '--restarts=2', f'--workdir={tmp_path}']
    run = Several(arguments)
    run.wait_for((tmp_path / 'checkpoints/20').is_dir)
    leases = json.loads((tmp_path / '.lock').read_text())
    assert leases['pid'] not in {p.pid for p in run.processes.values()}
    os.kill(leases['pid'], signal.SIGKILL)
    said = run.done()
    assert 'restart 1 of 2' in said
    assert_close(one, tmp_path)


def test_other_data_is_named_before_anything_is_compiled(tmp_path):
    for index, count in enumerate((10, 12)):
        write_classes(tmp_path / str(index), count)
    folders = {i: [f'--gin.Images.folder="{tmp_path / str(i)}"'] for i in (0, 1)}
    arguments = ['--gin_file=configs/resnet18.gin', '--gin.BATCH=4', '--gin.EPOCHS=1']
    arguments += ['--gin.Images.size=8', f'--workdir={tmp_path / "run"}']
    for code, said in Several(arguments, devices=1, others=folders).ends().values():
        assert code == 2, said
        assert 'error: process 1 has train data ' in said
        assert 'compile' not in said
    assert not (tmp_path / 'run').exists()


def test_bench_by_two_is_said_once_for_the_whole_mesh():
    quick = {index: ['-c', SHORT] for index in (0, 1)}
    ends = Several(['bench', *MLP, '--json'], program=quick).ends()
    assert {code for code, _ in ends.values()} == {0}, ends
    figures = [line for line in ends[0][1].splitlines() if 'Gloo' not in line]
    found = json.loads('\n'.join(figures))
    assert (found['processes'], found['devices']) == (2, 8)
    assert not [line for line in ends[1][1].splitlines() if 'Gloo' not in line]


def test_what_else_several_do_together(tmp_path):
    found = together(tmp_path, 'overfit', 'lr_find', 'memory', 'profile')
    assert 1 < found['overfit'] < 300
    assert 1e-7 < found['lr_find']['suggested'] < 10
    assert found['memory']['largest_batch'] % 2 == 0 < found['memory']['step_bytes']
    assert found['profile']['shares']['matmul'] > 0
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ['rates.html', 'trace']


def test_a_damaged_part_of_one_process_is_found_by_all(tmp_path, one):
    arguments = [*MLP, *FSDP, f'--workdir={tmp_path}']
    Several([*arguments, '--gin.EPOCHS=5']).done()
    (tmp_path / 'results.json').unlink()
    part = tmp_path / 'checkpoints/50/state/ocdbt.process_1'
    largest = max(part.rglob('*'), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])
    said = Several(arguments).done()
    assert 'warning: the checkpoint of step 50 is damaged' in said
    assert 'going on from step 40' in said
    assert_close(one, tmp_path)
