"""What the engine remembers of each metric, as rows of one array."""

import struct
import zlib
from dataclasses import dataclass
from typing import Final, Self

import cramjam
import numpy as np
from numpy.typing import NDArray

from anomify.series import Bools, Float64s, Int64s

LEARNING_POINTS: Final = 100
"""The most points that only teach before a metric is judged; slow metrics need fewer."""

LEARNING_MS: Final = 28 * 86_400_000
LEAST_LEARNING_POINTS: Final = 28
"""Four weeks have shown every day of the week four times: daily data is judged from its 29th."""

DAY_BINS: Final = 288  # five minutes each; detection.md 6.1: the bin width hardly matters
WEEK_BINS: Final = 168  # an hour each: what the week adds to the day is smooth
HOURS: Final = 24
EXPERTS: Final = 7
TAILS: Final = 5
TAIL_BINS: Final = 64
HEADS: Final = 2
DELTAS: Final = 16
GAP_BINS: Final = 48

SLOT: Final = np.dtype(
    [
        # --- the feed: what was reported, and when ---
        ("points", np.int64),  # finite values accepted
        ("last_time", np.int64),  # unix ms
        ("last_value", np.float64),  # as reported
        ("heard_time", np.int64),  # as last_time, but values too large to judge count too
        ("taught", np.int64),  # after how many points learning was over, 0 before
        ("resolution", np.int64),  # ms from point to point, 0 while unknown
        ("off_beat", np.int64),  # how much of late the spacing contradicts the resolution
        ("constant_run", np.int64),  # points since the reported value last changed
        ("recent_times", np.int64, (LEARNING_POINTS,)),  # rings over the newest points
        ("recent_values", np.float64, (LEARNING_POINTS,)),
        # --- how long it is usually silent ---
        ("gaps", np.float32, (GAP_BINS,)),
        ("gap_total", np.float64),
        # --- what people have set; zero is as shipped ---
        ("set_direction", np.int64),
        ("set_kind", np.int64),
        ("set_step", np.int64),  # ms
        ("set_smallest", np.float64),
        ("set_threshold", np.float64),
        # --- is it a counter ---
        ("is_counter", np.int64),  # 1 once recognised, for good
        ("is_gauge", np.int64),  # 1 once it did what no counter does, for good
        ("rises", np.int64),
        ("moving_for", np.int64),  # points since the first rise
        ("resets", np.int64),
        ("highest", np.float64),
        # --- from here on: the values as judged ---
        ("learned", np.int64),
        ("anchor", np.float64),  # profiles hold differences from it: float32 suffices
        ("previous", np.float64),
        ("before", np.float64),  # the one before the previous one
        ("mean", np.float64),
        ("spread", np.float64),  # running mean distance from the mean
        ("low", np.float64),  # the least value ever
        # --- baseline: experts and their seasonal profiles ---
        ("quick", np.float64),  # ewma that follows at once
        ("smooth", np.float64),  # ewma that follows in ten points
        ("level", np.float64),  # robust, moves in thousands of points
        ("day_fast", np.float64),  # offsets of the profiles, following fast or slowly
        ("day_slow", np.float64),
        ("week_fast", np.float64),
        ("week_slow", np.float64),
        ("errors", np.float64, (EXPERTS,)),
        ("error_points", np.float64, (EXPERTS,)),
        ("day_profile", np.float32, (DAY_BINS,)),
        ("day_visits", np.uint8, (DAY_BINS,)),
        ("week_profile", np.float32, (WEEK_BINS,)),
        ("week_visits", np.uint8, (WEEK_BINS,)),
        ("day_bin", np.int64),  # the bins of the newest point, and how many points in each
        ("week_bin", np.int64),
        ("day_stay", np.int64),
        ("week_stay", np.int64),
        # --- robust scales ---
        ("fast_scale", np.float64),
        ("slow_scale", np.float64),
        ("hour_fast", np.float32, (HOURS,)),
        ("hour_slow", np.float32, (HOURS,)),
        ("hour_points", np.float32, (HOURS,)),
        # --- magnitude: long winsorised powers and volatility guards ---
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
        ("pressure", np.float64),  # how long and how one-sidedly the normal is being left
        ("range_high", np.float64),
        ("range_low", np.float64),
        ("flat_run", np.float64),
        ("longest_flat_run", np.float64),
        ("stillness", np.float64),  # share of points that repeat the one before
        ("moves", np.float64),  # times the value has changed
        # --- rarity: a log-spaced histogram a statistic and sign ---
        ("tails", np.float32, (TAILS, 2, TAIL_BINS)),
        ("tail_totals", np.float64, (TAILS,)),
        ("tail_increment", np.float64),
        # --- the heads: what they remember of their own strengths ---
        ("moving_before", np.float64),  # of the newest point by itself
        ("records", np.float64, (HEADS,)),
        ("shown_peak", np.float64),
        ("shown_value", np.float64),
        ("shown_relative", np.float64),
    ],
    align=True,
)
"""One metric. All zero means that nothing is known yet."""


