"""An anomaly in words: what is unusual and since when, its size, and how often it was seen."""

from zoneinfo import ZoneInfo

from anomify.anomaly.model import Span
from anomify.clock import datetime_from_ms, now_ms
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import describe_amount, human_number
from anomify.metric.status import duration_in_words

_DAY = "%Y-%m-%d "
_TIME = "%H:%M"


def explanation_of(span: Span, timezone: str) -> str:
    """Return what is unusual at the peak of an anomaly and from when to when, in two sentences.

    A third one states what it was like at first, where a pattern explained its beginning, and the
    last one which new level was taken as normal, where that has ended it.
    """
    first_ms = since_ms_of(span)
    last_ms = None if span.is_open else span.last_over_ms
    zone = ZoneInfo(timezone)
    if span.is_silence:
        return f"{span.explanation} Silent {_period(first_ms, last_ms, zone)}."
    peak = ""
    if first_ms < span.peak_ms:
        peak = f", most at {_moment(span.peak_ms, zone, after_ms=first_ms)}"
    outgrown = f" {span.outgrown_reason}" if span.outgrown_reason else ""
    accepted = accepted_in_words(span, timezone)
    accepted = f" It {accepted}." if accepted else ""
    return (
        f"{span.explanation} Unusual {_period(first_ms, last_ms, zone)}{peak}.{outgrown}{accepted}"
    )


def accepted_in_words(span: Span, timezone: str) -> str:
    """Return what follows the metric's name where a new level that is accepted ended an anomaly.

    Empty for every other anomaly.
    """
    level, since_ms = span.accepted_level, span.accepted_since_ms
    if level is None:
        return ""
    what = f"about {human_number(level)}"
    moved = f"moved to {what}"
    if since_ms is not None:
        since = _moment(since_ms, ZoneInfo(timezone), after_ms=span.last_over_ms)
        moved = f"stayed at {what} since {since}"
    return f"has {moved}; this is now taken as its level"


def since_ms_of(span: Span) -> int:
    """Return since when an anomaly holds; for a constant value, since before it was found."""
    return span.started_ms if span.since_ms is None else span.since_ms


def amount_of(span: Span) -> float | None:
    """Return how far the peak is off, in the unit of its evidence; a silence, until now."""
    if not span.is_silence:
        return span.amount
    last_ms = now_ms() if span.is_open else span.last_over_ms
    return max(last_ms - since_ms_of(span), 0) / 1000


def amount_in_words(span: Span) -> str:
    """Return how far the peak is off in words; empty where its evidence has no size."""
    # Anomalies of an older version may have evidence that does not exist any more.
    evidence = Evidence.__members__.get(span.evidence.upper())
    amount = amount_of(span)
    if evidence is None or amount is None:
        return ""
    return describe_amount(evidence, amount)


def seen_before_in_words(span: Span) -> str:
    """Return in a sentence how often the metric had anomalies with the same evidence before."""
    if span.similar_ms is None or not span.similar_before:
        return "Nothing like it was seen on this metric before."
    times = "once" if span.similar_before == 1 else f"{span.similar_before:,} times"
    earlier = duration_in_words(span.started_ms - span.similar_ms)
    last = "" if span.similar_before == 1 else "the last time "
    return f"Similar was seen {times} before, {last}{earlier} earlier."


def _period(first_ms: int, last_ms: int | None, zone: ZoneInfo) -> str:
    """Return a period in words: since a moment, from one to another, or at one."""
    first = datetime_from_ms(first_ms).astimezone(zone)
    begin = first.strftime(_DAY + _TIME)
    if last_ms is None:
        return f"since {begin} {first:%Z}"
    end = _moment(last_ms, zone, after_ms=first_ms)
    if last_ms <= first_ms:
        return f"at {begin} {first:%Z}"
    return f"from {begin} to {end} {datetime_from_ms(last_ms).astimezone(zone):%Z}"


def _moment(time_ms: int, zone: ZoneInfo, *, after_ms: int) -> str:
    """Return a moment in words, with its day only if that is not the day of an earlier moment."""
    moment, before = (datetime_from_ms(ms).astimezone(zone) for ms in (time_ms, after_ms))
    return moment.strftime(_TIME if moment.date() == before.date() else _DAY + _TIME)
