"""What a silence is about, and when it is in force, in words for pages and messages."""

from anomify.org.daily_times import LAST_DAY, WEEKDAYS, clock_time
from anomify.silence.affected import split_chips
from anomify.silence.model import Silence

_DATES_SHOWN = 3


def affected_in_words(silence: Silence) -> str:
    """Return which metrics a silence is about: env="staging", with cpu, without disk.

    With chips alone it begins with "Names".
    """
    if silence.is_for_all:
        return "All metrics"
    chips, no_chips = split_chips(silence.chips)
    parts = [
        *([silence.metric] if silence.metric else []),
        *silence.matchers,
        *(f"with {chip}" for chip in chips),
        *(f"without {chip}" for chip in no_chips),
    ]
    words = ", ".join(parts)
    return words if silence.metric or silence.matchers else f"Names {words}"


def times_in_words(silence: Silence) -> str:
    """Return the times at which a silence recurs; an empty text if it does not.

    For example: monday and friday, 22:00 to 06:00 (Europe/Berlin).
    """
    daily = silence.daily
    if daily is None:
        return ""
    days = [WEEKDAYS[day].capitalize() for day in silence.weekdays]
    days += [
        "the last day of the month" if day == LAST_DAY else f"day {day} of the month"
        for day in silence.month_days
    ]
    days += silence.dates[:_DATES_SHOWN]
    if (more := len(silence.dates) - _DATES_SHOWN) > 0:
        days.append(f"{more} more dates")
    first, last = ", ".join(days[:-1]), "".join(days[-1:])
    when = f"{first} and {last}" if first else last or "Every day"
    return (
        f"{when}, {clock_time(daily.from_minute)} to {clock_time(daily.until_minute)}"
        f" ({daily.timezone})"
    )
