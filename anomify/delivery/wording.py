"""Facts to Message: one wording for people, in text and HTML, and the same facts for machines."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from anomify.channel.message import PICTURE_CID, Message
from anomify.delivery.facts import OPENED, TEST, AnomalyFacts, Facts, moment
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain, human_number, value_and_range

TEMPLATES = Path(__file__).parents[2] / "templates" / "mail"
# A name may be 4 kB long; a subject shows this much of it.
SUBJECT_NAME_MAX_CHARACTERS = 100
# What a link shows around the anomaly.
LINK_MARGIN_SECONDS = 6 * 3600

_TYPES = {"opened": "anomaly.opened", "recovered": "anomaly.recovered", "test": "watcher.test"}
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, slots=True)
class _Wording:
    subject: str
    headline: str
    sentence: str
    # Named numbers and times, to be read in this order.
    lines: tuple[tuple[str, str], ...]
    link: str | None
    # What the link leads to, and what can be done there.
    link_words: str = "View the metric"
    hint: str = ""


EXPECTED_HINT: Final = (
    "Was this behaviour expected? Say so on the metric's page, and the same is not reported again."
)
PATTERN_HINT: Final = (
    "The link leads to the pattern that explains it. There you can say that this was wrong."
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
    picture: bytes | None = None,
    lacks_picture: bool = False,
) -> Message:
    """Put the facts into words. Links begin with `base_url`; times are in the org's zone.

    With `lacks_picture` it states that the picture could not be drawn.
    """
    wording = _wording(facts, base_url)
    shown = {
        "wording": wording,
        "facts": facts,
        "tone": facts.anomaly.severity if facts.transition == OPENED and facts.anomaly else "calm",
        "picture_cid": PICTURE_CID if picture is not None else None,
        "picture_problem": PICTURE_PROBLEM if lacks_picture and picture is None else None,
    }
    return Message(
        id=message_id,
        answers_id=answers_id,
        type=_TYPES[facts.transition],
        occurred_at=facts.occurred_at,
        subject=wording.subject,
        text=_environment.get_template("message.txt").render(shown),
        html=_environment.get_template("message.html").render(shown),
        data=_data(facts, wording, base_url),
        picture=picture,
    )


def duration_in_two_units(seconds: float) -> str:
    """Return a length of time in its two largest units.

    >>> [duration_in_two_units(seconds) for seconds in (0, 59, 3660, 90_000)]
    ['a moment', '59 seconds', '1 hour 1 minute', '1 day 1 hour']
    """
    left, parts = int(seconds), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "a moment"


def _wording(facts: Facts, base_url: str) -> _Wording:
    anomaly = facts.anomaly
    if facts.transition == TEST or anomaly is None:
        return _Wording(
            subject=f"Test of the watcher {_short(facts.watcher_name)}",
            headline="This is a test",
            sentence=(
                f"If you can read this, the watcher {facts.watcher_name} of {facts.org_name} "
                "reaches you. Nothing has happened."
            ),
            lines=(),
            link=None,
        )
    zone = _zone(facts.timezone)
    if facts.transition == OPENED:
        return _of_opened(anomaly, zone, _link(anomaly, base_url, asks=not anomaly.is_silence))
    if anomaly.pattern_id is not None:
        wording = _of_recovered(anomaly, zone, _pattern_link(anomaly, base_url))
        return replace(wording, link_words="View the pattern", hint=PATTERN_HINT)
    return _of_recovered(anomaly, zone, _link(anomaly, base_url))


def _of_opened(anomaly: AnomalyFacts, zone: tzinfo, link: str) -> _Wording:
    if anomaly.is_silence:
        return _of_silence(anomaly, zone, link)
    value, expected = _value_and_range(anomaly)
    what = _phrase(anomaly)
    return _Wording(
        subject=f"{_short(anomaly.metric_name)} is unusual: {what}",
        headline=f"Unusual, severity {anomaly.severity}",
        sentence=(
            f"{anomaly.metric_name} is unusual since {_time(anomaly.started_ms, zone)}: "
            f"{what}. Severity {anomaly.severity}."
        ),
        lines=_lines(
            ("Metric", anomaly.metric_name),
            ("Value", f"{value} at {_time(anomaly.peak_ms, zone)}"),
            ("Expected", expected),
            ("Severity", anomaly.severity),
            ("Score", _number(anomaly.score)),
            ("Since", _time(_since_ms(anomaly), zone)),
            ("Why", anomaly.explanation),
            ("By how much", anomaly.amount),
            ("Seen before", anomaly.seen_before),
        ),
        link=link,
        hint=EXPECTED_HINT,
    )


def _of_silence(anomaly: AnomalyFacts, zone: tzinfo, link: str) -> _Wording:
    since = _time(_since_ms(anomaly), zone)
    return _Wording(
        subject=f"{_short(anomaly.metric_name)} sends no data since {since}",
        headline=f"No data, severity {anomaly.severity}",
        sentence=(
            f"{anomaly.metric_name} has sent no data since {since}. {_headline(anomaly)} "
            f"Severity {anomaly.severity}."
        ),
        lines=_lines(
            ("Metric", anomaly.metric_name),
            ("Last value", _number(anomaly.value, anomaly.unit)),
            ("Since", since),
            ("Severity", anomaly.severity),
            ("Why", anomaly.explanation),
            ("Seen before", anomaly.seen_before),
        ),
        link=link,
    )


def _of_broken_silence(
    anomaly: AnomalyFacts, ended_ms: int, zone: tzinfo, link: str | None
) -> _Wording:
    silent = duration_in_two_units((ended_ms - _since_ms(anomaly)) / 1000)
    return _Wording(
        subject=f"{_short(anomaly.metric_name)} sends data again",
        headline="Data comes again",
        sentence=(
            f"{anomaly.metric_name} sends data again, with points from {_time(ended_ms, zone)} on; "
            f"the ones before are {silent} older."
        ),
        lines=_lines(
            ("Metric", anomaly.metric_name),
            ("No data since", _time(_since_ms(anomaly), zone)),
            ("Data from", _time(ended_ms, zone)),
            ("Severity", anomaly.severity),
        ),
        link=link,
    )


def _since_ms(anomaly: AnomalyFacts) -> int:
    return anomaly.started_ms if anomaly.since_ms is None else anomaly.since_ms


def _of_recovered(anomaly: AnomalyFacts, zone: tzinfo, link: str | None) -> _Wording:
    ended_ms = anomaly.ended_ms if anomaly.ended_ms is not None else anomaly.last_over_ms
    lasted = duration_in_two_units((ended_ms - anomaly.started_ms) / 1000)
    if anomaly.is_silence:
        return _of_broken_silence(anomaly, ended_ms, zone, link)
    if anomaly.pattern_id is not None:
        subject, headline = f"is as expected, after {lasted}", "As expected"
        ending = (
            f"is as expected: it is like {anomaly.pattern or 'a pattern'}. It had lasted {lasted}"
        )
    elif anomaly.has_fallen_silent:
        subject, headline = "has fallen silent", "Fallen silent while unusual"
        ending = (
            f"has sent nothing more, so what was unusual about it is closed; it had lasted {lasted}"
        )
    elif anomaly.accepted:
        subject, headline = "has a new level", "New level"
        ending = f"{anomaly.accepted}. It was unusual for {lasted}"
    else:
        subject, headline = f"is back to normal after {lasted}", "Back to normal"
        ending = f"is back to normal; it was unusual for {lasted}"
    value, expected = _value_and_range(anomaly)
    return _Wording(
        subject=f"{_short(anomaly.metric_name)} {subject}",
        headline=headline,
        sentence=f"{anomaly.metric_name} {ending}, until {_time(ended_ms, zone)}.",
        lines=_lines(
            ("Metric", anomaly.metric_name),
            ("Like", anomaly.pattern),
            ("Lasted", lasted),
            ("Since", _time(anomaly.started_ms, zone)),
            ("Until", _time(ended_ms, zone)),
            ("Most unusual", f"{value} at {_time(anomaly.peak_ms, zone)}"),
            ("Expected then", expected),
            ("Severity", anomaly.severity),
        ),
        link=link,
    )


def _data(facts: Facts, wording: _Wording, base_url: str) -> Mapping[str, Any]:
    data: dict[str, Any] = {
        "sentence": wording.sentence,
        "org": {"id": facts.org_id, "name": facts.org_name},
        "watcher": {"id": facts.watcher_id, "name": facts.watcher_name},
    }
    anomaly = facts.anomaly
    if anomaly is None:
        return data
    url = wording.link if anomaly.pattern_id is None else _link(anomaly, base_url)
    data["metric"] = {"id": anomaly.metric_id, "name": anomaly.metric_name, "url": url}
    data["anomaly"] = {
        "id": anomaly.id,
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
        "since_at": _iso(_since_ms(anomaly)),
        "started_at": _iso(anomaly.started_ms),
        "peak_at": _iso(anomaly.peak_ms),
        "ended_at": None if anomaly.ended_ms is None else _iso(anomaly.ended_ms),
        "ended_by_silence": anomaly.has_fallen_silent,
        "ended_by_pattern_id": anomaly.pattern_id,
        "ended_by_pattern": anomaly.pattern,
        "ended_by_pattern_url": _pattern_link(anomaly, base_url),
        "outgrown": anomaly.outgrown,
    }
    return data


def _link(anomaly: AnomalyFacts, base_url: str, *, asks: bool = False) -> str:
    """Return the address of the metric's page with the anomaly selected.

    With `asks` the question whether it was expected is open there.
    """
    ended_ms = anomaly.ended_ms if anomaly.ended_ms is not None else anomaly.last_over_ms
    # In the query, not in the path: a metric may be called `..` or hold slashes.
    query = urlencode(
        {
            "name": anomaly.metric_name,
            "from": anomaly.started_ms // 1000 - LINK_MARGIN_SECONDS,
            "until": ended_ms // 1000 + LINK_MARGIN_SECONDS,
            "event": anomaly.id,
            **({"ask": "true"} if asks else {}),
        }
    )
    return f"{base_url}/ui/metric?{query}"


def _pattern_link(anomaly: AnomalyFacts, base_url: str) -> str | None:
    """Return the address of the page of the pattern that explains it; None without one."""
    return None if anomaly.pattern_id is None else f"{base_url}/ui/pattern/{anomaly.pattern_id}"


def _lines(*lines: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in lines if text)


def _headline(anomaly: AnomalyFacts) -> str:
    """Return in one sentence what is unusual."""
    if anomaly.headline:
        return anomaly.headline
    # A message that waited through an upgrade has none: the numbers of its range state it.
    value, lower, upper = anomaly.value, anomaly.expected_lower, anomaly.expected_upper
    if value is None or lower is None or upper is None or lower <= value <= upper:
        return anomaly.explanation
    return explain(Evidence.ABOVE, value, lower, upper, unit=anomaly.unit or None)


def _phrase(anomaly: AnomalyFacts) -> str:
    """Return what is unusual as a part of a sentence, without its full stop."""
    headline = _headline(anomaly).removesuffix(".")
    begins_with_word = headline.startswith(("For ", "It ", "Its ", "No ", "The "))
    return f"{headline[:1].lower()}{headline[1:]}" if begins_with_word else headline


def _value_and_range(anomaly: AnomalyFacts) -> tuple[str, str]:
    if anomaly.value is None or anomaly.expected_lower is None or anomaly.expected_upper is None:
        return _number(anomaly.value, anomaly.unit), ""
    return value_and_range(
        anomaly.value, anomaly.expected_lower, anomaly.expected_upper, anomaly.unit or None
    )


def _number(number: float | None, unit: str = "") -> str:
    return "no number" if number is None else human_number(number, unit or None)


def _time(time_ms: int, zone: tzinfo) -> str:
    return moment(time_ms).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def _iso(time_ms: int) -> str:
    return moment(time_ms).isoformat().replace("+00:00", "Z")


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        # A message in the wrong zone says which one it is in; one that is not sent says nothing.
        return UTC


def _short(name: str) -> str:
    if len(name) <= SUBJECT_NAME_MAX_CHARACTERS:
        return name
    half = SUBJECT_NAME_MAX_CHARACTERS // 2
    return f"{name[:half]}…{name[-half:]}"
