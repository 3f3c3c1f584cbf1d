"""The texts and data of messages, also with hostile names."""

import json
from dataclasses import dataclass
from html.parser import HTMLParser

import msgspec
import pytest

from anomify.channel.message import PICTURE_CID, Message
from anomify.delivery.facts import OPENED, RECOVERED, TEST, AnomalyFacts, Facts
from anomify.delivery.wording import duration_in_two_units, message_of
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain

NOON_MS = 1_795_176_000_000  # 2026-11-20 12:00 UTC
BASE = "https://anomify.example"


def facts(transition: str = OPENED, timezone: str = "Europe/Berlin", **changes: object) -> Facts:
    anomaly = AnomalyFacts(
        id=7,
        uuid="2c5d9d70-7f8c-4b62-a31c-0a0c5c9a3a3e",
        metric_id=3,
        metric_name="shop.orders",
        severity="high",
        score=0.91234,
        value=1234567.25,
        expected_lower=10.0,
        expected_upper=40.5,
        explanation="Far above what is usual at this hour.",
        started_ms=NOON_MS,
        peak_ms=NOON_MS + 60_000,
        last_over_ms=NOON_MS + 25 * 60_000,
        ended_ms=None if transition == OPENED else NOON_MS + 25 * 60_000,
        has_fallen_silent=False,
    )
    return Facts(
        transition=transition,
        occurred_ms=NOON_MS,
        org_id=1,
        org_name="Acme",
        timezone=timezone,
        watcher_id=5,
        watcher_name="Orders",
        anomaly=msgspec.structs.replace(anomaly, **changes),
    )


def message_for(facts: Facts, **more: object) -> Message:
    return message_of(facts, BASE, message_id="m1", **more)


