"""Says in one plain sentence what is unusual about a datapoint."""

import math
from typing import Final

from anomify.detection.evidence import Evidence

_LARGE: Final = (
    (1e12, "trillion"),
    (1e9, "billion"),
    (1e6, "million"),
)
_MOST_DECIMALS: Final = 6  # smaller numbers are written with an exponent
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
    """Return one sentence on a point; the expected range is named wherever it was left.

    `amount` is the verdict's: seconds for FLAT, times as noisy for NOISIER, the value before for
    JUMP; the sentence does without it if it is NaN.

    >>> explain(Evidence.ABOVE, 412.3, 20.04, 80.2)
    '412 is above the expected 20 to 80.'
    >>> explain(Evidence.FLAT, 3.0, 2.0, 9.0, amount=1500.0)
    '3 has not changed for 25 minutes, longer than ever before.'
    """
    said = human_number(value, unit)
    expected = _range(lower, upper, unit)
    has_amount = math.isfinite(amount)
    match evidence:
        case Evidence.ABOVE:
            return f"{said} is above the expected {expected}."
        case Evidence.BELOW:
            return f"{said} is below the expected {expected}."
        case Evidence.JUMP:
            before = f" from {human_number(amount, unit)}" if has_amount else ""
            return f"It jumped{before} to {said} in one step, which is unusual here."
        case Evidence.NOISIER:
            times = f"{human_number(amount)} times as noisy as" if has_amount else "noisier than"
            return f"It is {times} usual, now at {said}."
        case Evidence.SHIFTED:
            return f"Its level has moved, now at {said}, within the expected {expected}."
        case Evidence.NOVEL:
            return f"{said} is a value that has not been seen for weeks."
        case Evidence.FLAT:
            since = f" for {human_duration(amount)}, longer than ever before" if has_amount else ""
            return f"{said} has not changed{since}."
        case _:
            return f"{said} is as expected, {expected}."


def how_much(evidence: Evidence, amount: float, unit: str | None = None) -> str:
    """Say how far a point lay off, by what its evidence is measured in; empty if it knows no size.

    `amount` is the distance from the range for ABOVE and BELOW, the step for JUMP, times for
    NOISIER and seconds for FLAT and SILENT.

    >>> how_much(Evidence.ABOVE, 331.8), how_much(Evidence.NOISIER, 3.21)
    ('332 above the range', '3.21 times as noisy')
    """
    match evidence:
        case Evidence.ABOVE:
            return f"{human_number(amount, unit)} above the range"
        case Evidence.BELOW:
            return f"{human_number(-amount, unit)} below the range"
        case Evidence.JUMP:
            way = "up" if amount > 0.0 else "down"
            return f"{human_number(abs(amount), unit)} {way} in one step"
        case Evidence.NOISIER:
            return f"{human_number(amount)} times as noisy"
        case Evidence.FLAT:
            return f"unchanged for {human_duration(amount)}"
        case Evidence.SILENT:
            return f"silent for {human_duration(amount)}"
        case _:
            return ""


def explain_silence(silent_seconds: float, step_seconds: float) -> str:
    """Return one sentence on a metric of which no point has come for so long.

    >>> explain_silence(400.0, 60.0)
    'No data has come for 7 minutes, though a point is due every 60 seconds.'
    """
    usual = f", though a point is due every {human_duration(step_seconds)}" if step_seconds else ""
    return f"No data has come for {human_duration(silent_seconds)}{usual}."


def _range(lower: float, upper: float, unit: str | None) -> str:
    """Name a range, its ends as finely as its width asks for."""
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
    """Return a number with three digits that matter, in words from a million on.

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
    """Return a duration in the largest unit of which it holds at least one and a half.

    >>> human_duration(1500.0), human_duration(5400.0), human_duration(60.0)
    ('25 minutes', '2 hours', '60 seconds')
    """
    for length, word in _DURATIONS:
        if seconds >= 1.5 * length:
            return f"{round(seconds / length)} {word}s"
    return "a moment"
