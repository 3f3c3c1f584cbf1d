"""An event is drawn on the metrics it is about."""

from datetime import UTC, datetime

import pytest

from anomify.metric.chart_events import events_on
from anomify.org.event import ReportedEvent, record_event
from tests.factories import make_metric, make_org

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


@pytest.mark.usefixtures("unit")
class TestEventsOn:
    def test_gives_those_whose_every_chip_is_in_the_name_and_those_without_any(self):
        org = make_org()
        metric = make_metric(org, "Shop.cpu.load")
        for text, chips in (("all", []), ("its", ["shop", "CPU"]), ("others", ["shop", "disk"])):
            record_event(org.id, ReportedEvent("deploy", text, NOON, chips=chips), actor="Alice")
        found = events_on(metric, NOON_MS, NOON_MS + 1)
        assert [event.text for event in found] == ["all", "its"]
        assert events_on(metric, NOON_MS + 1, NOON_MS + 2) == []
        assert events_on(make_metric(make_org("Globex"), "Shop.cpu.load"), 0, NOON_MS + 1) == []
