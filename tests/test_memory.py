"""Memory told before the run: what a step takes, and what fits."""

import json
import re

from trainer import memory, overview
from trainer.experiment import load
from trainer.job import open_job

MLP = ['configs/mlp.gin']


def job_of(*bindings):
    return open_job(load(MLP, list(bindings)), ())


def test_the_largest_batch_lies_within_a_sixteenth_of_the_room():
    for slope, bend, room in [(10, 0, 9000), (3, 400, 5000), (700, 50, 70_000)]:
        seen = []

        def size(batch, slope=slope, bend=bend, seen=seen):
            seen.append(batch)
            return 1000 + bend * (batch // 16) + slope * batch

        largest = memory.largest_batch(size, 16, 1000, (8, 4096), room)
        assert size(largest) <= room < size(largest + largest // 16 + 8)
        assert largest % 8 == 0
        assert len(seen) <= memory.MOST_COMPILES + 2


def test_no_more_than_all_data_is_looked_for():
    asked = []
    found = memory.largest_batch(
        lambda b: asked.append(b) or b, 32, 0, (1, 100), room=1e9
    )
    assert (found, asked) == (100, [32, 100])


def test_where_nothing_compiles_no_batch_fits():
    found = memory.largest_batch(lambda b: float('inf'), 32, 10, (1, 40), room=100)
    assert found == 0


def test_what_is_foretold_is_what_xla_states():
    job = job_of()
    analysis = job.compile_train_step().memory_analysis()
    found = memory.examine(job, limit=8 * 2**20)
    room = memory.ROOM * 8 * 2**20
    assert found['fits'] and found['compiled'] <= memory.MOST_COMPILES
    assert (
        found['step_bytes'] > found['state_bytes'] > 0.9 * analysis.alias_size_in_bytes
    )
    assert 0.8 * room < found['largest_bytes'] <= room
    assert 128 < found['largest_batch'] < found['examples']


def test_a_run_says_what_its_step_takes_before_the_first():
    job = job_of()
    said = overview.describe_cost(overview.facts(job, job.compile_train_step()))
    told = r'1 x cpu, a step takes 0\.\d GFLOP and [1-9]\d* of [\d,]+ MiB on each'
    assert re.fullmatch(told, said)


def test_check_says_what_fits(here):
    done = here('check', '--memory', f'--gin_file={MLP[0]}', '--json')
    assert done.returncode == 0
    assert json.loads(done.stdout)['largest_batch'] > 1000


def test_a_batch_that_does_not_fit_is_told_with_one_that_does():
    found = memory.examine(job_of(), limit=2 * 2**20)
    assert not found['fits']
    assert f'set train/Images.batch = {found["largest_batch"]}' in memory.text(found)
    assert 0 < found['largest_batch'] < 128
