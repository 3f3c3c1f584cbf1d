"""Limit how many request bodies arrive at once, and cut off stalled ones.

The server hands a request to a thread before its body is there, and a read cannot be interrupted.
A sender that stalls would keep that thread for as long as its connection lasts. So the connections
of stalled bodies are shut down, which ends the read.
"""

import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
from werkzeug.exceptions import RequestTimeout

from anomify.errors import Unavailable

# The most bodies that may arrive at once; the other threads are for requests without a body.
ARRIVING_MAX = 32
# How long a body waits for a free slot: longer than a stalled body may last under PRESSED.
SLOT_WAIT_SECONDS = 5.0
# The shortest time between two searches of the process's connections, which take milliseconds.
LOOK_SECONDS = 0.5
# Two readings of the kernel's clock, which has ticks of up to 10 ms, differ by this only if their
# moments do, and connections that were silent for equally long may seem to differ by the other.
TICKS_SECONDS = 0.02
SAME_SECONDS = 0.1
# Offsets in Linux' struct tcp_info: the milliseconds since data was last sent and received.
_LAST_SENT_OFFSET = 44
_LAST_RECEIVED_OFFSET = 52


@dataclass(frozen=True, slots=True)
class BodyTimeouts:
    """After how many seconds a body is cut off: without a new byte, and in total."""

    silent_seconds: float
    total_seconds: float


# RELAXED while slots are free, PRESSED while other bodies wait for a slot.
RELAXED = BodyTimeouts(30.0, 300.0)
PRESSED = BodyTimeouts(2.0, 60.0)


@dataclass(eq=False, slots=True)
class _Arrival:
    # The address of the connection's other end, and the port that this server listens on.
    peer: str
    port: int
    started: float
    was_cut: bool = False
    # Whether a connection was shut down for it; its thread may not have noticed yet.
    is_counted: bool = False


class ArrivingBodies:
    """Counts the bodies that are arriving and cuts off stalled ones. May be shared by threads."""

    def __init__(
        self,
        most: int = ARRIVING_MAX,
        slot_wait_seconds: float = SLOT_WAIT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none arriving."""
        self._slots = threading.BoundedSemaphore(most)
        self._slot_wait_seconds = slot_wait_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._look_again_at = -math.inf
        # Ordered by start.
        self._arrivals: dict[_Arrival, None] = {}

    @contextmanager
    def arriving(self, peer: str, port: int) -> Iterator[None]:
        """Count a body as arriving, from an address at our port, while the block reads it.

        Raises `Unavailable` while too many others are arriving, and HTTP's 408 at the end of the
        block where the body was cut off.
        """
        self._take_slot()
        arrival = _Arrival(peer, port, self._monotonic())
        with self._lock:
            self._arrivals[arrival] = None
        try:
            yield
        finally:
            with self._lock:
                del self._arrivals[arrival]
            self._slots.release()
            if arrival.was_cut:
                # Only a part may have been read.
                raise RequestTimeout("The body arrived too slowly. Send the same again.")

    def _take_slot(self) -> None:
        with self._lock:
            oldest = next(iter(self._arrivals), None)
            age = self._monotonic() - oldest.started if oldest else 0.0
        if age > RELAXED.silent_seconds:
            self.cut_stalled(RELAXED)
        if self._slots.acquire(blocking=False):
            return
        deadline = self._monotonic() + self._slot_wait_seconds
        while (left := deadline - self._monotonic()) > 0:
            self.cut_stalled(PRESSED)
            if self._slots.acquire(timeout=min(left, LOOK_SECONDS)):
                return
        raise Unavailable("Too many requests arrive slowly; send the same again shortly.")

    def cut_stalled(self, timeouts: BodyTimeouts) -> int:
        """Shut down the connections of bodies that stalled; return how many connections.

        Does nothing within `LOOK_SECONDS` of the last call.

        The web server does not reveal the connection of a request. A connection counts as that of a
        stalled body if it comes from the same address, has received data more recently than it was
        answered, and has been silent for long enough; of those the longest silent ones are cut off,
        no more than there are stalled bodies from that address, each of which counts once. Of those
        whose last bytes came at about the same time, the ones without an answer so far are cut off
        first, in the order in which they were accepted: the bodies that arrive are older than the
        requests that wait until they may.
        """
        now = self._monotonic()
        with self._lock:
            if now < self._look_again_at:
                return 0
            self._look_again_at = now + LOOK_SECONDS
            old = [
                one
                for one in self._arrivals
                if now - one.started >= timeouts.silent_seconds and not one.is_counted
            ]
        cut = 0
        for peer, port in {(one.peer, one.port) for one in old}:
            from_peer = [one for one in old if (one.peer, one.port) == (peer, port)]
            ages = sorted(now - one.started for one in from_peer)
            found = []
            for connection in _connections_from(peer, port):
                sent_seconds, received_seconds = _silence_of(connection)
                is_unanswered = sent_seconds >= received_seconds
                was_answered = sent_seconds > received_seconds + TICKS_SECONDS
                measured = time.monotonic()
                is_silent = received_seconds >= timeouts.silent_seconds
                is_endless = ages[-1] >= timeouts.total_seconds <= sent_seconds
                if is_unanswered and is_silent:
                    since = measured - received_seconds
                    found.append((round(since / SAME_SECONDS), was_answered, connection))
                elif is_unanswered and is_endless:
                    since = measured - sent_seconds
                    found.append((round(since / SAME_SECONDS), was_answered, connection))
                else:
                    connection.close()
            found.sort(key=lambda each: each[:2])
            if found:
                for arrival in from_peer:
                    arrival.was_cut = True
            for place, (_, _, connection) in enumerate(found):
                if place < len(from_peer):
                    from_peer[place].is_counted = True
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                    cut += 1
                connection.close()
        return cut


def _connections_from(peer: str, port: int) -> Iterator[socket.socket]:
    """Yield a duplicate of every TCP connection from an address to a port of this process.

    In the order of their file descriptors, which is usually that in which they were accepted.
    """
    for found in sorted(psutil.Process().net_connections("tcp"), key=lambda each: each.fd):
        # The address is empty for a socket without a connection.
        address = tuple(found.raddr)
        # Our own connections to that address, such as the database's, have another local port.
        is_from_peer = address[:1] == (peer,) and tuple(found.laddr)[1:] == (port,)
        if is_from_peer and found.fd >= 0:
            with suppress(OSError):
                connection = socket.fromfd(found.fd, found.family, socket.SOCK_STREAM)
                # The number may have been given to another file meanwhile.
                if connection.getpeername()[:2] == address:
                    yield connection
                else:
                    connection.close()


def _silence_of(connection: socket.socket) -> tuple[float, float]:
    """Return the seconds since data was last sent and since data was last received."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    sent_ms, received_ms = (
        struct.unpack_from("=I", info, offset)[0]
        for offset in (_LAST_SENT_OFFSET, _LAST_RECEIVED_OFFSET)
    )
    return sent_ms / 1000, received_ms / 1000
