"""Limits of a call in time and size, and the timer that shuts its connection down."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Self


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may take, and how much of the answer is read."""

    connect_seconds: float = 3
    read_seconds: float = 5
    total_seconds: float = 10
    body_bytes: int = 64 * 1024


class Deadline:
    """Ends a call after a total time, however slowly the other side answers.

    Time-outs of sockets are per read: a server that sends a byte every few seconds never exceeds
    them. Shutting the connection down interrupts a read, a write and a TLS handshake alike.
    """

    def __init__(self, seconds: float) -> None:
        """Start the total time now."""
        self._ends_at = monotonic() + seconds
        self._handle: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self.is_over = False

    def at_most(self, seconds: float) -> float:
        """Return these seconds, or those that are left. Raises TimeoutError when none are."""
        left = self._ends_at - monotonic()
        if left <= 0:
            raise TimeoutError
        return min(seconds, left)

    def watch(self, opened: socket.socket) -> None:
        """Shut this connection down when the time is over."""
        # A copy of the handle: wrapping for TLS detaches the original.
        self._handle = opened.dup()
        self._timer = threading.Timer(max(0.0, self._ends_at - monotonic()), self._end)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        """Return the deadline itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the timer and close the handle of the connection."""
        if self._timer is not None:
            self._timer.cancel()
            # Wait for the timer's thread, which may be using the handle that is closed below.
            self._timer.join()
        if self._handle is not None:
            self._handle.close()

    def _end(self) -> None:
        self.is_over = True
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)
