"""Killed at random moments, a run ends bit by bit as one that never was."""

import random
import time

import pytest

from tests.faults import amounts, victims
from tests.run_ends import assert_same_end


@pytest.mark.timeout(0)
@pytest.mark.parametrize('net', victims.NETS)
def test_sigkill_at_random_moments(tmp_path, net, tally):
    arguments = [*victims.NETS[net], *victims.BUSY]
    seconds = time_of(tmp_path / 'whole', arguments)
    seed = random.randrange(2**32)
    print(f'moments from random seed {seed}')
    moments, kills, round_ = random.Random(seed), 0, 0
    before = victims.segments()
    while kills < amounts.KILLS[net]:
        run, finished, here = tmp_path / f'killed_{round_}', False, 0
        while kills < amounts.KILLS[net] and not finished:
            moment, started = moments.uniform(0.2, 1.0) * seconds, time.monotonic()
            finished = not victims.kill_after(run, arguments, moment)
            kills, here = kills + (not finished), here + (not finished)
            # The first one compiled; the machine is now more and now less busy.
            seconds = time.monotonic() - started if finished else 1.05 * seconds
        if not finished:
            victims.finish(run, arguments)
        assert_same_end(tmp_path / 'whole', run)
        tally(f'SIGKILL, {net}', survived=here)
        round_ += 1
    leaked, until = victims.segments() - before, time.monotonic() + 60
    while leaked and time.monotonic() < until:  # other tests' own are soon gone
        time.sleep(1)
        leaked &= victims.segments()
    assert not leaked


def time_of(run, arguments):
    """Seconds that a whole run takes."""
    started = time.monotonic()
    victims.finish(run, arguments)
    return time.monotonic() - started
