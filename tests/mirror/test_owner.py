"""Who publishes at an address: one, as far as a bucket can tell."""

import json
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.mirror.machines import (
    index_of,
    objects,
    save,
    steps,
    until,
    write,
    write_run,
)
from trainer import mirror
from trainer.errors import Interrupted, TrainingFailed, UserError
from trainer.lock import RunLock, lease
from trainer.mirror import owner
from trainer.mirror.index import INDEX, OWNER

pytestmark = pytest.mark.usefixtures('quick')


def another(address, **changes):
    """Says in the bucket that somebody else is there."""
    facts = {'host': 'far', 'boot': 'b', 'pid': 7, 'since': 'noon', 'nonce': 'n'}
    facts |= {'token': 't', 'beaten': time.time(), 'left': False, **changes}
    write(address, OWNER, json.dumps(facts).encode())
    return facts


def test_an_owner_that_lives_is_named(address, machines, monkeypatch):
    monkeypatch.setattr(owner, 'SILENT', 60)
    machines[0].run(address, 10)
    another(address)
    beating = threading.Event()

    def beat():
        while not beating.wait(0.02):
            another(address)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(UserError) as error:
            machines[1].keeper(address).begin()
    finally:
        beating.set()
        thread.join()
    said = f'{address} is in use by process 7 on far since noon. Wait for that run'
    assert str(error.value).startswith(said) and '\n' not in str(error.value)
    assert not machines[1].place(address).exists()


def test_an_owner_that_is_silent_is_followed_with_a_line(address, machines, capsys):
    machines[0].run(address, 10)
    another(address)
    assert steps(machines[1].run(address)) == [10]
    out, err = capsys.readouterr()
    assert f'{address} was last used by process 7 on far since noon' in out
    assert f'{address} is taken over from process 7 on far' in err


def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, '-c', ''])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    'changes',
    [
        {'left': True},
        {'beaten': time.time() - 1e4},
        {'host': socket.gethostname(), 'boot': lease()['boot'], 'pid': dead()},
    ],
)
def test_an_owner_that_has_gone_is_not_waited_for(address, machines, changes, capsys):
    another(address, **changes)
    machines[0].run(address, 10)
    assert 'was last used by' not in capsys.readouterr().out


def test_waiting_for_an_owner_can_be_stopped(address, machines, monkeypatch):
    monkeypatch.setattr(owner, 'SILENT', 60)
    another(address)
    keeper = machines[0].keeper(address)
    keeper.stop.ask('SIGINT')
    with pytest.raises(Interrupted, match='the same command goes on'):
        keeper.begin()


def test_who_has_lost_the_address_stops_and_names_nothing(address, machines, capsys):
    keeper = machines[0].keeper(address)
    keeper.begin()
    write_run(keeper.sides.place)
    until(lambda: INDEX in objects(address))
    until(lambda: another(address) and bool(keeper.stop))  # a beat may write over it
    before = index_of(address)
    save(keeper.sides.place, 10)
    with pytest.raises(TrainingFailed, match='was taken over by process 7 on far') as e:
        keeper.end(Interrupted('stopped'))
    assert f'is in {keeper.sides.place} alone' in str(e.value)
    assert index_of(address) == before
    assert (
        'taken over by process 7 on far since noon; stopping' in capsys.readouterr().err
    )


def test_two_that_come_at_once(address, machines, monkeypatch):
    keeper = machines[0].keeper(address)
    written = owner.Owner._write
    monkeypatch.setattr(
        owner.Owner, '_write', lambda self: (written(self), another(address))
    )
    with pytest.raises(UserError, match='is in use by process 7 on far'):
        keeper.begin()


def test_a_run_that_lives_here_is_read_as_it_is(address, machines, monkeypatch):
    one, two = machines
    place = one.run(address, 10)
    two.run(address, 20)
    one.use()
    with RunLock(place):
        assert steps(one.fetched(address, 'all')) == [10]
        mirror.give_back(place)  # its run does
    assert steps(one.fetched(address, 'all')) == [10, 20]


def test_what_cannot_be_given_back_is_one_line(address, machines, capsys):
    one, two = machines
    one.run(address, 10)
    place = two.fetched(address)
    another(address)
    mirror.give_back(place)
    said = f'what was written to {place} is not at {address}: it is in use by process 7'
    assert said in capsys.readouterr().err
    one.place(address)
    mirror.give_back(place)  # a copy of that of another machine
    assert not capsys.readouterr().err
