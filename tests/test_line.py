"""The line between processes: all hear what one says, and who is missing or gone."""

import dataclasses
import json
import socket
import threading
import time

import pytest

from tests.several import free_port
from trainer import hub, line
from trainer.cluster import Cluster
from trainer.errors import UserError
from trainer.hub import Hub
from trainer.line import Caller, PeerEnded


class Ends:
    """What became of the ends of a line."""

    def __init__(self, count, seconds=5.0, absent=()):
        port, self.endings = free_port(), {}
        self.lines = {}
        for index in range(count):
            if index not in absent:
                cluster = Cluster('127.0.0.1', port, index, count, seconds)
                kind = Caller if index else Hub
                self.lines[index] = kind(cluster, self.noting(index))

    def noting(self, index):
        return lambda ending: self.endings.setdefault(index, ending)

    def gather(self, values=None, seconds=None):
        """`gather` at every end at once; {index: values, or the error}."""
        found = {}

        def ask(index, held):
            try:
                value = index if values is None else values[index]
                found[index] = held.gather(value, seconds)
            except PeerEnded as error:
                found[index] = error

        threads = [threading.Thread(target=ask, args=pair) for pair in self.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def items(self):
        return self.lines.items()

    def close(self):
        for index in sorted(self.lines, reverse=True):
            self.lines[index].close()


@pytest.fixture
def three():
    ends = Ends(3)
    yield ends
    ends.close()


@pytest.fixture
def hasty(monkeypatch):
    """Silence is noticed in a second."""
    for module in (line, hub):
        monkeypatch.setattr(module, 'BEAT', 0.1)
        monkeypatch.setattr(module, 'LOST', 1.0)


def until(ends, *indices):
    deadline = time.monotonic() + 10
    while not {*indices} <= ends.endings.keys() and time.monotonic() < deadline:
        time.sleep(0.01)
    return [str(ends.endings[index]) for index in indices]


def test_all_get_what_each_gives_in_their_order(three):
    for values in ([1, 2, 3], [{'a': None}, 'b', []]):
        assert list(three.gather(values).values()) == [values] * 3


def test_one_that_never_came_is_named_to_all():
    ends = Ends(4, absent=[2])
    found = ends.gather(seconds=3)
    assert len(found) == 3
    for error in found.values():
        assert str(error).startswith('process 2 of 4 did not come within 3 s; start')
        assert error.exit_code == 2
    ends.close()


def test_one_that_says_nothing_is_named(three):
    three.gather()
    silent = three.lines.pop(1)
    found = three.gather(seconds=2)
    three.lines[1] = silent
    assert 'process 1 of 3 said nothing' in str(found[0])


def test_without_process_0_its_address_is_named():
    ends = Ends(2, seconds=0.3, absent=[0])
    [error] = ends.gather(seconds=0.4).values()
    assert 'process 0 of 2 was not at 127.0.0.1:' in str(error)
    assert 'mend --coordinator' in str(error)


def test_one_that_comes_late_is_waited_for():
    port = free_port()
    clusters = [Cluster('127.0.0.1', port, index, 2, 10) for index in (0, 1)]
    early = Caller(clusters[1], print)
    found = []
    asking = threading.Thread(target=lambda: found.append(early.gather('early')))
    asking.start()
    time.sleep(0.3)
    first = Hub(clusters[0], print)
    assert first.gather('late') == ['late', 'early']
    asking.join()
    early.close(), first.close()


def test_who_called_early_hears_from_process_0_who_is_missing():
    # Its own time begins, and ends, before process 0 has begun to wait.
    early = Ends(3, seconds=10, absent=[0, 2])
    found = []
    cluster = early.lines[1].cluster

    def ask():
        try:
            early.lines[1].gather(1, seconds=1.0)
        except PeerEnded as error:
            found.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    first = Hub(dataclasses.replace(cluster, index=0), print)
    time.sleep(1.5)
    with pytest.raises(PeerEnded, match='process 2 of 3 did not come within 1 s'):
        first.gather(0, seconds=1.0)
    asking.join()
    assert found[0].startswith('process 2 of 3 did not come within 1 s')
    early.close(), first.close()


@pytest.mark.parametrize('gone', [0, 1])
def test_one_that_goes_without_a_word_is_named_to_the_others(three, gone):
    three.gather()
    held = three.lines.pop(gone)
    held.closing = True  # a dead process takes note of nothing
    open_ones = [held._connection] if gone else list(held._members.values())
    for connection in open_ones:
        connection._socket.shutdown(socket.SHUT_RDWR)  # as the kernel does
    said = until(three, *three.lines)
    assert all(text.startswith(f'process {gone} (process ') for text in said)
    assert all(text.endswith('has gone') for text in said)
    assert all(three.endings[index].lost for index in three.lines)
    assert all(three.endings[index].exit_code == 70 for index in three.lines)


@pytest.mark.parametrize('silent', [0, 1])
def test_one_that_is_silent_is_lost(hasty, silent):
    ends = Ends(2)
    ends.gather()
    ends.lines[silent].closing = True  # beats no longer
    [said] = until(ends, 1 - silent)
    assert 'has been silent for 1 s' in said


def test_last_words_reach_all_with_their_code(three):
    three.gather()
    three.lines[2].last_words(PeerEnded('no such file', 2))
    said = until(three, 0, 1)
    assert all(text.endswith(': no such file') for text in said)
    assert three.endings[0].exit_code == 2
    assert not three.endings[0].lost
    with pytest.raises(PeerEnded, match=r'process 2 .*: no such file'):
        three.lines[1].gather(0)


def test_who_says_goodbye_is_not_lost(three):
    three.gather()
    three.close()
    time.sleep(0.1)
    assert three.endings == {}


def test_another_count_or_a_number_given_twice_is_refused():
    port = free_port()
    first = Hub(Cluster('127.0.0.1', port, 0, 3, 5), print)
    other = Caller(Cluster('127.0.0.1', port, 1, 2, 5), print)
    with pytest.raises(PeerEnded, match=r'process 1 was told --num_processes=2, .* 3'):
        other.gather(0)
    first.close()
    first = Hub(Cluster('127.0.0.1', port, 0, 3, 5), print)
    cluster = Cluster('127.0.0.1', port, 1, 3, 5)
    twins = [Caller(cluster, print) for _ in range(2)]
    with pytest.raises(PeerEnded, match='two processes with --process_id=1'):
        first.gather(0)
    assert twins


def test_noise_on_the_port_is_no_member(three):
    place = '127.0.0.1', three.lines[0].cluster.line_port
    for noise in (b'GET / HTTP/1.1\r\n\r\n', b'[1, 2]\n', b'{"hello": "x"}\n', b''):
        with socket.create_connection(place) as stranger:
            stranger.sendall(noise)
    three.gather()
    with socket.create_connection(place) as stranger:
        hello = {'hello': 1, 'count': 3, 'pid': 1, 'machine': 'elsewhere'}
        stranger.sendall(json.dumps(hello).encode() + b'\n')
        assert b'two processes' in stranger.recv(1000)
    assert list(three.gather([1, 2, 3]).values()) == [[1, 2, 3]] * 3


def test_an_address_that_is_not_of_this_machine_is_refused():
    cluster = Cluster('192.0.2.1', free_port(), 0, 2, 0.1)  # of no machine: RFC 5737
    with pytest.raises(
        UserError, match=r'cannot listen at 192\.0\.2\.1:\d+: .*address'
    ):
        Hub(cluster, print)


def test_a_port_that_is_taken_is_refused_after_a_while():
    port = free_port()
    taken = socket.create_server(('127.0.0.1', port + 1))
    with taken, pytest.raises(UserError, match='address already in use; give'):
        Hub(Cluster('127.0.0.1', port, 0, 2, 0.3), print)
