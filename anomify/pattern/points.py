"""The points of a pattern: as judged, cut out of a metric's series, and stored with the pattern."""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np

from anomify.clock import datetime_from_ms
from anomify.detection.evidence import Evidence
from anomify.detection.excursion import CONTEXT, Excursion, excess_of
from anomify.metric.downsample import downsample_by_step
from anomify.metric.reading import rate_of
from anomify.pattern.model import Pattern, PatternSeries
from anomify.series import Judgements, Series
from anomify.storage.codec import decode_series, encode_series

# A window is stored with about so many points: each step keeps its least and its greatest one.
WINDOW_STEPS = 1440


@dataclass(frozen=True, slots=True)
class Onset:
    """The beginning of an excursion: what was recorded at its first point."""

    started_ms: int
    lower: float
    upper: float
    evidence: Evidence
    alert: float
    # The last point over the threshold, as far as that is known.
    last_over_ms: int = 0


def judged_series(series: Series, *, is_counter: bool) -> Series:
    """Return a series in the unit in which it is judged: a counter's increase per second."""
    return rate_of(series) if is_counter else series


def evidence_of(name: str) -> Evidence:
    """Return the evidence that is stored under this name; NONE for one of an older version."""
    return Evidence.__members__.get(name.upper(), Evidence.NONE)


def local_time(time_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return the second of the local day and the day of the week, 0 on Monday.

    >>> local_time(1_795_867_200_000, ZoneInfo("Europe/Berlin"))
    (46800, 5)
    """
    local = datetime_from_ms(time_ms).astimezone(zone)
    return local.hour * 3600 + local.minute * 60 + local.second, local.weekday()


def excursion_in(series: Series, onset: Onset, step_ms: int, zone: ZoneInfo) -> Excursion | None:
    """Return the excursion of a judged series that begins at this onset, as far as it has run.

    The expected range is the one stored with the first point, else the one of `onset`. None where
    the series has no point at that time.
    """
    row = int(np.searchsorted(series.times, onset.started_ms))
    if row == len(series) or int(series.times[row]) != onset.started_ms:
        return None
    lower, upper = float(series.judgements.lowers[row]), float(series.judgements.uppers[row])
    if np.isnan(lower) or np.isnan(upper):
        lower, upper = onset.lower, onset.upper
    seconds, weekday = local_time(onset.started_ms, zone)
    return Excursion.at(
        row,
        max(step_ms, 1),
        series.times,
        series.values,
        lower,
        upper,
        onset.evidence,
        onset.alert,
        seconds,
        weekday,
        last_over_ms=onset.last_over_ms,
    )


def context_ms(step_ms: int) -> int:
    """Return how far before an onset points are read, so that there are enough despite gaps."""
    return 2 * (CONTEXT + 2) * max(step_ms, 1)


def series_of(excursion: Excursion, window: Series, duration_seconds: int) -> PatternSeries:
    """Return the row with the points of a pattern; the id of the pattern is still missing."""
    step_ms = max(duration_seconds * 1000 // WINDOW_STEPS, 1)
    stored = downsample_by_step(window, step_ms) if len(window) > WINDOW_STEPS else window
    return PatternSeries(
        excursion_points=encode_excursion(excursion),
        context=excursion.context,
        window_points=encode_series(stored),
        window_step_ms=max(step_ms if len(window) > WINDOW_STEPS else excursion.step_ms, 1),
    )


def encode_excursion(excursion: Excursion) -> bytes:
    """Return the points of an excursion and those before it as bytes."""
    count = len(excursion.times)
    return encode_series(Series(excursion.times, excursion.values, Judgements.none(count)))


def window_of(stored: PatternSeries) -> Series:
    """Return the points of a pattern's window, with their expected ranges."""
    return decode_series(stored.window_points)


def excursion_of(pattern: Pattern, stored: PatternSeries, zone: ZoneInfo) -> Excursion:
    """Return the excursion of a pattern, with the time of day in this time zone."""
    points = decode_series(stored.excursion_points)
    seconds, weekday = local_time(pattern.started_ms, zone)
    return Excursion(
        step_ms=pattern.step_ms,
        started_ms=pattern.started_ms,
        times=points.times,
        values=points.values,
        context=stored.context,
        lower=pattern.expected_lower,
        upper=pattern.expected_upper,
        evidence=evidence_of(pattern.evidence),
        alert=pattern.alert,
        local_seconds=seconds,
        weekday=weekday,
        is_complete=not pattern.is_growing,
    )


def without_earlier(excursion: Excursion) -> Excursion:
    """Return an excursion without the points before it that were outside of its range, too.

    Sixty points before the onset are days of a metric with a point an hour: the job of the night
    before is no part of the shape. Where most of them are outside, all are kept.
    """
    values = excursion.values.copy()
    before = values[: excursion.context]
    is_outside = excess_of(before, excursion.lower, excursion.upper) != 0.0
    if not is_outside.any() or 2 * int(is_outside.sum()) > len(before):
        return excursion
    before[is_outside] = np.nan
    return replace(excursion, values=values)


def farthest_value(excursion: Excursion) -> float:
    """Return the value of an excursion that is farthest outside of the range it left."""
    values = excursion.values[excursion.context :]
    outside = np.maximum(values - excursion.upper, excursion.lower - values)
    return float(values[int(np.argmax(np.nan_to_num(outside, nan=-np.inf)))])
