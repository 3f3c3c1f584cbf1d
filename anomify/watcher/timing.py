"""The requested times, threshold and summary of a watcher: checked, and stored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from anomify.clock import now
from anomify.watcher.model import Watcher
from anomify.watcher.queries import ids_of_users
from anomify.watcher.report_schedule import HOW, read_schedule
from anomify.watcher.threshold import (
    FUNCTION_SECONDS_MAX,
    FUNCTIONS,
    LAST,
    NO_DATA_LEAST_SECONDS,
    NO_DATA_MOST_SECONDS,
    PERCENT,
    TIMES_MAX,
    Operator,
)

DAY_SECONDS: Final = 86_400
# By field: the least and the most seconds, apart from 0 for a field that may be switched off.
SECONDS_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "group_wait_seconds": (0, 3600),
    "sustain_seconds": (0, DAY_SECONDS),
    "group_interval_seconds": (60, DAY_SECONDS),
    "recover_seconds": (0, DAY_SECONDS),
    "reminder_seconds": (300, 31 * DAY_SECONDS),
}
REPORT_USERS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class RequestedTiming:
    """When a watcher is to notify; None leaves a field as it is."""

    group_wait_seconds: int | None = None
    sustain_seconds: int | None = None
    group_interval_seconds: int | None = None
    recover_seconds: int | None = None
    # 0 for no reminders.
    reminder_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class RequestedReport:
    """When a summary is to be sent, and to whom; an empty frequency for none."""

    frequency: str | None = None
    user_ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class RequestedThreshold:
    """What a watcher is to compare; an empty operator makes it watch anomalies again."""

    operator: str | None = None
    value: float | None = None
    times_in_a_row: int | None = None
    function: str | None = None
    function_seconds: int | None = None


def timing_problems(requested: RequestedTiming) -> dict[str, str]:
    """Return what is wrong with the requested times, by field."""
    problems = {}
    for name, (least, most) in SECONDS_LIMITS.items():
        seconds = getattr(requested, name)
        is_off = name == "reminder_seconds" and seconds == 0
        if seconds is not None and not is_off and not least <= seconds <= most:
            problems[name] = f"From {least:,} to {most:,} seconds are possible."
            if name == "reminder_seconds":
                problems[name] += " 0 sends no reminders."
    return problems


def store_timing(watcher: Watcher, requested: RequestedTiming) -> None:
    """Store the requested times, which have no problems."""
    for name in SECONDS_LIMITS:
        seconds = getattr(requested, name)
        if seconds is not None:
            setattr(watcher, name, seconds)
    if requested.reminder_seconds == 0:
        watcher.reminder_seconds = None


def report_problems(
    org_id: int, watcher: Watcher | None, requested: RequestedReport
) -> dict[str, str]:
    """Return what is wrong with the requested summary, by field."""
    frequency, user_ids = requested.frequency, requested.user_ids
    if frequency is None:
        frequency = None if watcher is None else watcher.summary_report_frequency
    elif frequency.strip() and read_schedule(frequency) is None:
        return {"summary_report_frequency": HOW}
    if user_ids is None:
        user_ids = [] if watcher is None else watcher.summary_report_user_ids or []
    elif len(user_ids) > REPORT_USERS_MAX:
        return {"summary_report_user_ids": f"At most {REPORT_USERS_MAX} people are possible."}
    elif unknown := set(user_ids) - ids_of_users(org_id, user_ids):
        named = ", ".join(map(str, sorted(unknown)))
        return {"summary_report_user_ids": f"Not users of your org: {named}."}
    if frequency and frequency.strip() and not user_ids and requested != RequestedReport():
        return {"summary_report_user_ids": "A summary needs at least one recipient."}
    return {}


def store_report(watcher: Watcher, requested: RequestedReport) -> None:
    """Store the requested summary, which has no problems; the first one covers what comes now."""
    if requested.user_ids is not None:
        watcher.summary_report_user_ids = list(dict.fromkeys(requested.user_ids))
    if requested.frequency is None:
        return
    schedule = read_schedule(requested.frequency)
    text = None if schedule is None else schedule.text
    if text != watcher.summary_report_frequency:
        watcher.summary_report_frequency = text
        watcher.reported_at = None if text is None else now()


def threshold_problems(watcher: Watcher | None, requested: RequestedThreshold) -> dict[str, str]:
    """Return what is wrong with the requested threshold, by field."""
    if requested == RequestedThreshold() or requested.operator == "":
        return {}
    wanted = _merged(watcher, requested)
    if wanted.operator not in list(Operator):
        return {"operator": f"One of {', '.join(Operator)} is needed."}
    problems = {}
    if problem := _value_problem(Operator(wanted.operator), wanted.value):
        problems["value"] = problem
    times = 1 if wanted.times_in_a_row is None else wanted.times_in_a_row
    if not 1 <= times <= TIMES_MAX:
        problems["times_in_a_row"] = f"From 1 to {TIMES_MAX} points are possible."
    function = wanted.function or LAST
    if function not in FUNCTIONS:
        problems["function"] = f"One of {', '.join(FUNCTIONS)} is needed."
    seconds = wanted.function_seconds or 0
    if function != LAST and not 1 <= seconds <= FUNCTION_SECONDS_MAX:
        problems["function_seconds"] = (
            f"The function {function} needs from 1 to {FUNCTION_SECONDS_MAX:,} seconds."
        )
    elif seconds < 0 or seconds > FUNCTION_SECONDS_MAX:
        problems["function_seconds"] = f"At most {FUNCTION_SECONDS_MAX:,} seconds are possible."
    if wanted.operator == Operator.NO_DATA:
        if times != 1:
            problems["times_in_a_row"] = "no_data is not about points; leave it out."
        if function != LAST:
            problems["function"] = "no_data is not about values; leave it out."
    if wanted.operator == Operator.DROP_OFF and function != LAST:
        problems["function"] = "drop_off compares single points; leave it out."
    return problems


def store_threshold(watcher: Watcher, requested: RequestedThreshold) -> None:
    """Store the requested threshold, which has no problems."""
    if requested == RequestedThreshold():
        return
    if requested.operator == "":
        watcher.threshold_operator = watcher.threshold_value = watcher.threshold_since = None
        return
    wanted = _merged(watcher, requested)
    watcher.threshold_operator = wanted.operator
    watcher.threshold_value = wanted.value
    watcher.threshold_times = wanted.times_in_a_row or 1
    watcher.threshold_function = wanted.function or LAST
    watcher.threshold_function_seconds = (
        0 if watcher.threshold_function == LAST else wanted.function_seconds or 0
    )


def _merged(watcher: Watcher | None, requested: RequestedThreshold) -> RequestedThreshold:
    """Return the request with what it leaves out as it is."""
    if watcher is None or watcher.threshold_operator is None:
        return requested
    if requested.operator not in {None, watcher.threshold_operator}:
        # A value of another operator has another meaning.
        return requested
    stored = RequestedThreshold(
        watcher.threshold_operator,
        watcher.threshold_value,
        watcher.threshold_times,
        watcher.threshold_function,
        watcher.threshold_function_seconds,
    )
    given = {
        name: getattr(requested, name)
        for name in RequestedThreshold.__dataclass_fields__
        if getattr(requested, name) is not None
    }
    return replace(stored, **given)


def _value_problem(operator: Operator, value: float | None) -> str | None:
    if value is None or not math.isfinite(value):
        return "A number is needed."
    if operator is Operator.DROP_OFF and not 0 < value <= PERCENT:
        return "The drop in percent is needed: more than 0, at most 100."
    if operator is Operator.NO_DATA and not NO_DATA_LEAST_SECONDS <= value <= NO_DATA_MOST_SECONDS:
        return (
            f"Without data for so many seconds: {NO_DATA_LEAST_SECONDS} to"
            f" {NO_DATA_MOST_SECONDS:,} are possible."
        )
    return None
