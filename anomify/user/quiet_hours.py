"""Quiet hours: local times at which a user gets no messages but those of a chosen severity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.creating import checked_timezone
from anomify.org.daily_times import (
    WEEKDAYS,
    DailyTimes,
    clock_time,
    minute_of_day,
    weekday_number,
)
from anomify.org.model import Org
from anomify.user.model import User

# From the least to the greatest.
SEVERITIES: Final = ("low", "medium", "high")
# Hours that adjoin are followed to their common end; not all days of a week are quiet all day.
_OCCURRENCES_FOLLOWED: Final = 2 * len(WEEKDAYS)
_NO_TIME: Final = "A time of the day is needed, such as 22:30."


@dataclass(frozen=True, slots=True)
class QuietHoursFields:
    """A change of quiet hours; None leaves a value unchanged.

    An empty `quiet_from` and `quiet_until` end them; an empty `timezone` is the org's, and an empty
    `except_severity` lets nothing through.
    """

    quiet_from: str | None = None
    quiet_until: str | None = None
    timezone: str | None = None
    # Names of the days on which they begin; none for every day.
    weekdays: Sequence[str] | None = None
    except_severity: str | None = None


def quiet_until(user: User, severity: str, at: datetime) -> datetime | None:
    """Return when the quiet hours end that hold back a message of this severity at a moment.

    None if it may be sent: outside of quiet hours, or if it is as severe as the user wants to be
    told of at any time.
    """
    lets_through = user.quiet_except_severity
    if lets_through is not None and SEVERITIES.index(severity) >= SEVERITIES.index(lets_through):
        return None
    hours = quiet_hours_of(user)
    if hours is None:
        return None
    until = at
    for _ in range(_OCCURRENCES_FOLLOWED):
        ends = [found.end for found in hours.near(until) if found.start <= until < found.end]
        if not ends:
            break
        until = max(ends)
    return until if until > at else None


def quiet_hours_of(user: User) -> DailyTimes | None:
    """Return the quiet hours of a user, None if there are none."""
    if user.quiet_from_minute is None or user.quiet_until_minute is None:
        return None
    return DailyTimes(
        user.quiet_from_minute,
        user.quiet_until_minute,
        user.quiet_timezone or "UTC",
        frozenset(user.quiet_weekdays or ()),
    )


def update_quiet_hours(user: User, org: Org, requested: QuietHoursFields) -> None:
    """Change the user's quiet hours.

    Raises `Invalid`, naming each field, for unusable values; then nothing is changed.
    """
    before = _audit_fields(user)
    problems: dict[str, str] = {}
    from_minute = _minute(requested.quiet_from, user.quiet_from_minute, "quiet_from", problems)
    until_minute = _minute(requested.quiet_until, user.quiet_until_minute, "quiet_until", problems)
    timezone = user.quiet_timezone or org.timezone
    if requested.timezone is not None:
        try:
            timezone = checked_timezone(requested.timezone.strip() or org.timezone)
        except Invalid as problem:
            problems["quiet_timezone"] = problem.message
    weekdays = list(user.quiet_weekdays or ())
    if requested.weekdays is not None:
        numbers = {weekday_number(name) for name in requested.weekdays}
        if None in numbers:
            problems["quiet_weekdays"] = f"Days of the week are needed, such as {WEEKDAYS[0]}."
        weekdays = sorted(number for number in numbers if number is not None)
    severity = user.quiet_except_severity
    if requested.except_severity is not None:
        severity = requested.except_severity.strip() or None
        if severity not in {*SEVERITIES, None}:
            problems["quiet_except_severity"] = (
                f"One of these is needed: {', '.join(SEVERITIES)}; or nothing."
            )
    if not problems and (from_minute is None) != (until_minute is None):
        missing = "quiet_from" if from_minute is None else "quiet_until"
        problems[missing] = "Quiet hours need both a beginning and an end."
    is_every_day = len(weekdays) in {0, len(WEEKDAYS)}
    if not problems and from_minute is not None and from_minute == until_minute and is_every_day:
        problems["quiet_until"] = (
            "This would be quiet at all times; switch mails off, or name days of the week."
        )
    if problems:
        raise Invalid("The quiet hours cannot be saved like this.", fields=problems)
    is_set = from_minute is not None
    user.quiet_from_minute, user.quiet_until_minute = from_minute, until_minute
    user.quiet_timezone = timezone if is_set else None
    user.quiet_weekdays = weekdays if is_set and not is_every_day else None
    user.quiet_except_severity = severity if is_set else None
    session().flush()
    after = _audit_fields(user)
    if before != after:
        record_audit(
            user.org_id,
            actor=user.name,
            action="user.update",
            target=user.email,
            before={"quiet_hours": before},
            after={"quiet_hours": after},
        )


def _minute(
    text: str | None, present: int | None, field: str, problems: dict[str, str]
) -> int | None:
    if text is None:
        return present
    if not text.strip():
        return None
    minute = minute_of_day(text)
    if minute is None:
        problems[field] = _NO_TIME
    return minute


def _audit_fields(user: User) -> dict[str, object] | None:
    hours = quiet_hours_of(user)
    if hours is None:
        return None
    return {
        "from": clock_time(hours.from_minute),
        "until": clock_time(hours.until_minute),
        "timezone": hours.timezone,
        "weekdays": [WEEKDAYS[day] for day in sorted(hours.weekdays)],
        "except_severity": user.quiet_except_severity,
    }