@dataclass
class Page(HTMLParser):
    """What a mail reader sees of HTML: texts, tags and addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


class TestOpened:
    def test_names_metric_expected_range_severity_and_start(self) -> None:
        message = message_for(facts())

        sentence = (
            "shop.orders is unusual since 2026-11-20 13:00:00 CET: 1.23 million is above the "
            "expected 10 to 40. Severity high."
        )
        subject = "shop.orders is unusual: 1.23 million is above the expected 10 to 40"
        assert message.subject == subject
        assert message.data["sentence"] == sentence
        assert message.text.startswith(sentence + "\n")
        assert sentence in Page(message.html).texts

    def test_leads_to_the_metric_around_the_anomaly(self) -> None:
        link = message_for(facts(metric_name='node_cpu{cpu="0",path="/a b"}')).data["metric"]["url"]

        assert link == (
            f"{BASE}/ui/metric?name=node_cpu%7Bcpu%3D%220%22%2Cpath%3D%22%2Fa+b%22%7D"
            f"&from={NOON_MS // 1000 - 21600}&until={NOON_MS // 1000 + 1500 + 21600}&event=7"
            "&ask=true"
        )

    def test_shows_the_same_lines_in_text_and_html(self) -> None:
        message = message_for(facts())

        texts = Page(message.html).texts
        for name, text in (
            ("Value", "1.23 million at 2026-11-20 13:01:00 CET"),
            ("Expected", "10 to 40"),
            ("Score", "0.912"),
            ("Why", "Far above what is usual at this hour."),
        ):
            assert f"{name}: {text}\n" in message.text
            assert name in texts
            assert text in texts

    def test_leaves_out_a_range_that_is_not_there(self) -> None:
        message = message_for(facts(expected_lower=None, expected_upper=None, value=None))

        subject = "shop.orders is unusual: Far above what is usual at this hour"
        assert message.subject == subject
        assert "Expected" not in message.text

    def test_gives_machines_every_fact_as_json(self) -> None:
        message = message_for(
            facts(
                amount="1.23 million above the range",
                seen_before="Similar was seen once before, 6 days earlier.",
            )
        )

        assert message.type == "anomaly.opened"
        assert json.loads(json.dumps(message.data))["anomaly"] == {
            "id": 7,
            "metric": "shop.orders",
            "uuid": "2c5d9d70-7f8c-4b62-a31c-0a0c5c9a3a3e",
            "severity": "high",
            "score": 0.91234,
            "value": 1234567.25,
            "expected_lower": 10.0,
            "expected_upper": 40.5,
            "explanation": "Far above what is usual at this hour.",
            "is_silence": False,
            "amount": "1.23 million above the range",
            "seen_before": "Similar was seen once before, 6 days earlier.",
            "since_at": "2026-11-20T12:00:00Z",
            "started_at": "2026-11-20T12:00:00Z",
            "peak_at": "2026-11-20T12:01:00Z",
            "ended_at": None,
            "ended_by_silence": False,
            "ended_by_pattern_id": None,
            "ended_by_pattern": "",
            "ended_by_pattern_url": None,
            "outgrown": "",
            "dismissed": "",
        }

    def test_gives_values_in_the_metrics_unit(self) -> None:
        message = message_for(facts(value=412.0, unit="ms"))

        subject = "shop.orders is unusual: 412 ms is above the expected 10 to 40 ms"
        assert message.subject == subject

    @pytest.mark.parametrize("evidence", list(Evidence))
    def test_does_not_call_a_value_within_its_range_unexpected(self, evidence: Evidence) -> None:
        headline = explain(evidence, 3.0, 0.0, 428.0, amount=14.0)
        message = message_for(
            facts(value=3.0, expected_lower=0.0, expected_upper=428.0, headline=headline)
        )

        phrase = message.subject.removeprefix("shop.orders is unusual: ")
        assert phrase.lower() == headline.removesuffix(".").lower()
        assert not phrase[0].isupper()
        assert f": {phrase}. Severity high." in message.data["sentence"]
        for text in (message.subject, message.data["sentence"]):
            assert "3, expected" not in text
            assert "above the expected" not in text
            assert "below the expected" not in text

    def test_reports_missing_data_without_calling_the_last_value_unusual(self) -> None:
        silence = {
            "is_silence": True,
            "since_ms": NOON_MS - 60_000,
            "expected_lower": None,
            "expected_upper": None,
            "explanation": "No data has come. Silent since 2026-11-20 12:59 CET.",
            "headline": "No data has come, though a point is due every 60 seconds.",
        }
        message = message_for(facts(severity="medium", **silence))

        assert message.subject == "shop.orders sends no data since 2026-11-20 12:59:00 CET"
        assert message.data["sentence"] == (
            "shop.orders has sent no data since 2026-11-20 12:59:00 CET. No data has come, though "
            "a point is due every 60 seconds. Severity medium."
        )
        assert "unusual" not in message.text

        again = message_for(facts(RECOVERED, severity="medium", **silence))

        assert again.subject == "shop.orders sends data again"
        assert "with points from 2026-11-20 13:25:00 CET on" in again.data["sentence"]

    def test_shows_the_picture_only_when_there_is_one(self) -> None:
        assert f"cid:{PICTURE_CID}" in Page(message_for(facts(), picture=b"png").html).addresses
        assert "img" not in Page(message_for(facts()).html).tags
        for plain in (
            message_for(facts()),
            message_for(facts(), picture=b"png", lacks_picture=True),
        ):
            assert "could not be drawn" not in plain.text + plain.html
        lacking = message_for(facts(), lacks_picture=True)
        assert "could not be drawn" in lacking.text
        assert "could not be drawn" in lacking.html


class TestRecovered:
    def test_states_how_long_it_lasted(self) -> None:
        message = message_for(facts(RECOVERED))

        assert message.type == "anomaly.recovered"
        assert message.subject == "shop.orders is back to normal after 25 minutes"
        assert message.data["sentence"] == (
            "shop.orders is back to normal; it was unusual for 25 minutes, until "
            "2026-11-20 13:25:00 CET. At its peak it was 1.23 million, where 10 to 40 was "
            "expected, at 2026-11-20 13:01:00 CET."
        )
        assert message.data["anomaly"]["ended_at"] == "2026-11-20T12:25:00Z"

    def test_states_that_the_metric_only_fell_silent(self) -> None:
        message = message_for(facts(RECOVERED, has_fallen_silent=True))

        assert message.subject == "shop.orders has fallen silent"
        assert "back to normal" not in message.text

    def test_states_the_new_level_that_is_taken_as_normal(self) -> None:
        accepted = "has stayed at about 1,007 since 13:00; this is now taken as its level"
        message = message_for(facts(RECOVERED, accepted=accepted))

        assert message.subject == "shop.orders has a new level"
        assert message.data["sentence"].startswith(f"shop.orders {accepted}. It was unusual for 25")
        assert "back to normal" not in message.text + message.html

    def test_states_the_pattern_that_explains_it(self) -> None:
        pattern = "“Nightly job”, marked as expected by Alice"
        message = message_for(facts(RECOVERED, pattern_id=4, pattern=pattern))

        assert message.subject == "shop.orders is as expected, after 25 minutes"
        assert message.data["sentence"].startswith(
            "shop.orders is as expected: it is like “Nightly job”, marked as expected by Alice."
        )
        assert f"Like: {pattern}" in message.text
        assert message.data["anomaly"]["ended_by_pattern_id"] == 4

    def test_leads_to_the_pattern_that_explains_it(self) -> None:
        message = message_for(facts(RECOVERED, pattern_id=4, pattern="“Nightly job”"))

        assert f"View the pattern: {BASE}/ui/pattern/4" in message.text
        assert f"{BASE}/ui/pattern/4" in Page(message.html).addresses
        assert message.data["anomaly"]["ended_by_pattern_url"] == f"{BASE}/ui/pattern/4"
        assert message.data["metric"]["url"].startswith(f"{BASE}/ui/metric?")

    def test_asks_whether_an_anomaly_was_expected_where_it_can_be_answered(self) -> None:
        question = "Was this behaviour expected?"
        assert question in message_for(facts()).text
        assert any(question in text for text in Page(message_for(facts()).html).texts)
        for message in (message_for(facts(RECOVERED)), message_for(facts(is_silence=True))):
            assert question not in message.text
            assert "ask=" not in message.data["metric"]["url"]


class TestTest:
    def test_states_that_nothing_has_happened(self) -> None:
        message = message_for(msgspec.structs.replace(facts(TEST), anomaly=None))

        assert message.type == "watcher.test"
        assert "Nothing has happened" in message.text
        assert "anomaly" not in message.data


class TestSafety:
    @pytest.mark.parametrize(
        "name", ["<script>alert(1)</script>", "{{ 7 * 7 }}", '"><img src=x onerror=y>', "a&amp;b"]
    )
    def test_a_name_is_only_ever_a_name(self, name: str) -> None:
        named = msgspec.structs.replace(
            facts(metric_name=name, explanation=name), watcher_name=name, org_name=name
        )
        message = message_for(named)

        page = Page(message.html)
        assert f"Metric: {name}\n" in message.text
        assert name in page.texts
        assert set(page.tags).isdisjoint({"script", "img"})

    def test_a_very_long_name_does_not_fill_the_subject(self) -> None:
        message = message_for(facts(metric_name="x" * 4000))

        assert len(message.subject) < 180
        assert "x" * 4000 in message.text

    def test_an_unknown_zone_is_utc(self) -> None:
        for zone in ("Mars/Olympus", "../../etc/passwd", ""):
            assert "12:00:00 UTC" in message_for(facts(timezone=zone)).text


class TestInWords:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0, "a moment"),
            (1, "1 second"),
            (61, "1 minute 1 second"),
            (7200, "2 hours"),
            (90_061, "1 day 1 hour"),
        ],
    )
    def test_names_the_two_largest_units(self, seconds: float, words: str) -> None:
        assert duration_in_two_units(seconds) == words
