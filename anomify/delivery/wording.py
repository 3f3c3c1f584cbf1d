"""Facts to Message: one wording for people, in text and HTML, and the same facts for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from anomify.channel.message import PICTURE_CID, Button, Message
from anomify.clock import to_ms
from anomify.delivery.facts import (
    OPENED,
    RECOVERED,
    REPORT,
    SILENCE_ENDED,
    SILENCE_STARTED,
    TEST,
    AnomalyFacts,
    Facts,
    NoticeFacts,
    moment,
)
from anomify.delivery.wording_anomaly import (
    Wording,
    duration_in_two_units,
    link_to,
    local_time,
    of_opened,
    of_recovered,
    pattern_link,
    short,
    since_ms,
)
from anomify.delivery.wording_incident import wording_of_incident
from anomify.delivery.wording_parts import incident_link
from anomify.delivery.wording_report import report_data, wording_of_report

TEMPLATES = Path(__file__).parents[2] / "templates" / "mail"
# A message that is sent so long after it was enqueued states that it is late.
DELAYED_AFTER: Final = timedelta(minutes=10)

_TYPES: Final = {
    TEST: "watcher.test",
    REPORT: "watcher.report",
    SILENCE_STARTED: SILENCE_STARTED,
    SILENCE_ENDED: SILENCE_ENDED,
}

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

PICTURE_PROBLEM: Final = (
    "The picture that belongs here could not be drawn. Nothing else of this message is missing,"
    " and the metric's page shows its chart."
)


def message_of(
    facts: Facts,
    base_url: str,
    *,
    message_id: str,
    answers_id: str | None = None,
    first_reference: str = "",
    picture: bytes | None = None,
    lacks_picture: bool = False,
    image_url: str = "",
    buttons: Sequence[Button] = (),
    unsubscribe_url: str = "",
    enqueued_at: datetime | None = None,
    sent_at: datetime | None = None,
) -> Message:
    """Put the facts into words. Links begin with `base_url`; times are in the org's zone.

    With `lacks_picture` it states that the picture could not be drawn. One that is sent long after
    it was enqueued states that, too.
    """
    zone = _zone(facts.timezone)
    wording = _wording(facts, zone, base_url)
    if enqueued_at is not None and sent_at is not None and sent_at - enqueued_at > DELAYED_AFTER:
        late = duration_in_two_units((sent_at - enqueued_at).total_seconds())
        sentence = f"Sent {late} late, meant for {local_time(to_ms(enqueued_at), zone)}."
        wording = replace(wording, lines=(*wording.lines, ("Delayed", sentence)))
    incident = facts.incident
    severity = ""
    if facts.anomaly is not None:
        severity = facts.anomaly.severity if incident is None else incident.severity
    shown = {
        "wording": wording,
        "because": _because(facts),
        "unsubscribe_url": unsubscribe_url,
        "tone": severity if facts.is_ongoing and severity else "calm",
        "picture_cid": PICTURE_CID if picture is not None else None,
        "picture_problem": PICTURE_PROBLEM if lacks_picture and picture is None else None,
    }
    return Message(
        id=message_id,
        answers_id=answers_id,
        type=_TYPES.get(facts.transition, f"anomaly.{facts.transition}"),
        occurred_at=facts.occurred_at,
        subject=wording.subject,
        text=_environment.get_template("message.txt").render(shown),
        html=_environment.get_template("message.html").render(shown),
        data=_data(facts, wording, base_url, image_url),
        picture=picture,
        conversation=facts.conversation,
        first_reference=first_reference,
        severity=severity,
        is_ongoing=facts.is_ongoing,
        began_at=None if incident is None else moment(incident.began_ms),
        ended_at=_ended_at(facts),
        org_name=facts.org_name,
        watcher_name=facts.watcher_name,
        about=_about(facts),
        headline=wording.headline,
        sentence=wording.sentence,
        lines=wording.lines,
        link=wording.link or "",
        link_words=wording.link_words,
        image_url=image_url,
        buttons=tuple(buttons),
        unsubscribe_url=unsubscribe_url,
    )


def subject_of(facts: Facts) -> str:
    """Return the subject of a message in words."""
    return _wording(facts, _zone(facts.timezone), "").subject


def _wording(facts: Facts, zone: tzinfo, base_url: str) -> Wording:
    anomaly = facts.anomaly
    if facts.report is not None:
        return wording_of_report(facts, facts.report, zone, base_url)
    if facts.notice is not None:
        return _of_notice(facts.notice, base_url)
    if anomaly is None:
        return Wording(
            subject=f"Test of the watcher {short(facts.watcher_name)}",
            headline="This is a test",
            sentence=(
                f"If you can read this, the watcher {facts.watcher_name} of {facts.org_name} "
                "reaches you. Nothing has happened."
            ),
            lines=(),
            link=None,
        )
    if facts.incident is not None:
        return wording_of_incident(facts, anomaly, facts.incident, zone, base_url)
    # A message that waited through an upgrade is about one anomaly.
    words = of_opened if facts.transition == OPENED else of_recovered
    return words(anomaly, zone, base_url)


def _of_notice(notice: NoticeFacts, base_url: str) -> Wording:
    return Wording(
        subject=notice.subject,
        headline=notice.headline,
        sentence=notice.sentence,
        lines=notice.lines,
        link=f"{base_url}{notice.path}" if notice.path else None,
        link_words=notice.link_words,
    )


def _because(facts: Facts) -> str:
    """Return in a sentence why the recipient gets the message."""
    if facts.notice is not None and facts.notice.because:
        return facts.notice.because
    return f"You receive this because of the watcher {facts.watcher_name} of {facts.org_name}."


def _ended_at(facts: Facts) -> datetime | None:
    return facts.occurred_at if facts.transition == RECOVERED else None


def _about(facts: Facts) -> str:
    if facts.anomaly is None:
        return ""
    if facts.incident is None or facts.incident.metrics == 1:
        return facts.anomaly.metric_name
    return f"{facts.anomaly.metric_name} and {facts.incident.metrics - 1:,} more"


def _data(facts: Facts, wording: Wording, base_url: str, image_url: str) -> Mapping[str, Any]:
    data: dict[str, Any] = {
        "sentence": wording.sentence,
        "image_url": image_url or None,
        "org": {"id": facts.org_id, "name": facts.org_name},
        "watcher": None,
    }
    if facts.watcher_id:
        data["watcher"] = {"id": facts.watcher_id, "name": facts.watcher_name}
    if facts.notice is not None:
        data.update(facts.notice.data)
    anomaly = facts.anomaly
    if facts.report is not None:
        data["report"] = report_data(facts.report, base_url)
    if anomaly is None:
        return data
    url = wording.link if anomaly.pattern_id is None else link_to(anomaly, base_url)
    data["metric"] = {"id": anomaly.metric_id, "name": anomaly.metric_name, "url": url}
    data["anomaly"] = _anomaly_data(anomaly, base_url)
    data["anomalies"] = [_anomaly_data(each, base_url) for each in (anomaly, *facts.others)]
    if facts.incident is not None:
        incident = facts.incident
        data["incident"] = {
            "id": incident.id,
            "uuid": incident.uuid,
            "kind": incident.kind,
            "severity": incident.severity,
            "metric_count": incident.metrics,
            "anomaly_count": incident.anomaly_count,
            "open_count": incident.open_count,
            "began_at": _iso(incident.began_ms),
            "ended_at": None if incident.ended_ms is None else _iso(incident.ended_ms),
            "url": incident_link(incident, base_url),
        }
    if facts.acknowledged_by:
        data["acknowledged_by"] = facts.acknowledged_by
    if facts.held_why:
        data["held_back"] = {
            "why": facts.held_why,
            "since": None if facts.held_since_ms is None else _iso(facts.held_since_ms),
        }
    if facts.missed_count:
        data["came_and_went"] = [
            {
                "metric": each.metric_name,
                "anomaly_count": each.anomaly_count,
                "began_at": _iso(each.began_ms),
                "ended_at": _iso(each.ended_ms),
            }
            for each in facts.missed
        ]
    return data


def _anomaly_data(anomaly: AnomalyFacts, base_url: str) -> dict[str, Any]:
    return {
        "id": anomaly.id,
        "metric": anomaly.metric_name,
        "uuid": anomaly.uuid,
        "severity": anomaly.severity,
        "score": anomaly.score,
        "value": anomaly.value,
        "expected_lower": anomaly.expected_lower,
        "expected_upper": anomaly.expected_upper,
        "explanation": anomaly.explanation,
        "is_silence": anomaly.is_silence,
        "amount": anomaly.amount,
        "seen_before": anomaly.seen_before,
        "since_at": _iso(since_ms(anomaly)),
        "started_at": _iso(anomaly.started_ms),
        "peak_at": _iso(anomaly.peak_ms),
        "ended_at": None if anomaly.ended_ms is None else _iso(anomaly.ended_ms),
        "ended_by_silence": anomaly.has_fallen_silent,
        "ended_by_pattern_id": anomaly.pattern_id,
        "ended_by_pattern": anomaly.pattern,
        "ended_by_pattern_url": pattern_link(anomaly, base_url),
        "outgrown": anomaly.outgrown,
        "dismissed": anomaly.dismissed,
    }


def _iso(time_ms: int) -> str:
    return moment(time_ms).isoformat().replace("+00:00", "Z")


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        # A message in the wrong zone says which one it is in; one that is not sent says nothing.
        return UTC
