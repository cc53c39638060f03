"""The line between processes as the first one holds it: all others call here.

What one says, all hear; who does not come, or goes without a word, is named to all.
"""

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable

from trainer.cluster import Cluster
from trainer.errors import INTERNAL_ERROR, USER_ERROR, UserError
from trainer.line import BEAT, LOST, Connection, Line, PeerEnded

HELLO = {'hello', 'count', 'pid', 'machine'}  # what a process says of itself
LEAVING_SECONDS = 15  # that process 0 waits for the others, which hear of it from here


class Hub(Line):
    """The line as process 0 holds it."""

    def __init__(self, cluster: Cluster, on_end: Callable[[PeerEnded], None]):
        """Listens.

        Raises:
          UserError: not possible at the address that was given.
        """
        super().__init__(cluster, on_end)
        self._members: dict[int, Connection] = {}
        self._who = {0: 'process 0'}
        self._shares: dict[int, dict[int, object]] = {}
        self._called, self._left = False, set()
        self._lock = threading.RLock()
        self._server = _listen(cluster)
        for work, name in ((self._accept, 'line'), (self._beat, 'beat')):
            threading.Thread(target=work, name=name, daemon=True).start()

    @property
    def missing(self) -> list[int]:
        """Processes that are not on the line."""
        here = {0, *self._members}
        return [i for i in range(self.cluster.count) if i not in here]

    def last_words(self, ending: PeerEnded) -> None:
        self._announce(ending)

    def close(self) -> None:
        """Leaves when all others have left: jax ends them when process 0 is gone."""
        deadline = time.monotonic() + LEAVING_SECONDS
        self.closing = True
        while self._members and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # or `accept` would hold it open
        self._server.close()

    def end(self, ending: PeerEnded) -> None:
        if not self.closing:
            self._announce(ending)
            super().end(ending)

    def _announce(self, ending: PeerEnded) -> None:
        if self.ending is None:
            self._say(**ending.as_message())

    def _say(self, **message) -> None:
        with self._lock:
            members = list(self._members.values())
        for member in members:
            member.send(**message)

    def _share(self, turn: int, value, index: int = 0) -> None:
        with self._lock:
            shares = self._shares.setdefault(turn, {})
            shares[index] = value
            if len(shares) < self.cluster.count:
                return
            values = [shares[i] for i in range(self.cluster.count)]
            del self._shares[turn]
            self._called = True
        self._say(whole=turn, values=values)
        self._complete(turn, values)

    def _nobody_came(self, turn: int, seconds: float) -> PeerEnded:
        count = self.cluster.count
        with self._lock:
            there = self._shares.get(turn, {})
            absent = [i for i in range(count) if i not in there]
        who = f'process{"es" if absent[1:] else ""} {", ".join(map(str, absent))}'
        what = 'did not come' if set(absent) & set(self.missing) else 'said nothing'
        ending = PeerEnded(
            f'{who} of {count} {what} within {seconds:g} s; start all of them with '
            f'one --num_processes, or give more --join_seconds.',
            USER_ERROR,
        )
        self._announce(ending)
        return ending

    def _accept(self) -> None:
        while True:
            try:
                held, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=[held], daemon=True).start()

    def _welcome(self, held: socket.socket) -> None:
        """Listens to one that calls, as long as it is there."""
        held.settimeout(LOST)
        connection = Connection(held)
        hello = connection.receive() or {}
        held.settimeout(None)
        if not hello.keys() >= HELLO:
            connection.close()  # no process of ours
            return
        index, refusal = hello['hello'], self._refusal(hello)
        if refusal:
            ending = PeerEnded(refusal, USER_ERROR)
            connection.send(**ending.as_message())
            connection.close()
            if not self._called:  # a run that is under way is not ended by a stranger
                self.end(ending)
            return
        machine, pid = hello['machine'], hello['pid']
        with self._lock:
            self._members[index] = connection
            self._who[index] = f'process {index} (process {pid} on {machine})'
        connection.send(machine=socket.gethostname(), pid=os.getpid())
        while (message := connection.receive()) is not None:
            self._hear(index, message)
        connection.close()
        self._gone(index)

    def _refusal(self, hello: dict) -> str | None:
        """Why one that calls is not taken."""
        index, count = hello['hello'], self.cluster.count
        if hello['count'] != count:
            return (
                f'process {index} was told --num_processes={hello["count"]}, '
                f'process 0 {count}; give all the same.'
            )
        with self._lock:
            if index not in range(1, count) or index in self._members:
                who = self._who.get(index, 'nobody')
                return (
                    f'there are two processes with --process_id={index}, one of them '
                    f'{who}; give each another, from 0 to {count - 1}.'
                )
        return None

    def _hear(self, index: int, message: dict) -> None:
        if 'share' in message:
            self._share(message['share'], message['value'], index)
        elif 'last' in message:
            self._left.add(index)
            last = message['last']
            said = f'{self._who[index]}: {last["ended"]}'
            self.end(PeerEnded(said, last['code'], last['lost']))
        elif 'bye' in message:
            self._left.add(index)

    def _gone(self, index: int) -> None:
        with self._lock:
            del self._members[index]
            if not self._called:  # it may come again
                self._shares.get(1, {}).pop(index, None)
        if self._called and index not in self._left:
            self.end(self._lost(index, 'has gone'))

    def _lost(self, index: int, how: str) -> PeerEnded:
        return PeerEnded(f'{self._who[index]} {how}', INTERNAL_ERROR, lost=True)

    def _beat(self) -> None:
        while not self.closing:
            time.sleep(BEAT)
            self._say(beat=True)
            with self._lock:
                members = dict(self._members)
            for index, member in members.items():
                if self._called and member.silent > LOST:
                    self.end(self._lost(index, f'has been silent for {LOST:g} s'))
                    member.close()  # nobody waits for its goodbye


def _listen(cluster: Cluster) -> socket.socket:
    """A socket at the address that was given, as soon as the port is free."""
    place, deadline = (cluster.interface, cluster.line_port), _deadline(cluster)
    family = socket.AF_INET6 if ':' in cluster.interface else socket.AF_INET
    dual = family == socket.AF_INET6 and cluster.interface == '::'
    while True:
        try:
            return socket.create_server(place, family=family, dualstack_ipv6=dual)
        except OSError as error:
            # One that is killed leaves the port to its successor after a while.
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            raise UserError(
                f'process 0 cannot listen at {place[0]}:{place[1]}: '
                f'{os.strerror(error.errno).lower()}; give --coordinator an address of '
                f'the machine of process 0, and a port that is free, as is the next.'
            ) from error


def _deadline(cluster: Cluster) -> float:
    return time.monotonic() + min(cluster.seconds, LOST)
