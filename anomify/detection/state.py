"""The state of the engine: one row of a structured array per metric, and its snapshots as bytes."""

import struct
import zlib
from dataclasses import dataclass
from typing import Final, Self

import cramjam
import numpy as np
from numpy.typing import NDArray

from anomify.series import Bools, Float64s, Int64s

LEARNING_POINTS: Final = 100
"""The most points that are learnt before a metric is judged; slow metrics need fewer."""

LEARNING_MS: Final = 28 * 86_400_000
LEAST_LEARNING_POINTS: Final = 28
"""Four weeks hold each day of the week four times: daily data is judged from its 29th point."""

YOUNG_SECONDS: Final = 4.0 * 86400.0
"""Alerts of a metric are lowered for so long after its first point (see `alarm_history`)."""

DAY_BINS: Final = 288  # five minutes each; other widths change the measured quality very little
WEEK_BINS: Final = 168  # an hour each, because the weekly profile is smooth
HOURS: Final = 24
STRENGTH_BINS: Final = 16
DAY_PARTS: Final = 96  # 15 minutes each
DAYS_KEPT: Final = 6  # the visit that is not complete included
WEEK_PARTS: Final = 336  # 30 minutes each
WEEKS_KEPT: Final = 4  # likewise
EXPERTS: Final = 7
TAILS: Final = 5
TAIL_BINS: Final = 64
DELTAS: Final = 16
GAP_BINS: Final = 48

