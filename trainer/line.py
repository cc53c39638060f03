"""A line between the processes of a run: who is missing, leaves or dies is named.

Process 0 listens, every other one keeps a connection to it for as long as the run
lasts. JSON, a line a message; nothing received is ever run. It carries no arrays and
knows no jax, whose own service ends a process without a name when a peer is missing.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable

from trainer.cluster import Cluster
from trainer.errors import INTERNAL_ERROR, USER_ERROR, Ending

BEAT = 2.0  # seconds between signs of life
LOST = 20.0  # seconds without one, after which a process is lost
MARGIN = 5.0  # seconds beyond its own limit, after which process 0 must have spoken
LONGEST = 2**24  # bytes of a message


class PeerEnded(Ending):
    """The run ends here because it ended in another process.

    Attributes:
      lost: True where that process did not say why.
    """

    def __init__(self, message: str, exit_code: int, lost: bool = False):
        super().__init__(message)
        self.exit_code, self.lost = exit_code, lost

    def as_message(self) -> dict:
        """What travels on the line."""
        return {'ended': str(self), 'code': self.exit_code, 'lost': self.lost}


class Connection:
    """One end of a connection: whole messages in both directions."""

    def __init__(self, held: socket.socket):
        self._socket, self._lock = held, threading.Lock()
        self._file = held.makefile('rb')
        self.heard = time.monotonic()

    def send(self, **message) -> None:
        """Sends one message; a connection that has gone is noticed by who reads it."""
        try:
            with self._lock:
                self._socket.sendall(json.dumps(message).encode() + b'\n')
        except OSError:
            pass

    def receive(self) -> dict | None:
        """The next message; None when the other end has gone."""
        try:
            line = self._file.readline(LONGEST)
            message = json.loads(line) if line.endswith(b'\n') else None
        except (OSError, ValueError):
            return None
        self.heard = time.monotonic()
        return message if isinstance(message, dict) else None

    @property
    def silent(self) -> float:
        """Seconds since the last message came."""
        return time.monotonic() - self.heard

    def close(self) -> None:
        """Ends the connection; what reads it gets None."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        self._socket.close()


class Line:
    """What both ends of the line share; see `Caller` and `hub.Hub`.

    Attributes:
      cluster: the processes of the run.
      ending: what ended the run elsewhere, once that is known.
    """

    def __init__(self, cluster: Cluster, on_end: Callable[[PeerEnded], None]):
        """Begins nothing.

        Args:
          cluster: the processes of the run.
          on_end: called in a thread when the run has ended in another process.
        """
        self.cluster, self._on_end = cluster, on_end
        self.ending: PeerEnded | None = None
        self.closing = False
        self._turn, self._whole = 0, {}
        self._news = threading.Condition()

    def gather(self, value, seconds: float | None = None) -> list:
        """What all processes gave in the same call, in their order; JSON.

        To be called by all, in one order. Waits for the slowest.

        Raises:
          PeerEnded: a process has ended instead, or has not come within `seconds`.
        """
        self._turn += 1
        turn = self._turn
        self._share(turn, json.loads(json.dumps(value)))

        def known():
            return turn in self._whole or self.ending

        with self._news:
            if not self._news.wait_for(known, seconds):
                self._news.wait_for(known, self._margin(seconds))
            if turn in self._whole:
                return self._whole.pop(turn)
        raise self.ending or self._nobody_came(turn, seconds)

    def last_words(self, ending: PeerEnded) -> None:
        """Tells the others why this process ends."""
        raise NotImplementedError

    def close(self) -> None:
        """Leaves without a word: the others must have been told."""
        raise NotImplementedError

    def end(self, ending: PeerEnded) -> None:
        """Takes note of what ended the run elsewhere, once."""
        with self._news:
            if self.ending or self.closing:
                return
            self.ending = ending
            self._news.notify_all()
        threading.Thread(target=self._on_end, args=[ending], daemon=True).start()

    def _share(self, turn: int, value) -> None:
        raise NotImplementedError

    def _nobody_came(self, turn: int, seconds: float) -> PeerEnded:
        raise NotImplementedError

    def _margin(self, seconds: float) -> float:
        """Seconds more, in which process 0 can still say who was waited for."""
        return 0.0

    def _complete(self, turn: int, values: list) -> None:
        with self._news:
            self._whole[turn] = values
            self._news.notify_all()


class Caller(Line):
    """The line as every process but the first holds it."""

    def __init__(self, cluster: Cluster, on_end: Callable[[PeerEnded], None]):
        super().__init__(cluster, on_end)
        self._deadline = time.monotonic() + cluster.seconds
        self._connection: Connection | None = None
        self._shared: dict = {}
        self._root = {'pid': None, 'machine': cluster.host}
        self._called = False  # once all have been there
        threading.Thread(target=self._listen, name='line', daemon=True).start()
        threading.Thread(target=self._beat, name='beat', daemon=True).start()

    def last_words(self, ending: PeerEnded) -> None:
        self._say(last=ending.as_message())

    def close(self) -> None:
        self.closing = True
        self._say(bye=True)
        if self._connection is not None:
            self._connection.close()

    def _share(self, turn: int, value) -> None:
        self._shared = {'share': turn, 'value': value}
        self._say(**self._shared)

    def _nobody_came(self, turn: int, seconds: float) -> PeerEnded:
        place = f'{self.cluster.host}:{self.cluster.line_port}'
        return PeerEnded(
            f'process 0 of {self.cluster.count} was not at {place} within '
            f'{seconds:g} s; start it, or mend --coordinator.',
            USER_ERROR,
        )

    def _margin(self, seconds: float) -> float:
        # Process 0 may have begun to wait as late as now, and knows who is missing.
        return 0.0 if self._connection is None else seconds + MARGIN

    def _say(self, **message) -> None:
        if self._connection is not None:
            self._connection.send(**message)

    def _listen(self) -> None:
        """Reads what process 0 says; calls again as long as not all have been there."""
        while not self.closing and self.ending is None:
            connection = self._connect()
            if connection is None:
                return
            self._connection = connection
            if self._shared:
                connection.send(**self._shared)
            while (message := connection.receive()) is not None:
                self._hear(message)
            connection.close()
            if self._called:
                self.end(self._lost('has gone'))
            time.sleep(0.2)

    def _connect(self) -> Connection | None:
        cluster = self.cluster
        while time.monotonic() < self._deadline and not self.closing:
            try:
                held = socket.create_connection((cluster.host, cluster.line_port), 5)
            except OSError:
                time.sleep(0.2)
                continue
            held.settimeout(None)
            connection = Connection(held)
            me = {'pid': os.getpid(), 'machine': socket.gethostname()}
            connection.send(hello=cluster.index, count=cluster.count, **me)
            return connection
        return None

    def _hear(self, message: dict) -> None:
        if 'whole' in message:
            self._called = True
            self._complete(message['whole'], message['values'])
        elif 'ended' in message:
            words = message['ended'], message['code'], message['lost']
            self.end(PeerEnded(*words))
        elif 'machine' in message:
            self._root = message

    def _lost(self, how: str) -> PeerEnded:
        root = self._root
        who = f'process 0 (process {root["pid"]} on {root["machine"]})'
        return PeerEnded(f'{who} {how}', INTERNAL_ERROR, lost=True)

    def _beat(self) -> None:
        while not self.closing:
            time.sleep(BEAT)
            self._say(beat=True)
            if self._called and self._connection.silent > LOST:
                self.end(self._lost(f'has been silent for {LOST:g} s'))
