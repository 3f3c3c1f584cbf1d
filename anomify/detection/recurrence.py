"""Remembers at which times of the day and week a metric has left its range, to tell what recurs."""

import math
from typing import Final

from anomify.detection.band import DAY_SECONDS, MONDAY_SECONDS, WEEK_SECONDS
from anomify.detection.jit import Slot, compiled
from anomify.detection.state import DAY_PARTS, DAYS_KEPT, WEEK_PARTS, WEEKS_KEPT

_DAYS_NEEDED: Final = 3  # of the last five
_WEEKS_NEEDED: Final = 2  # of the last three
_PER_OCTAVE: Final = 50.0
_OCTAVES: Final = 320.0
LARGER: Final = 1.3
WEEK_SHARE: Final = 0.3


@compiled
def _code(deviation: float) -> int:
    """Return a deviation as its sign and its logarithm, in 16 bits; 0 for none."""
    size = abs(deviation)
    if size < 1e-90:  # noqa: PLR2004
        return 0
    code = int((math.log2(size) + _OCTAVES) * _PER_OCTAVE) + 1
    return code if deviation > 0.0 else -code


@compiled
def enter_parts(slot: Slot, seconds: float) -> None:
    """Select the parts of the day and of the week, and begin a new day or week of a part."""
    part = int((seconds % DAY_SECONDS) * DAY_PARTS / DAY_SECONDS)
    week_part = int(((seconds + MONDAY_SECONDS) % WEEK_SECONDS) * WEEK_PARTS / WEEK_SECONDS)
    if part == slot.day_part and seconds - slot.part_seconds < DAY_SECONDS / DAY_PARTS:
        return
    slot.day_part = part
    slot.part_seconds = seconds - seconds % (DAY_SECONDS / DAY_PARTS)
    for day in range(DAYS_KEPT - 1, 0, -1):
        slot.day_excursions[part, day] = slot.day_excursions[part, day - 1]
    slot.day_excursions[part, 0] = 0
    if week_part == slot.week_part and seconds - slot.week_part_seconds < WEEK_SECONDS / WEEK_PARTS:
        return
    slot.week_part = week_part
    slot.week_part_seconds = seconds - seconds % (WEEK_SECONDS / WEEK_PARTS)
    slot.part_out = 0
    for week in range(WEEKS_KEPT - 1, 0, -1):
        slot.week_excursions[week_part, week] = slot.week_excursions[week_part, week - 1]
    slot.week_excursions[week_part, 0] = 0


@compiled
def _usual(codes, part: int, parts: int, kept: int, needed: int, sign: int) -> int:
    """Return the code of the excursion that `needed` of the last days (or weeks) have reached.

    The parts beside it count too. The part ahead has not been entered today: its newest entry is
    yesterday's.
    """
    before = (part - 1) % parts
    ahead = (part + 1) % parts
    best = 0
    # the `needed`-th largest of the last days, by selection
    for candidate in range(1, kept):
        own = max(
            sign * codes[part, candidate],
            sign * codes[before, candidate],
            sign * codes[ahead, candidate - 1],
        )
        if own <= best:
            continue
        reached = 0
        for day in range(1, kept):
            other = max(
                sign * codes[part, day], sign * codes[before, day], sign * codes[ahead, day - 1]
            )
            if other >= own:
                reached += 1
        if reached >= needed:
            best = own
    return best


@compiled
def usual_excursion(slot: Slot, deviation: float) -> float:
    """Return the size of the deviations to this side that are regular at this time, 0 for none."""
    sign = 1 if deviation > 0.0 else -1
    day = _usual(slot.day_excursions, slot.day_part, DAY_PARTS, DAYS_KEPT, _DAYS_NEEDED, sign)
    week = _usual(
        slot.week_excursions, slot.week_part, WEEK_PARTS, WEEKS_KEPT, _WEEKS_NEEDED, sign
    )
    code = max(day, week)
    if code == 0:
        return 0.0
    size: float = 2.0 ** ((code - 1) / _PER_OCTAVE - _OCTAVES)
    return size


@compiled
def learn_excursion(slot: Slot, deviation: float, step: float) -> None:
    """Store a deviation that left the range, where it is the largest of this part of the day."""
    code = _code(deviation)
    if abs(code) > abs(slot.day_excursions[slot.day_part, 0]):
        slot.day_excursions[slot.day_part, 0] = code
    slot.part_out += 1
    if slot.part_out * step < WEEK_SHARE * WEEK_SECONDS / WEEK_PARTS:
        return
    if abs(code) > abs(slot.week_excursions[slot.week_part, 0]):
        slot.week_excursions[slot.week_part, 0] = code