SLOT: Final = np.dtype(
    [
        # --- the reported points ---
        ("points", np.int64),  # finite values accepted
        ("last_time", np.int64),  # unix ms
        ("last_value", np.float64),  # as reported
        ("newest_time", np.int64),  # like last_time, but including values too large to judge
        ("first_seconds", np.float64),  # unix; of the first point
        ("trained_points", np.int64),  # points at the end of learning, 0 while it learns
        ("resolution", np.int64),  # ms from point to point, 0 while unknown
        ("off_step", np.int64),  # recent gaps that contradict the resolution, less those that fit
        ("constant_run", np.int64),  # points since the reported value last changed
        ("recent_times", np.int64, (LEARNING_POINTS,)),  # ring buffers of the newest points
        ("recent_values", np.float64, (LEARNING_POINTS,)),
        # --- histogram of the gaps between points ---
        ("gaps", np.float32, (GAP_BINS,)),
        ("gap_total", np.float64),
        # --- the settings of the metric (see `tuning`); 0 is the default ---
        ("set_direction", np.int64),
        ("set_kind", np.int64),
        ("set_step", np.int64),  # ms
        ("set_smallest", np.float64),
        ("set_threshold", np.float64),
        # --- detection of counters ---
        ("is_counter", np.int64),  # 1 once recognised, never unset
        ("is_gauge", np.int64),  # 1 once a value ruled a counter out, never unset
        ("rises", np.int64),
        ("moving_for", np.int64),  # points since the first rise
        ("resets", np.int64),
        ("highest", np.float64),
        ("has_restarted", np.int64),  # 1 if the newest point of a counter was a restart
        # --- from here on: the values as judged (a counter's are rates) ---
        ("learned", np.int64),  # values learnt
        (
            "anchor",
            np.float64,
        ),  # the first value; the rest holds differences from it, so float32 suffices
        ("previous", np.float64),
        ("mean", np.float64),
        ("spread", np.float64),  # running mean distance from the mean
        ("low", np.float64),  # the least value ever
        # --- baseline: experts and their seasonal profiles ---
        ("quick", np.float64),  # exponential moving average of rate 0.5
        ("smooth", np.float64),  # exponential moving average of rate 0.1, clipped
        ("level", np.float64),  # clipped mean with a memory of 3,000 points
        ("day_fast", np.float64),  # levels of the seasonal experts, updated fast or slowly
        ("day_slow", np.float64),
        ("week_fast", np.float64),
        ("week_slow", np.float64),
        ("errors", np.float64, (EXPERTS,)),
        ("error_points", np.float64, (EXPERTS,)),
        ("day_profile", np.float32, (DAY_BINS,)),
        ("day_visits", np.uint8, (DAY_BINS,)),
        ("week_profile", np.float32, (WEEK_BINS,)),
        ("week_visits", np.uint8, (WEEK_BINS,)),
        ("day_bin", np.int64),  # the bins of the newest point, and the points of its visit there
        ("week_bin", np.int64),
        ("day_stay", np.int64),
        ("week_stay", np.int64),
        # --- robust scales ---
        ("fast_scale", np.float64),
        ("slow_scale", np.float64),
        ("hour_fast", np.float32, (HOURS,)),
        ("hour_slow", np.float32, (HOURS,)),
        ("hour_points", np.float32, (HOURS,)),
        # --- magnitude: winsorised sums of squares with a long memory, short mean residuals ---
        ("weight", np.float64),
        ("powers", np.float64, (EXPERTS,)),
        ("power_weights", np.float64, (EXPERTS,)),
        ("value_mean", np.float64),
        ("value_power", np.float64),
        ("fast_recent", np.float64),
        ("slow_recent", np.float64),
        # --- shift, noise, novelty, flatline ---
        ("shift_short", np.float64),
        ("shift_long", np.float64),
        ("noise_short", np.float64),
        ("shift_short_power", np.float64),
        ("shift_long_power", np.float64),
        ("noise_short_power", np.float64),
        ("pressure", np.float64),  # tracking signal: the mean of clipped slow residuals, -1..1
        ("range_high", np.float64),
        ("range_low", np.float64),
        ("flat_run", np.float64),
        ("longest_flat_run", np.float64),
        ("repeat_share", np.float64),  # share of points equal to the point before
        ("share_before_run", np.float64),  # the same before the current run of equal values
        ("moves", np.float64),  # times the value has changed
        # --- rarity: a log-spaced histogram for each statistic and sign ---
        ("tails", np.float32, (TAILS, 2, TAIL_BINS)),
        ("tail_totals", np.float64, (TAILS,)),
        ("tail_increment", np.float64),
        # --- the heads: their strengths of earlier points ---
        ("moving_before", np.float64),  # of the newest point, without what the point before added
        ("plain_before", np.float64),  # the same for the display
        ("shown_peak", np.float64),
        ("shown_value", np.float64),
        ("shown_relative", np.float64),
        # --- the record rule ---
        ("record_up", np.float64),
        ("record_down", np.float64),
        ("novelty_record", np.float64),
        # --- the history of alerts: counts by sign, kind and strength, and the current episode ---
        ("history", np.float32, (2, 2, STRENGTH_BINS)),
        ("history_seconds", np.float64),  # unix; the counts have decayed until then
        ("strength_before", np.float64),
        ("episode_end", np.float64),  # unix seconds
        ("episode_peak", np.float64),
        # --- recurrence: the largest deviations of the parts of days and weeks ---
        ("day_part", np.int64),
        ("week_part", np.int64),
        ("day_part_start", np.float64),  # unix seconds
        ("week_part_start", np.float64),
        ("day_excursions", np.int16, (DAY_PARTS, DAYS_KEPT)),
        ("week_excursions", np.int16, (WEEK_PARTS, WEEKS_KEPT)),
        # --- trend: the means of the last days, their differences from a week before ---
        ("day_number", np.int64),  # days since 1970
        ("day_points", np.float64),
        ("day_sum", np.float64),
        ("last_difference", np.float64),
        ("difference_power", np.float64),
        ("differences", np.float64),
        # --- the rest of the three above, by size: without gaps between fields ---
        ("day_means", np.float32, (7,)),
        ("calm_points", np.int32),  # points in the range since the last one outside
        ("points_out", np.int32),  # outside the range, of this visit of the part of the week
        ("days_in_a_row", np.int32),
        ("rises_in_a_row", np.int32),
        ("episode_sign", np.int8),
        ("episode_kind", np.int8),
        ("was_out", np.int8),  # 1 if the point before had left the range
        ("is_seasonal", np.int8),  # 1 once a seasonal expert has been used
    ],
    align=True,
)
"""The row of one metric, 12 kB. A row of zeros is a metric without points.

The names of the fields may change; their order, types and sizes are those of stored snapshots."""


