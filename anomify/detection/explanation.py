"""Writes one sentence about what is unusual about a datapoint."""

import math
from typing import Final

from anomify.detection.evidence import Evidence

_LARGE: Final = (
    (1e12, "trillion"),
    (1e9, "billion"),
    (1e6, "million"),
)
_MOST_DECIMALS: Final = 6  # a number that needs more is written with an exponent
_DURATIONS: Final = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def explain(
    evidence: Evidence,
    value: float,
    lower: float,
    upper: float,
    *,
    amount: float = math.nan,
    unit: str | None = None,
) -> str:
    """Return one sentence on a point; it contains the expected range where the value left it.

    `value`, `lower`, `upper` and `amount` are those of the verdict, the first three in `unit`.
    `amount` is seconds for FLAT, the ratio to the usual noise for NOISIER, the value before for
    JUMP; NaN leaves it out of the sentence.

    >>> explain(Evidence.ABOVE, 412.3, 20.04, 80.2)
    '412 is above the expected 20 to 80.'
    >>> explain(Evidence.FLAT, 3.0, 2.0, 9.0, amount=1500.0)
    '3 has not changed for 25 minutes, longer than ever before.'
    """
    shown = human_number(value, unit)
    expected = _range(lower, upper, unit)
    has_amount = math.isfinite(amount)
    match evidence:
        case Evidence.ABOVE:
            return f"{shown} is above the expected {expected}."
        case Evidence.BELOW:
            return f"{shown} is below the expected {expected}."
        case Evidence.JUMP:
            before = f" from {human_number(amount, unit)}" if has_amount else ""
            return f"It jumped{before} to {shown} in one step, which is unusual here."
        case Evidence.NOISIER:
            times = f"{human_number(amount)} times as noisy as" if has_amount else "noisier than"
            return f"It is {times} usual, now at {shown}."
        case Evidence.SHIFTED:
            return f"Its level has moved, now at {shown}, within the expected {expected}."
        case Evidence.NOVEL:
            return f"{shown} is a value that has not been seen for weeks."
        case Evidence.FLAT:
            since = f" for {human_duration(amount)}, longer than ever before" if has_amount else ""
            return f"{shown} has not changed{since}."
        case _:
            return f"{shown} is as expected, {expected}."


def describe_amount(evidence: Evidence, amount: float, unit: str | None = None) -> str:
    """Return in words how unusual a point is; empty for evidence that has no size.

    `amount` is the distance from the range for ABOVE and BELOW, the step for JUMP (all three in
    `unit`), the ratio to the usual noise for NOISIER, and seconds for FLAT and SILENT.

    >>> describe_amount(Evidence.ABOVE, 331.8), describe_amount(Evidence.NOISIER, 3.21)
    ('332 above the range', '3.21 times as noisy')
    """
    match evidence:
        case Evidence.ABOVE:
            return f"{human_number(amount, unit)} above the range"
        case Evidence.BELOW:
            return f"{human_number(-amount, unit)} below the range"
        case Evidence.JUMP:
            direction = "up" if amount > 0.0 else "down"
            return f"{human_number(abs(amount), unit)} {direction} in one step"
        case Evidence.NOISIER:
            return f"{human_number(amount)} times as noisy"
        case Evidence.FLAT:
            return f"unchanged for {human_duration(amount)}"
        case Evidence.SILENT:
            return f"silent for {human_duration(amount)}"
        case _:
            return ""


def explain_silence(silent_seconds: float, step_seconds: float) -> str:
    """Return one sentence on a metric without points for `silent_seconds`.

    `step_seconds` is its usual time from point to point, 0 where that is not known.

    >>> explain_silence(400.0, 60.0)
    'No data has come for 7 minutes, though a point is due every 60 seconds.'
    """
    usual = f", though a point is due every {human_duration(step_seconds)}" if step_seconds else ""
    return f"No data has come for {human_duration(silent_seconds)}{usual}."


def _range(lower: float, upper: float, unit: str | None) -> str:
    """Return a range in words, rounded to two significant digits of its width."""
    width = upper - lower
    if not (math.isfinite(width) and width > 0.0) or max(abs(lower), abs(upper)) >= _LARGE[-1][0]:
        low = human_number(lower)
        high = human_number(upper, unit)
        return high if low == human_number(upper) else f"{low} to {high}"
    decimals = max(0, 1 - math.floor(math.log10(width)))
    suffix = f" {unit}" if unit else ""
    if decimals > _MOST_DECIMALS:
        return f"{lower:.3g} to {upper:.3g}{suffix}"
    return f"{_fixed(lower, decimals)} to {_fixed(upper, decimals)}{suffix}"


def human_number(value: float, unit: str | None = None) -> str:
    """Return a number with three significant digits, with a word from a million on.

    >>> human_number(1234567.0), human_number(0.012345), human_number(99.96, "%")
    ('1.23 million', '0.0123', '100 %')
    """
    suffix = f" {unit}" if unit else ""
    if not math.isfinite(value):
        return f"{value}{suffix}"
    for size, word in _LARGE:
        if abs(value) >= 0.9995 * size:
            return f"{_three_digits(value / size)} {word}{suffix}"
    return f"{_three_digits(value)}{suffix}"


def _three_digits(value: float) -> str:
    if value == 0.0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return _fixed(value, decimals) if decimals <= _MOST_DECIMALS else f"{value:.2e}"


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def human_duration(seconds: float) -> str:
    """Return a duration in words, in the largest unit of which it has at least one and a half.

    >>> human_duration(1500.0), human_duration(5400.0), human_duration(60.0)
    ('25 minutes', '2 hours', '60 seconds')
    """
    for length, word in _DURATIONS:
        if seconds >= 1.5 * length:
            return f"{round(seconds / length)} {word}s"
    return "a moment"
