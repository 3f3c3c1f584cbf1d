"""What the feed sends, and that it sends it once."""

import threading

import pytest

from anomify.demo import feed as feed_module
from anomify.demo.feed import Feed
from anomify.demo.scenario import Scenario
from tests.kit.ingest_server import open_ingest_server

STEP_MS = 300_000
START_MS = 1_800_000_000_000


@pytest.fixture
def blueprint():
    with open_ingest_server() as opened:
        yield opened


@pytest.fixture
def feed(blueprint, tmp_path, monkeypatch):
    """Let a feed run at a moment until it has sent something of the machine's."""
    monkeypatch.setattr(feed_module, "MACHINE_EVERY_SECONDS", 0)
    monkeypatch.setattr(feed_module, "PAUSE_SECONDS", 0.001)

    def run(at_ms):
        stopping = threading.Event()
        monkeypatch.setattr(feed_module, "now_ms", lambda: at_ms)

        def read_once():
            stopping.set()
            return {"host.cpu": 1.0}

        monkeypatch.setattr(feed_module, "read_machine", read_once)
        blueprint.received.clear()
        Feed(blueprint.url, "anm_1", Scenario(START_MS), tmp_path, stopping).run()
        return blueprint.received

    return run


def times_of(bodies):
    return [item["timestamp"] * 1000 for body in bodies for item in body["metrics"]]


class TestFeed:
    def test_sends_the_past_as_history(self, feed):
        bodies = feed(START_MS + 10 * STEP_MS)
        assert {body.get("fill") for body in bodies} == {"true"}
        assert min(times_of(bodies)) == START_MS

    def test_continues_where_it_stopped_after_a_restart(self, feed):
        first = times_of(feed(START_MS + 10 * STEP_MS))
        second = times_of(feed(START_MS + 12 * STEP_MS))
        assert max(first) == START_MS + 10 * STEP_MS
        assert set(second) <= {START_MS + 11 * STEP_MS, START_MS + 12 * STEP_MS}
        assert second

    def test_current_points_are_not_sent_as_history(self, feed):
        feed(START_MS + 10 * STEP_MS)
        bodies = feed(START_MS + 11 * STEP_MS)
        assert {body.get("fill") for body in bodies} == {None}

    def test_sends_failed_points_again(self, blueprint, feed):
        blueprint.answers = [(503, {}, {})]
        assert min(times_of(feed(START_MS + STEP_MS))) == START_MS