def byte_of(field: str) -> int:
    """Return the offset of a field in bytes within its slot.

    >>> byte_of("points")
    0
    """
    assert SLOT.fields is not None  # noqa: S101  (a structured type has fields)
    return SLOT.fields[field][1]


_MAGIC: Final = b"ANES"
_VERSION: Final = 4
_HEADER: Final = struct.Struct("<4sHIII")  # magic, version, bytes a slot, slots, crc of the rows


class UnreadableSnapshotError(ValueError):
    """Raised for bytes that are no intact snapshot of this version of the engine."""


class DamagedSnapshotError(UnreadableSnapshotError):
    """Raised for bytes that differ from what was extracted, or that a newer version wrote."""


def snapshot_size(snapshot: bytes) -> int | None:
    """Return the number of metrics that a snapshot declares, None for other bytes.

    >>> snapshot_size(EngineState.new(5).extract(np.arange(3)))
    3
    """
    if len(snapshot) < _HEADER.size or snapshot[:4] != _MAGIC:
        return None
    return int(_HEADER.unpack_from(snapshot)[3])


def is_of_this_version(snapshot: bytes) -> bool:
    """Return whether a snapshot declares the version and the layout that this engine reads.

    >>> is_of_this_version(EngineState.new(1).extract(np.arange(1))), is_of_this_version(b"")
    (True, False)
    """
    if snapshot_size(snapshot) is None:
        return False
    return _HEADER.unpack_from(snapshot)[1:3] == (_VERSION, SLOT.itemsize)


class EngineState:
    """The state of `capacity` metrics, one slot each, numbered from 0.

    `slots` is an array of `SLOT` rows in memory, 12 kB each. One thread at a time may use it.

    >>> state = EngineState.new(2)
    >>> snapshot = state.extract(np.array([1]))
    >>> state.insert(np.array([0]), snapshot)
    >>> state.insert(np.array([0]), snapshot[:-1])
    Traceback (most recent call last):
    anomify.detection.state.DamagedSnapshotError: The snapshot is damaged.
    """

    def __init__(self, slots: NDArray[np.void]) -> None:
        """Wrap an array of `SLOT` rows; callers use `new`."""
        self.slots = slots

    @classmethod
    def new(cls, capacity: int) -> Self:
        """Return a state of `capacity` empty slots."""
        return cls(np.zeros(capacity, SLOT))

    @property
    def capacity(self) -> int:
        """The number of slots."""
        return len(self.slots)

    def grow(self, capacity: int) -> None:
        """Add empty slots up to `capacity`; a smaller number changes nothing."""
        if capacity <= self.capacity:
            return
        wider = np.zeros(capacity, SLOT)
        wider[: self.capacity] = self.slots
        self.slots = wider

    def clear(self, slots: Int64s) -> None:
        """Set the slots, int64 (n,), to zero."""
        self.slots[slots] = np.zeros((), SLOT)

    def extract(self, slots: Int64s) -> bytes:
        """Return a snapshot of the slots, int64 (n,), for `insert`; it restores them bit for bit.

        The bytes are a header of 18 bytes (little-endian: magic, version, bytes per slot, number of
        slots, CRC-32 of the rows) and the rows compressed with Zstandard (RFC 8878).
        """
        rows = self.slots[slots].tobytes()
        header = _HEADER.pack(_MAGIC, _VERSION, SLOT.itemsize, len(slots), zlib.crc32(rows))
        return header + bytes(cramjam.zstd.compress(rows, level=1))

    def insert(self, slots: Int64s, snapshot: bytes) -> None:
        """Write a snapshot into the slots, int64 (n,), in the order in which it was extracted.

        Raises `UnreadableSnapshotError` for a snapshot of an older version of the engine and its
        subclass `DamagedSnapshotError` for one of a newer version, of another number of slots, or
        with damaged bytes; the slots are unchanged then.
        """
        if len(snapshot) < _HEADER.size or snapshot[:4] != _MAGIC:
            raise DamagedSnapshotError("This is not a snapshot of the detection engine.")
        _, version, slot_bytes, count, checksum = _HEADER.unpack_from(snapshot)
        if (version, slot_bytes) != (_VERSION, SLOT.itemsize):
            # There is no conversion from older versions, and a newer layout is not known here.
            kind = UnreadableSnapshotError if version < _VERSION else DamagedSnapshotError
            raise kind(
                f"The snapshot is of version {version} with {slot_bytes} bytes a metric; this "
                f"engine reads version {_VERSION} with {SLOT.itemsize}."
            )
        if count != len(slots):
            raise DamagedSnapshotError(
                f"The snapshot holds {count} metrics, but {len(slots)} were asked for."
            )
        try:
            rows = bytes(
                cramjam.zstd.decompress(snapshot[_HEADER.size :], output_len=count * slot_bytes)
            )
        except (cramjam.DecompressionError, ValueError) as error:
            raise DamagedSnapshotError("The snapshot is damaged.") from error
        if len(rows) != count * slot_bytes or zlib.crc32(rows) != checksum:
            raise DamagedSnapshotError("The snapshot is damaged.")
        self.slots[slots] = np.frombuffer(rows, SLOT)


