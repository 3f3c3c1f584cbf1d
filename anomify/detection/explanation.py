"""Writes one sentence about what is unusual about a datapoint, with numbers that agree.

Numbers are rounded for people, but never so that two different numbers look equal, or a value
outside its range looks as if it were inside: in such a case they are written with more digits.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from anomify.detection.evidence import Evidence

_LARGE: Final = ((12, "trillion"), (9, "billion"), (6, "million"))
_DIGITS: Final = 3  # significant digits of a number
_WIDTH_DIGITS: Final = 2  # of the width of a range, for its ends
_MOST_DECIMALS: Final = 6  # a number that needs more is written with an exponent,
_MOST_PLACES: Final = 18  # as is one with more digits before its decimal point
_MOST_EXTRA: Final = 16  # digits; with so many more, any two different floats differ
# A smaller ratio to the usual noise is not stated.
_LEAST_RATIO: Final = Decimal("1.05")
_DURATIONS: Final = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


@dataclass(frozen=True, slots=True)
class _Written:
    """A number as it is written, and the number that a reader takes from that."""

    text: str
    number: Decimal


def explain(
    evidence: Evidence,
    value: float,
    lower: float,
    upper: float,
    *,
    amount: float = math.nan,
    unit: str | None = None,
) -> str:
    """Return one sentence on a point: its value, its expected range and what is unusual about it.

    `value`, `lower`, `upper` and `amount` are those of the verdict, the first three in `unit`.
    `amount` is seconds for FLAT, the ratio to the usual noise for NOISIER, the value before for
    JUMP, the mean of the newest points for SHIFTED, the difference of the daily mean from last week
    for DRIFTING; NaN leaves it out of the sentence. Whether the
    value is above, below or within its range follows from the numbers, whatever the evidence.

    >>> explain(Evidence.ABOVE, 412.3, 20.04, 80.2)
    '412 is above the expected 20 to 80.'
    >>> explain(Evidence.JUMP, 71.0, 20.04, 80.2, amount=25.0)
    'It jumped from 25 to 71, within the expected 20 to 80.'
    >>> explain(Evidence.FLAT, 3.0, 2.0, 9.0, amount=1500.0)
    '3 has not changed for 25 minutes, longer than ever before, within the expected 2 to 9.'
    """
    shown, expected = value_and_range(value, lower, upper, unit)
    where = _place(value, lower, upper)
    place = f", {where} the expected {expected}" if expected else ""
    has_amount = math.isfinite(amount)
    match evidence:
        case Evidence.SILENT:
            return "No data has come."
        case Evidence.JUMP if is_jump(amount, value, lower, upper):
            before = human_number(amount, unit, _digits_beside(value, lower, upper))
            return f"It jumped from {before} to {shown}{place}."
        case Evidence.JUMP:
            return f"{shown} is far from the forecast by the points before it{place}."
        case Evidence.NOISIER:
            times = _times(amount)
            noisy = f"{times} as noisy as" if times else "noisier than"
            return f"It is {noisy} usual, now at {shown}{place}."
        case Evidence.SHIFTED:
            moved = _of_level(amount, lower, upper, unit)
            return f"{moved}; the value here is {shown}{place}."
        case Evidence.DRIFTING:
            by = f", now by {human_number(abs(amount), unit)}" if has_amount else ""
            return (
                "For three days its daily mean has moved farther from that of the same weekday a "
                f"week before{by}; the value here is {shown}{place}."
            )
        case Evidence.NOVEL:
            return f"{shown} has not been seen for weeks{place}."
        case Evidence.FLAT:
            how_long = f" for {human_duration(amount)}, longer than ever before"
            return f"{shown} has not changed{how_long if has_amount else ''}{place}."
        case Evidence.NONE if where == "within" and expected:
            return f"{shown} is as expected, {expected}."
        case _ if expected:
            return f"{shown} is {where} the expected {expected}."
        case _:
            return f"{shown} is not as expected."


def describe_amount(evidence: Evidence, amount: float, unit: str | None = None) -> str:
    """Return in words how unusual a point is; empty for evidence that has no size.

    `amount` is the distance from the range for ABOVE and BELOW, the step for JUMP, the distance of
    the mean from the usual level for SHIFTED and from last week for DRIFTING (all of these in
    `unit`), the ratio to the usual noise
    for NOISIER, and seconds for FLAT and SILENT.

    >>> describe_amount(Evidence.ABOVE, 331.8), describe_amount(Evidence.NOISIER, 3.21)
    ('332 above the range', '3.21 times as noisy')
    """
    if not math.isfinite(amount):
        return ""
    size = human_number(abs(amount), unit)
    match evidence:
        case Evidence.ABOVE:
            return f"{size} above the range"
        case Evidence.BELOW:
            return f"{size} below the range"
        case Evidence.JUMP:
            return f"{'up' if amount > 0.0 else 'down'} by {size}"
        case Evidence.SHIFTED:
            return f"{size} {'above' if amount > 0.0 else 'below'} the usual level"
        case Evidence.DRIFTING:
            return f"{size} {'above' if amount > 0.0 else 'below'} last week"
        case Evidence.NOISIER:
            times = _times(amount)
            return f"{times} as noisy" if times else ""
        case Evidence.FLAT:
            return f"unchanged for {human_duration(amount)}"
        case Evidence.SILENT:
            return f"silent for {human_duration(amount)}"
        case _:
            return ""


def explain_silence(step_seconds: float) -> str:
    """Return one sentence on a metric that has stopped reporting.

    `step_seconds` is its usual time from point to point, 0 where that is not known.

    >>> explain_silence(60.0)
    'No data has come, though a point is due every 60 seconds.'
    """
    usual = f", though a point is due every {human_duration(step_seconds)}" if step_seconds else ""
    return f"No data has come{usual}."


def is_jump(before: float, after: float, lower: float, upper: float) -> bool:
    """Return whether two values of a metric with this expected range differ as they are written.

    >>> is_jump(180e6, 207e6, 150e6, 230e6), is_jump(206.6e6, 207.4e6, 150e6, 230e6)
    (True, False)
    """
    if not (math.isfinite(before) and math.isfinite(after)):
        return False
    digits = _digits_beside(after, lower, upper)
    return _significant(before, digits).number != _significant(after, digits).number


def usual_level(lower: float, upper: float) -> float:
    """Return the value that was expected, the middle of the range; NaN where it is not known.

    A range is cut off at zero for a metric that is never negative: then its middle is not what was
    expected.

    >>> usual_level(20.0, 80.0)
    50.0
    """
    return math.nan if lower == 0.0 or upper == 0.0 else lower / 2 + upper / 2


def value_and_range(
    value: float, lower: float, upper: float, unit: str | None = None
) -> tuple[str, str]:
    """Return a value and its expected range in words; the range is empty where it is not finite.

    The value is outside of the range as they are written exactly where it is. The ends have two
    significant digits of the width of the range, or as many more as that takes.

    >>> value_and_range(412.3, 20.04, 80.2), value_and_range(80.4, 20.04, 80.2, "ms")
    (('412', '20 to 80'), ('80.4 ms', '20 to 80 ms'))
    """
    shown, low, high = value_and_ends(value, lower, upper)
    suffix = f" {unit}" if unit else ""
    expected = high if low == high else f"{low} to {high}"
    return f"{shown}{suffix}", f"{expected}{suffix}" if expected else ""


def value_and_ends(value: float, lower: float, upper: float) -> tuple[str, str, str]:
    """Return a value and the two ends of its range as `value_and_range` does, each by itself.

    >>> value_and_ends(412.3, 20.04, 80.2), value_and_ends(412.3, float("-inf"), 80.2)
    (('412', '20', '80'), ('412', '', ''))
    """
    if not (math.isfinite(value) and math.isfinite(lower) and math.isfinite(upper)):
        return human_number(value), "", ""
    place = _place(value, lower, upper)
    digits = _digits_beside(value, lower, upper)
    for extra in range(_MOST_EXTRA):
        shown = _significant(value, digits + extra)
        low, high = _ends(lower, upper, extra)
        is_one = low.number == high.number
        if _place(shown.number, low.number, high.number) == place and is_one == (lower == upper):
            break
    return shown.text, low.text, high.text


def human_number(value: float, unit: str | None = None, digits: int = _DIGITS) -> str:
    """Return a number with so many significant digits, with a word from a million on.

    >>> human_number(1234567.0), human_number(0.012345), human_number(99.96, "%")
    ('1.23 million', '0.0123', '100 %')
    """
    suffix = f" {unit}" if unit else ""
    if not math.isfinite(value):
        return f"{'no number' if math.isnan(value) else value}{suffix}"
    return f"{_significant(value, digits).text}{suffix}"


def human_duration(seconds: float) -> str:
    """Return a duration in words, in the largest unit of which it has at least one and a half.

    Infinite seconds are "a long time", and fewer than one and a half of the smallest unit (or NaN)
    "a moment".

    >>> human_duration(1500.0), human_duration(5400.0), human_duration(60.0)
    ('25 minutes', '2 hours', '60 seconds')
    """
    if seconds == math.inf:
        return "a long time"
    for length, word in _DURATIONS:
        if seconds >= 1.5 * length:
            return f"{round(seconds / length)} {word}s"
    return "a moment"


def _place(value: float | Decimal, lower: float | Decimal, upper: float | Decimal) -> str:
    """Return where a value lies in its range."""
    if value > upper:
        return "above"
    return "below" if value < lower else "within"


def _times(ratio: float) -> str:
    """Return a ratio in words; empty where it is too close to one, or not known."""
    if not math.isfinite(ratio) or _significant(ratio, _DIGITS).number < _LEAST_RATIO:
        return ""
    return f"{human_number(ratio)} times"


def _of_level(mean: float, lower: float, upper: float, unit: str | None) -> str:
    """Return in words to where the mean of the newest points has moved."""
    if not math.isfinite(mean):
        return "The newest points are all off to one side"
    before = usual_level(lower, upper)
    digits = _digits_beside(mean, lower, upper)
    if not is_jump(before, mean, lower, upper):
        return f"Its level has moved, to {human_number(mean, unit, digits)} on average"
    start, end = (human_number(level, unit, digits) for level in (before, mean))
    return f"Its level has moved from the usual {start} to {end} on average"


def _digits_beside(value: float, lower: float, upper: float) -> int:
    """Return the significant digits of a value: near its range, as many decimals as the ends."""
    decimals = _decimals_of_range(lower, upper)
    if decimals is None or not value or max(lower - value, value - upper) > upper - lower:
        return _DIGITS
    return min(max(_DIGITS, 1 + Decimal(value).adjusted() + decimals), _MOST_PLACES)


def _decimals_of_range(lower: float, upper: float) -> int | None:
    """Return the decimals that give the width two digits; None where that is of no use."""
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        return None
    decimals = _WIDTH_DIGITS - 1 - (Decimal(upper) - Decimal(lower)).adjusted()
    is_plain = max(abs(lower), abs(upper)) < 10.0 ** _LARGE[-1][0]
    return max(0, decimals) if is_plain and decimals <= _MOST_DECIMALS else None


def _ends(lower: float, upper: float, extra: int) -> tuple[_Written, _Written]:
    """Return the ends of a range, with two significant digits of its width and `extra` ones."""
    decimals = _decimals_of_range(lower, upper)
    if decimals is None:
        return _significant(lower, _DIGITS + extra), _significant(upper, _DIGITS + extra)
    return _fixed(Decimal(lower), decimals + extra), _fixed(Decimal(upper), decimals + extra)


def _significant(value: float, digits: int) -> _Written:
    """Return a finite number with so many significant digits, without zeros at the end."""
    exact = Decimal(value)
    if not exact:
        return _Written("0", exact)
    decimals = digits - 1 - exact.adjusted()
    # Rounded first: 999,999 is a million.
    rounded = Decimal(f"{exact:.{digits - 1}e}")
    if exact.adjusted() >= _MOST_PLACES or decimals > _MOST_DECIMALS + digits - _DIGITS:
        return _Written(_with_exponent(rounded), rounded)
    for power, word in _LARGE:
        if rounded.adjusted() >= power:
            scaled = exact.scaleb(-power)
            part = _fixed(scaled, max(0, digits - 1 - scaled.adjusted()))
            return _Written(f"{part.text} {word}", part.number.scaleb(power))
    return _fixed(exact, max(0, decimals))


def _with_exponent(value: Decimal) -> str:
    power = value.adjusted()
    return f"{value.scaleb(-power).normalize():f}e{power:+03d}"


def _fixed(value: Decimal, decimals: int) -> _Written:
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    text = "0" if text == "-0" else text
    return _Written(text, Decimal(text.replace(",", "")))
