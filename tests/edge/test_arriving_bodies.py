"""Connections of stalled bodies are shut down, and no others."""

import socket
from contextlib import ExitStack

import pytest
from werkzeug.exceptions import RequestTimeout

from anomify.edge.arriving_bodies import ArrivingBodies, BodyTimeouts

IMPATIENT = BodyTimeouts(0.05, 60.0)


class Clock:
    def __init__(self):
        self.moment = 0.0

    def __call__(self):
        return self.moment


def connected(stack, listener):
    """Return both ends of a new connection: the client's and the server's."""
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    server = stack.enter_context(listener.accept()[0])
    client.settimeout(5)
    return client, server


def receives_nothing(client):
    """Wait long enough for the kernel to count this connection as silent."""
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(5)


def connected_sender(stack, listener, sent):
    """Return both ends of a new connection whose client has sent this and is silent since then."""
    client, server = connected(stack, listener)
    client.sendall(sent)
    assert server.recv(10) == sent
    receives_nothing(client)
    return client, server


class TestCutStalled:
    def test_shuts_the_stalled_one_down_and_leaves_answered_ones(self):
        clock = Clock()
        bodies = ArrivingBodies(2, 0, clock)
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            answered, its_server = connected(stack, listener)
            stalled, other_server = connected(stack, listener)
            for client, server in ((answered, its_server), (stalled, other_server)):
                client.sendall(b"part")
                assert server.recv(10) == b"part"
            receives_nothing(stalled)
            its_server.sendall(b"reply")
            assert answered.recv(10) == b"reply"
            receives_nothing(stalled)
            with pytest.raises(RequestTimeout), bodies.arriving("127.0.0.1", port):
                assert bodies.cut_stalled(IMPATIENT) == 0
                clock.moment = 0.2
                # So soon after the last time it does not look again.
                assert bodies.cut_stalled(IMPATIENT) == 0
                clock.moment = 1.0
                with bodies.arriving("192.0.2.1", port):
                    assert bodies.cut_stalled(IMPATIENT) == 1
            assert stalled.recv(10) == b""
            its_server.sendall(b"more")
            assert answered.recv(10) == b"more"
            # The other ends lie in this process, too, as its connections to a database do.
            assert stalled.send(b"x") == 1
        with bodies.arriving("127.0.0.1", port):
            pass

    def test_shuts_down_the_longest_silent_one_and_not_one_that_was_answered_long_ago(self):
        clock = Clock()
        bodies = ArrivingBodies(2, 0, clock)
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            waiting, its_server = connected(stack, listener)
            # A connection that is used again: its last reply was before the other one was opened.
            its_server.sendall(b"reply")
            assert waiting.recv(10) == b"reply"
            receives_nothing(waiting)
            stalled, _ = connected_sender(stack, listener, b"part")
            waiting.sendall(b"whole")
            receives_nothing(waiting)
            with pytest.raises(RequestTimeout), bodies.arriving("127.0.0.1", port):
                clock.moment = 1.0
                assert bodies.cut_stalled(IMPATIENT) == 1
            assert stalled.recv(10) == b""
            its_server.sendall(b"more")
            assert waiting.recv(10) == b"more"

    def test_counts_a_body_once_while_the_thread_that_reads_it_has_not_ended(self):
        clock = Clock()
        bodies = ArrivingBodies(2, 0, clock)
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            _, other_server = connected_sender(stack, listener, b"part")
            # A whole request that waits until there is a free slot: it is silent, too.
            waiting, its_server = connected_sender(stack, listener, b"whole")
            with pytest.raises(RequestTimeout), bodies.arriving("127.0.0.1", port):
                clock.moment = 1.0
                assert bodies.cut_stalled(IMPATIENT) == 1
                other_server.close()
                clock.moment = 2.0
                assert bodies.cut_stalled(IMPATIENT) == 0
            its_server.sendall(b"more")
            assert waiting.recv(10) == b"more"

    def test_leaves_one_that_was_answered_before_where_both_have_been_silent_equally_long(self):
        clock = Clock()
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
            waiting, its_server = connected(stack, listener)
            its_server.sendall(b"reply")
            assert waiting.recv(10) == b"reply"
            receives_nothing(waiting)
            others = [connected(stack, listener) for _ in range(10)]
            for stalled, _ in others:
                stalled.sendall(b"part")
            waiting.sendall(b"whole")
            receives_nothing(waiting)
            with ExitStack() as arriving:
                arriving.enter_context(pytest.raises(RequestTimeout))
                bodies = ArrivingBodies(len(others), 0, clock)
                for _ in others:
                    arriving.enter_context(bodies.arriving("127.0.0.1", port))
                clock.moment = 1.0
                assert bodies.cut_stalled(IMPATIENT) == len(others)
            assert all(stalled.recv(10) == b"" for stalled, _ in others)
            its_server.sendall(b"more")
            assert waiting.recv(10) == b"more"
