"""What every decoder hands on: datapoints as their sender named them, row by row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from anomify.errors import encodable
from anomify.series import Bools, Float64s, Int64s

# Labels as they were sent, in the sender's order; `__name__` is one of them.
Labels = tuple[tuple[str, str], ...]

# Looks a series key up, `dict.get` with its default: known(key, 0) is the metric's id, or 0.
Known = Callable[[bytes, int], int]

# A key is what a sender calls a series, in the fewest steps from the wire: it only has to be the
# same the next time. Its first byte says how to read it, so that no two kinds can meet.
PLAIN_KEY = b"="
UNKNOWN = 0
# The kind of a refusal that says no other: the item is not what the protocol asks for.
UNREADABLE = "unreadable"
# What is said of an item that a decoder fails at in a way that it has no sentence for.
UNFORESEEN = "it cannot be read"


@dataclass(frozen=True, slots=True)
class DerivedSeries:
    """A series that its sender describes by parts, of which the product makes a name.

    Other parts may make the same `name`; with the `labels` besides, no others do.
    """

    key: bytes
    name: str
    labels: Labels


# What a sender calls a series.
Identity = Labels | str | DerivedSeries


@dataclass(frozen=True, slots=True)
class Stranger:
    """A series nobody knows yet: its key, what it is called, and its rows of the batch."""

    key: bytes
    identity: Identity
    rows: list[int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item of a request that is not stored: which one, of what metric, and why, in words.

    `kind` is the word that such refusals are counted by. The texts can always be encoded, whatever
    they quote.
    """

    index: int
    metric: str
    reason: str
    kind: str = UNREADABLE

    def __post_init__(self) -> None:
        """Make what is quoted encodable."""
        object.__setattr__(self, "metric", encodable(self.metric))
        object.__setattr__(self, "reason", encodable(self.reason))


@dataclass(frozen=True, slots=True)
class Batch:
    """Datapoints of one request; the columns have one row each, in the sender's order.

    `metric_ids` holds `UNKNOWN` for the rows of `strangers`; `items` is a row's position in the
    request, as a report counts; `times` are unix milliseconds; where `ends` is set the series has
    ended at that time and the value means nothing. `refusals` are items that have no row.
    """

    metric_ids: Int64s
    items: Int64s
    times: Int64s
    values: Float64s
    ends: Bools
    keys: Sequence[bytes]
    strangers: list[Stranger]
    refusals: list[Refusal]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.times)


def plain_key(name: str) -> bytes:
    """Return the key of a metric that was named by one string."""
    return PLAIN_KEY + name.encode("utf-8", "surrogatepass")


class BatchBuilder:
    """Collects rows one by one, for the protocols that are not read by the column."""

    def __init__(self, known: Known) -> None:
        """Start without rows; `known` tells which series have an id."""
        self._known = known
        self._ids: list[int] = []
        self._items: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._keys: list[bytes] = []
        self._strangers: dict[bytes, Stranger] = {}
        self.refusals: list[Refusal] = []

    def add(
        self,
        item: int,
        key: bytes,
        identity: str | Callable[[bytes], DerivedSeries],
        time_ms: int,
        value: float,
    ) -> None:
        """Add a datapoint of the series with this key: what it is called, or how to tell that."""
        row = len(self._ids)
        metric_id = self._known(key, UNKNOWN)
        if metric_id == UNKNOWN:
            stranger = self._strangers.get(key)
            if stranger is None:
                named = identity if isinstance(identity, str) else identity(key)
                stranger = self._strangers[key] = Stranger(key, named, [])
            stranger.rows.append(row)
        self._ids.append(metric_id)
        self._items.append(item)
        self._times.append(time_ms)
        self._values.append(value)
        self._keys.append(key)

    def refuse(self, item: int, metric: str, reason: str) -> None:
        """Say why an item has no row."""
        self.refusals.append(Refusal(item, metric, reason))

    def batch(self) -> Batch:
        """Return what was collected."""
        return Batch(
            metric_ids=np.array(self._ids, np.int64),
            items=np.array(self._items, np.int64),
            times=np.array(self._times, np.int64),
            values=np.array(self._values, np.float64),
            ends=np.zeros(len(self._ids), np.bool_),
            keys=self._keys,
            strangers=list(self._strangers.values()),
            refusals=self.refusals,
        )
