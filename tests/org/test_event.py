"""Reported events are stored once, or refused with a reason."""

from datetime import UTC, datetime, timedelta

import pytest

from anomify.clock import now
from anomify.errors import Invalid
from anomify.org.event import TYPES, ReportedEvent, list_events, record_event
from tests.factories import make_org

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def record(org, text="shop 2.14 is live", at=NOON, **more):
    return record_event(
        org.id,
        ReportedEvent(**{"type": "deploy", **more}, text=text, occurred_at=at),
        actor="Alice",
    )


def listed(org, **more):
    window = {"from_at": NOON - timedelta(days=1), "until_at": NOON + timedelta(days=1)}
    return list_events(org.id, **{**window, **more})


@pytest.mark.usefixtures("unit")
class TestRecordEvent:
    def test_stores_the_reported_values(self):
        event = record(
            make_org(), "  shop  2.14\nis live ", tags=["shop", "shop", " "], chips=["cpu"]
        )
        assert (event.text, event.tags, event.chips) == ("shop 2.14 is live", ["shop"], ["cpu"])
        assert (event.type, event.actor, event.occurred_at) == ("deploy", "Alice", NOON)

    def test_stores_an_identical_event_once(self):
        org = make_org()
        assert record(org).id == record(org).id
        assert len({record(org).id, record(org, chips=["cpu"]).id, record(make_org("B")).id}) == 3
        assert record(org, at=NOON + timedelta(seconds=1)).id != record(org).id

    @pytest.mark.parametrize(
        ("field", "more"),
        [
            ("text", {"text": " \n"}),
            ("text", {"text": "x" * 501}),
            ("text", {"text": "a\x00b"}),
            ("type", {"type": "party"}),
            ("tags", {"tags": ["t"] * 21}),
            ("chips", {"chips": ["c" * 201]}),
            ("timestamp", {"at": datetime(1999, 12, 31, tzinfo=UTC)}),
        ],
    )
    def test_refuses_unusable_values_and_names_the_field(self, field, more):
        with pytest.raises(Invalid) as refused:
            record(make_org(), **more)
        assert list(refused.value.fields) == [field]

    def test_accepts_five_minutes_ahead_and_no_more(self):
        org = make_org()
        record(org, at=now() + timedelta(minutes=4))
        with pytest.raises(Invalid):
            record(org, at=now() + timedelta(minutes=6))


@pytest.mark.usefixtures("unit")
class TestListEvents:
    def test_lists_a_window_from_inclusive_until_exclusive_latest_first(self):
        org = make_org()
        events = [record(org, at=NOON + timedelta(hours=hour)) for hour in range(4)]
        page = listed(
            org, from_at=NOON + timedelta(hours=1), until_at=NOON + timedelta(hours=3), limit=1
        )
        assert ([one.id for one in page.items], page.total) == ([events[2].id], 2)

    def test_lists_the_orgs_events_of_the_requested_types(self):
        org = make_org()
        deploy, custom = record(org), record(org, type="custom")
        record(make_org("Globex"))
        assert {one.id for one in listed(org).items} == {deploy.id, custom.id}
        assert [one.id for one in listed(org, types=["custom"]).items] == [custom.id]
        assert listed(org, types=[]).total == 0
        assert set(TYPES) == {"deploy", "custom"}