def byte_of(field: str) -> int:
    """Return the first byte of a field within its slot."""
    assert SLOT.fields is not None  # noqa: S101  (a structured type has fields)
    return SLOT.fields[field][1]


_MAGIC: Final = b"ANES"
_VERSION: Final = 3
_HEADER: Final = struct.Struct("<4sHIII")  # magic, version, bytes a slot, slots, crc of the rows


class UnreadableSnapshotError(ValueError):
    """The bytes are no snapshot of this version of the engine, or they are damaged."""


class DamagedSnapshotError(UnreadableSnapshotError):
    """The bytes are not what was kept: no version of the engine reads them."""


class EngineState:
    """What is known of `capacity` metrics, one slot each, numbered from 0.

    It is plain memory: cheap to make, about 9 kB a slot. One thread may use it at a time.
    """

    def __init__(self, slots: NDArray[np.void]) -> None:
        """Wrap an array of `SLOT` rows; callers use `new`."""
        self.slots = slots

    @classmethod
    def new(cls, capacity: int) -> Self:
        """Return a state that knows nothing of its `capacity` slots."""
        return cls(np.zeros(capacity, SLOT))

    @property
    def capacity(self) -> int:
        """How many slots there are."""
        return len(self.slots)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` slots; what is known stays, a smaller number changes nothing."""
        if capacity <= self.capacity:
            return
        wider = np.zeros(capacity, SLOT)
        wider[: self.capacity] = self.slots
        self.slots = wider

    def clear(self, slots: Int64s) -> None:
        """Forget all that is known of these slots."""
        self.slots[slots] = np.zeros((), SLOT)

    def extract(self, slots: Int64s) -> bytes:
        """Return what is known of these slots, exactly, to be kept and given to `insert` later."""
        rows = self.slots[slots].tobytes()
        header = _HEADER.pack(_MAGIC, _VERSION, SLOT.itemsize, len(slots), zlib.crc32(rows))
        return header + bytes(cramjam.zstd.compress(rows, level=1))

    def insert(self, slots: Int64s, snapshot: bytes) -> None:
        """Put a snapshot into these slots, in the order in which they were extracted.

        Raises `UnreadableSnapshotError`, and changes nothing, if the snapshot is of another version
        of the engine, of another number of slots, or damaged.
        """
        if len(snapshot) < _HEADER.size or snapshot[:4] != _MAGIC:
            raise DamagedSnapshotError("This is not a snapshot of the detection engine.")
        _, version, slot_bytes, count, checksum = _HEADER.unpack_from(snapshot)
        if (version, slot_bytes) != (_VERSION, SLOT.itemsize):
            # What an older engine kept is read by none today; a newer one is guesswork.
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
    """How far the engine is with some slots, a row each.

    `seen` counts the points accepted, and learning is over when it reaches `needed`;
    `resolution_ms` is the time from point to point, 0 while unknown; `is_constant` says that as
    many points as were learnt from were one value; `last_times` is when the newest point was
    reported and `last_values` the newest that could be judged, 0 if none.
    """

    seen: Int64s
    needed: Int64s
    resolution_ms: Int64s
    is_counter: Bools
    is_constant: Bools
    last_times: Int64s
    last_values: Float64s


def describe(state: EngineState, slots: Int64s) -> EngineSummary:
    """Say how far learning is with these slots and what kind of metrics they turned out to be."""
    everything = state.slots
    resolution_ms, taught = everything["resolution"][slots], everything["taught"][slots]
    in_four_weeks = LEARNING_MS // np.maximum(resolution_ms, 1)
    expected = np.clip(in_four_weeks, LEAST_LEARNING_POINTS, LEARNING_POINTS)
    needed = np.where(taught > 0, taught, expected)
    return EngineSummary(
        seen=everything["points"][slots],
        needed=needed,
        resolution_ms=resolution_ms,
        is_counter=everything["is_counter"][slots] == 1,
        is_constant=everything["constant_run"][slots] >= needed - 1,
        last_times=everything["heard_time"][slots],
        last_values=everything["last_value"][slots],
    )
