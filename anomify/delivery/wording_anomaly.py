"""What one anomaly is in words: when it opened, when it ended, and when data stopped."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Final
from urllib.parse import urlencode

from anomify.delivery.facts import AnomalyFacts, moment
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain, human_number, value_and_range

# A name may be 4 kB long; a subject shows this much of it.
SUBJECT_NAME_MAX_CHARACTERS = 100
# What a link shows around the anomaly.
LINK_MARGIN_SECONDS = 6 * 3600
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Wording:
    """The parts of a message in words."""

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


def of_opened(anomaly: AnomalyFacts, zone: tzinfo, base_url: str) -> Wording:
    """Return the words for an anomaly that opened."""
    return _of_opened(anomaly, zone, link_to(anomaly, base_url, asks=not anomaly.is_silence))


def of_recovered(anomaly: AnomalyFacts, zone: tzinfo, base_url: str) -> Wording:
    """Return the words for an anomaly that ended."""
    if anomaly.pattern_id is not None:
        wording = _of_recovered(anomaly, zone, pattern_link(anomaly, base_url))
        return replace(wording, link_words="View the pattern", hint=PATTERN_HINT)
    return _of_recovered(anomaly, zone, link_to(anomaly, base_url))


def _of_opened(anomaly: AnomalyFacts, zone: tzinfo, link: str) -> Wording:
    if anomaly.is_silence:
        return _of_silence(anomaly, zone, link)
    value, expected = _value_and_range(anomaly)
    what = phrase(anomaly)
    return Wording(
        subject=f"{short(anomaly.metric_name)} is unusual: {what}",
        headline=f"Unusual, severity {anomaly.severity}",
        sentence=(
            f"{anomaly.metric_name} is unusual since {local_time(anomaly.started_ms, zone)}: "
            f"{what}. Severity {anomaly.severity}."
        ),
        lines=lines_of(
            ("Metric", anomaly.metric_name),
            ("Value", f"{value} at {local_time(anomaly.peak_ms, zone)}"),
            ("Expected", expected),
            ("Severity", anomaly.severity),
            ("Score", _number(anomaly.score)),
            ("Since", local_time(since_ms(anomaly), zone)),
            ("Why", anomaly.explanation),
            ("By how much", anomaly.amount),
            ("Seen before", anomaly.seen_before),
        ),
        link=link,
        hint=EXPECTED_HINT,
    )


def _of_silence(anomaly: AnomalyFacts, zone: tzinfo, link: str) -> Wording:
    since = local_time(since_ms(anomaly), zone)
    return Wording(
        subject=f"{short(anomaly.metric_name)} sends no data since {since}",
        headline=f"No data, severity {anomaly.severity}",
        sentence=(
            f"{anomaly.metric_name} has sent no data since {since}. {_headline(anomaly)} "
            f"Severity {anomaly.severity}."
        ),
        lines=lines_of(
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
) -> Wording:
    silent = duration_in_two_units((ended_ms - since_ms(anomaly)) / 1000)
    return Wording(
        subject=f"{short(anomaly.metric_name)} sends data again",
        headline="Data comes again",
        sentence=(
            f"{anomaly.metric_name} sends data again, with points from "
            f"{local_time(ended_ms, zone)} on; the ones before are {silent} older."
        ),
        lines=lines_of(
            ("Metric", anomaly.metric_name),
            ("No data since", local_time(since_ms(anomaly), zone)),
            ("Data from", local_time(ended_ms, zone)),
            ("Severity", anomaly.severity),
        ),
        link=link,
    )


def since_ms(anomaly: AnomalyFacts) -> int:
    """Return since when the evidence holds."""
    return anomaly.started_ms if anomaly.since_ms is None else anomaly.since_ms


def _of_recovered(anomaly: AnomalyFacts, zone: tzinfo, link: str | None) -> Wording:
    ended_ms = anomaly.ended_ms if anomaly.ended_ms is not None else anomaly.last_over_ms
    lasted = duration_in_two_units((ended_ms - anomaly.started_ms) / 1000)
    if anomaly.dismissed:
        return _of_dismissed(anomaly, zone, link)
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
    return Wording(
        subject=f"{short(anomaly.metric_name)} {subject}",
        headline=headline,
        sentence=(
            f"{anomaly.metric_name} {ending}, until {local_time(ended_ms, zone)}. "
            f"{peak_sentence(anomaly, zone)}"
        ).rstrip(),
        lines=lines_of(
            ("Metric", anomaly.metric_name),
            ("Like", anomaly.pattern),
            ("Lasted", lasted),
            ("Since", local_time(anomaly.started_ms, zone)),
            ("Until", local_time(ended_ms, zone)),
            ("Most unusual", f"{value} at {local_time(anomaly.peak_ms, zone)}"),
            ("Expected then", expected),
            ("Severity", anomaly.severity),
        ),
        link=link,
    )


def _of_dismissed(anomaly: AnomalyFacts, zone: tzinfo, link: str | None) -> Wording:
    """Return the words for an anomaly that a person or a rule ended, whatever its values are."""
    what = "had sent no data" if anomaly.is_silence else "had been unusual"
    value, expected = ("", "") if anomaly.is_silence else _value_and_range(anomaly)
    return Wording(
        subject=f"{short(anomaly.metric_name)} {anomaly.dismissed}",
        headline="Not reported any more",
        sentence=(
            f"{anomaly.metric_name} {anomaly.dismissed}. It {what} since "
            f"{local_time(since_ms(anomaly), zone)}; whether that goes on is not reported."
        ),
        lines=lines_of(
            ("Metric", anomaly.metric_name),
            ("Since", local_time(since_ms(anomaly), zone)),
            ("Most unusual", value and f"{value} at {local_time(anomaly.peak_ms, zone)}"),
            ("Expected then", expected),
            ("Severity", anomaly.severity),
        ),
        link=link,
    )


def peak_sentence(anomaly: AnomalyFacts, zone: tzinfo) -> str:
    """Return in a sentence what the value was when it was most unusual; empty without one."""
    if anomaly.is_silence or anomaly.value is None:
        return ""
    value, expected = _value_and_range(anomaly)
    range_words = f", where {expected} was expected" if expected else ""
    return f"At its peak it was {value}{range_words}, at {local_time(anomaly.peak_ms, zone)}."


def link_to(anomaly: AnomalyFacts, base_url: str, *, asks: bool = False) -> str:
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


def pattern_link(anomaly: AnomalyFacts, base_url: str) -> str | None:
    """Return the address of the page of the pattern that explains it; None without one."""
    return None if anomaly.pattern_id is None else f"{base_url}/ui/pattern/{anomaly.pattern_id}"


def lines_of(*lines: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Return those of the named texts that are not empty."""
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


def phrase(anomaly: AnomalyFacts) -> str:
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


def local_time(time_ms: int, zone: tzinfo) -> str:
    """Return a moment in the zone, to the second, with the name of the zone."""
    return moment(time_ms).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def short(name: str) -> str:
    """Return a name for a subject: a long one without its middle."""
    if len(name) <= SUBJECT_NAME_MAX_CHARACTERS:
        return name
    half = SUBJECT_NAME_MAX_CHARACTERS // 2
    return f"{name[:half]}…{name[-half:]}"
