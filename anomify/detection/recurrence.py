"""Finds deviations that recur at the same time of the day or of the week, such as scheduled jobs.

A day has 96 parts and a week 336. For each part the largest deviation that left the range is kept,
of the newest visit and of those before. A deviation is regular if one nearly as large, to the same
side, has occurred in this part or in one beside it on three of the last five days, or in two of
the last three weeks.
"""

import math
from typing import Any, Final

from anomify.detection.band import DAY_SECONDS, MONDAY_SECONDS, WEEK_SECONDS
from anomify.detection.jit import Slot, compiled
from anomify.detection.state import DAY_PARTS, DAYS_KEPT, WEEK_PARTS, WEEKS_KEPT

EXCURSION_SCALES: Final = 4.0
"""A deviation of so many long scales has left the range and is remembered."""

_DAYS_NEEDED: Final = 3
_WEEKS_NEEDED: Final = 2
_LARGER: Final = 1.3  # a regular deviation may be so much larger than those before
_WEEK_SHARE: Final = 0.3  # of a part of the week that the deviations in it must last to be kept
_DAY_PART_SECONDS: Final = DAY_SECONDS / DAY_PARTS
_WEEK_PART_SECONDS: Final = WEEK_SECONDS / WEEK_PARTS
# A deviation is stored as its sign and its logarithm, in 16 bits.
_STEPS_AN_OCTAVE: Final = 50.0
_OCTAVES: Final = 320.0
_SMALLEST: Final = 1e-90


@compiled
def enter_parts(slot: Slot, seconds: float) -> None:
    """Select the parts of the day and week of a time in unix seconds; a new part begins a visit."""
    part = int((seconds % DAY_SECONDS) / _DAY_PART_SECONDS)
    if part == slot.day_part and seconds - slot.day_part_start < _DAY_PART_SECONDS:
        return
    slot.day_part = part
    slot.day_part_start = seconds - seconds % _DAY_PART_SECONDS
    for day in range(DAYS_KEPT - 1, 0, -1):
        slot.day_excursions[part, day] = slot.day_excursions[part, day - 1]
    slot.day_excursions[part, 0] = 0
    part = int(((seconds + MONDAY_SECONDS) % WEEK_SECONDS) / _WEEK_PART_SECONDS)
    if part == slot.week_part and seconds - slot.week_part_start < _WEEK_PART_SECONDS:
        return
    slot.week_part = part
    slot.week_part_start = seconds - seconds % _WEEK_PART_SECONDS
    slot.points_out = 0
    for week in range(WEEKS_KEPT - 1, 0, -1):
        slot.week_excursions[part, week] = slot.week_excursions[part, week - 1]
    slot.week_excursions[part, 0] = 0


@compiled
def is_regular(slot: Slot, deviation: float) -> bool:
    """Return whether such a deviation recurs at this time of the day or week."""
    sign = 1 if deviation > 0.0 else -1
    code = max(
        _usual(slot.day_excursions, slot.day_part, DAYS_KEPT, _DAYS_NEEDED, sign),
        _usual(slot.week_excursions, slot.week_part, WEEKS_KEPT, _WEEKS_NEEDED, sign),
    )
    if code == 0:
        return False
    size = 2.0 ** ((code - 1) / _STEPS_AN_OCTAVE - _OCTAVES)
    return bool(abs(deviation) <= _LARGER * size)


@compiled
def learn_excursion(slot: Slot, deviation: float, step: float) -> None:
    """Remember a deviation that left the range, if it is the largest of its visit.

    `step` is the time from point to point in seconds. A week keeps only deviations that have lasted
    for a part of the visit: single points outside the range occur in any two weeks by chance.
    """
    code = _code(deviation)
    if abs(code) > abs(slot.day_excursions[slot.day_part, 0]):
        slot.day_excursions[slot.day_part, 0] = code
    slot.points_out += 1
    if slot.points_out * step < _WEEK_SHARE * _WEEK_PART_SECONDS:
        return
    if abs(code) > abs(slot.week_excursions[slot.week_part, 0]):
        slot.week_excursions[slot.week_part, 0] = code


@compiled
def _usual(codes: Any, part: int, kept: int, needed: int, sign: int) -> int:
    """Return the largest code that `needed` of the earlier visits have reached, 0 for none.

    `codes` (parts, kept) are those of a day or a week, the newest visit first. The parts beside
    count too. The next part has not been visited again yet: its newest visit is an earlier one.
    """
    before = (part - 1) % len(codes)
    after = (part + 1) % len(codes)
    best = 0
    for visit in range(1, kept):
        own = max(
            sign * codes[part, visit], sign * codes[before, visit], sign * codes[after, visit - 1]
        )
        if own <= best:
            continue
        reached = 0
        for other in range(1, kept):
            most = max(
                sign * codes[part, other],
                sign * codes[before, other],
                sign * codes[after, other - 1],
            )
            reached += 1 if most >= own else 0
        if reached >= needed:
            best = own
    return best


@compiled
def _code(deviation: float) -> int:
    """Return a deviation as its sign and the logarithm of its size, 0 for one that is too small."""
    size = abs(deviation)
    if size < _SMALLEST:
        return 0
    code = int((math.log2(size) + _OCTAVES) * _STEPS_AN_OCTAVE) + 1
    return code if deviation > 0.0 else -code
