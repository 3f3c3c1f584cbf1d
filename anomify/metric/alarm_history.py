"""The alarm history of a metric: how often strong deviations came, and what is reported now."""

from datetime import datetime

from anomify.detection.alarm_history_summary import (
    NOTICED,
    AlarmHistorySummary,
    summarise_alarm_history,
)
from anomify.detection.threshold import THRESHOLDS, Severity
from anomify.metric.state import find_state
from anomify.metric.status import MetricStatus

# A severity of which so many deviations came is mentioned beside an anomaly.
_FEWEST = 2


def find_alarm_history(status: MetricStatus, at: datetime) -> AlarmHistorySummary | None:
    """Return the alarm history of a metric at this time, None where it is not judged.

    It is computed from the last stored state of the engine, which is at most a quarter of an hour
    old.
    """
    found = find_state(status.metric.id) if status.is_judged else None
    return None if found is None else summarise_alarm_history(*found, at.timestamp())


def alarm_history_sentence(history: AlarmHistorySummary | None) -> str:
    """Return what the history changes, in two sentences; empty where it changes nothing.

    Of a metric that is new this is not to be shown: its age changes more.

    >>> seen = {Severity.LOW: 8.2, Severity.MEDIUM: 4.7, Severity.HIGH: 0.3}
    >>> alarm_history_sentence(AlarmHistorySummary(seen, 6.05, 7.75, 6.05))
    'Deviations as strong as a low alert came about 8 times in the last three weeks (as a medium \
one: 5, as a high one: 0). A single point is therefore reported upwards from strength 7.8 on and \
downwards from strength 6.05 on; usual is 6.05.'
    """
    if history is None or not history.is_lowered or not round(history.seen[Severity.LOW]):
        return ""
    low, medium, high = (round(history.seen[severity]) for severity in Severity)
    return (
        f"Deviations as strong as a low alert came about {_times(low)} in the last three weeks "
        f"(as a medium one: {medium}, as a high one: {high}). A single point is therefore "
        f"{_reported(history)}; usual is {history.usual_from:g}."
    )


def seen_lately_sentence(
    history: AlarmHistorySummary | None, severity: str, *, is_above: bool, is_below: bool
) -> str:
    """Return how often deviations as strong as an anomaly of this severity came lately.

    Empty where one that is just as strong would be reported. An anomaly that is neither above nor
    below its range is compared with both directions.

    >>> seen = {Severity.LOW: 9.2, Severity.MEDIUM: 1.2, Severity.HIGH: 0.3}
    >>> history = AlarmHistorySummary(seen, 6.05, 7.75, 6.05)
    >>> seen_lately_sentence(history, "low", is_above=True, is_below=False)
    'As strong as a low alert came about 9 deviations in the last three weeks: only stronger ones \
are reported.'
    >>> seen_lately_sentence(history, "low", is_above=False, is_below=True)
    ''
    """
    if history is None or not history.is_lowered:
        return ""
    of_severity = Severity[severity.upper()]
    seen, threshold = round(history.seen[of_severity]), THRESHOLDS[of_severity]
    compared = [history.up_from] if is_above else [history.down_from]
    if is_above == is_below:
        compared = [history.up_from, history.down_from]
    if seen < _FEWEST or any(one is not None and one <= threshold + NOTICED for one in compared):
        return ""
    return (
        f"As strong as a {severity} alert came about {seen} deviations in the last three weeks: "
        "only stronger ones are reported."
    )


def _reported(history: AlarmHistorySummary) -> str:
    """Return from which strength a single point is reported in each direction."""
    up_from, down_from = history.up_from, history.down_from
    if up_from is None and down_from is None:
        return "not reported, however strong it is"
    up, down = (
        "not at all" if one is None else f"from strength {_strength(one, history)} on"
        for one in (up_from, down_from)
    )
    return f"reported upwards {up} and downwards {down}"


def _strength(strength: float, history: AlarmHistorySummary) -> str:
    is_usual = strength - history.usual_from <= NOTICED
    return f"{history.usual_from:g}" if is_usual else f"{strength:.1f}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