@dataclass(frozen=True, slots=True)
class EngineSummary:
    """The progress of n slots, one row each; all arrays are (n,).

    `seen` int64 counts the accepted points, and learning ends when it reaches `needed` int64;
    `resolution_ms` int64 is the time from point to point in milliseconds, 0 while unknown;
    `is_counter` bool; `is_constant` bool where the newest `needed` points have one value;
    `last_times` int64 are the times of the newest points in unix milliseconds and `last_values`
    float64 the newest values that could be judged, both 0 without points. Until `young_until_ms`
    int64, unix milliseconds, alerts are lowered because the metric is new; 0 without points.
    """

    seen: Int64s
    needed: Int64s
    resolution_ms: Int64s
    is_counter: Bools
    is_constant: Bools
    last_times: Int64s
    last_values: Float64s
    young_until_ms: Int64s


def describe(state: EngineState, slots: Int64s) -> EngineSummary:
    """Return the progress of learning, resolution, kind, newest point and age of slots, int64 (n,).

    >>> summary = describe(EngineState.new(1), np.array([0]))
    >>> summary.seen.tolist(), summary.needed.tolist()
    ([0], [100])
    """
    everything = state.slots
    resolution_ms, trained_points = (
        everything["resolution"][slots],
        everything["trained_points"][slots],
    )
    in_four_weeks = LEARNING_MS // np.maximum(resolution_ms, 1)
    expected = np.clip(in_four_weeks, LEAST_LEARNING_POINTS, LEARNING_POINTS)
    needed = np.where(trained_points > 0, trained_points, expected)
    newest_times = everything["newest_time"][slots]
    young_until = ((everything["first_seconds"][slots] + YOUNG_SECONDS) * 1000.0).astype(np.int64)
    return EngineSummary(
        seen=everything["points"][slots],
        needed=needed,
        resolution_ms=resolution_ms,
        is_counter=everything["is_counter"][slots] == 1,
        is_constant=everything["constant_run"][slots] >= needed - 1,
        last_times=newest_times,
        last_values=everything["last_value"][slots],
        young_until_ms=np.where(everything["points"][slots] > 0, young_until, 0),
    )
