"""The result of every decoder: datapoints in columns, and the series that they belong to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from anomify.errors import encodable
from anomify.series import Bools, Float64s, Int64s

# Labels as they were sent, in the order of the sender, the metric's name as `__name__` among them.
Labels = tuple[tuple[str, str], ...]

# Returns the metric id of a series key, like `dict.get`: the second argument where it has none.
MetricIdLookup = Callable[[bytes, int], int]

# A key identifies a series of a sender. It is cheap to compute from the request and equal in every
# request. Its first byte is the kind of key, so that keys of different kinds never collide.
PLAIN_KEY = b"="
UNKNOWN = 0
# The default kind of a refusal: the item is not what the protocol requires.
UNREADABLE = "unreadable"
# The reason for an item at which a decoder failed with an unexpected exception.
UNFORESEEN = "it cannot be read"


@dataclass(frozen=True, slots=True)
class DerivedSeries:
    """A series that its sender describes by parts, from which a name is derived.

    Different parts may give the same `name`, but never the same name and `labels`.
    """

    key: bytes
    name: str
    labels: Labels


# How a sender identifies a series: labels, one string, or parts.
Identity = Labels | str | DerivedSeries


@dataclass(frozen=True, slots=True)
class UnknownSeries:
    """A series without a metric id: its key, its identity, and its rows of the batch."""

    key: bytes
    identity: Identity
    rows: list[int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item of a request that is not stored: its position, its metric, and the reason in words.

    Refusals are counted by `kind`. `metric` and `reason` can always be encoded as UTF-8, whatever
    the request contained.
    """

    index: int
    metric: str
    reason: str
    kind: str = UNREADABLE

    def __post_init__(self) -> None:
        """Replace what cannot be encoded in the quoted texts."""
        object.__setattr__(self, "metric", encodable(self.metric))
        object.__setattr__(self, "reason", encodable(self.reason))


@dataclass(frozen=True, slots=True)
class Batch:
    """The n datapoints of one request as columns (n,), in the order of the sender.

    `metric_ids` int64 holds `UNKNOWN` for the rows of `unknown_series`; `items` int64 is the
    position of a row's item in the request, from 0; `times` int64 are unix milliseconds; `values`
    float64; `ends` bool marks rows at which the series has ended at that time and have no
    value; `keys` are the series keys. `refusals` are the items that have no row.
    """

    metric_ids: Int64s
    items: Int64s
    times: Int64s
    values: Float64s
    ends: Bools
    keys: Sequence[bytes]
    unknown_series: list[UnknownSeries]
    refusals: list[Refusal]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.times)


def plain_key(name: str) -> bytes:
    """Return the key of a series that is identified by one string.

    >>> plain_key("cpu")
    b'=cpu'
    """
    return PLAIN_KEY + name.encode("utf-8", "surrogatepass")


class BatchBuilder:
    """Collects rows one by one, for protocols that are not decoded in columns.

    >>> builder = BatchBuilder({b"=cpu": 7}.get)
    >>> builder.add(0, b"=cpu", "cpu", 60_000, 1.5)
    >>> builder.batch().metric_ids.tolist()
    [7]
    """

    def __init__(self, metric_id_of: MetricIdLookup) -> None:
        """Start without rows; `metric_id_of` returns the id of a series key."""
        self._metric_id_of = metric_id_of
        self._ids: list[int] = []
        self._items: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._keys: list[bytes] = []
        self._unknown_series: dict[bytes, UnknownSeries] = {}
        self.refusals: list[Refusal] = []

    def add(
        self,
        item: int,
        key: bytes,
        identity: str | Callable[[bytes], DerivedSeries],
        time_ms: int,
        value: float,
    ) -> None:
        """Add a datapoint; `identity` may be a function that derives it from the key."""
        row = len(self._ids)
        metric_id = self._metric_id_of(key, UNKNOWN)
        if metric_id == UNKNOWN:
            series = self._unknown_series.get(key)
            if series is None:
                named = identity if isinstance(identity, str) else identity(key)
                series = self._unknown_series[key] = UnknownSeries(key, named, [])
            series.rows.append(row)
        self._ids.append(metric_id)
        self._items.append(item)
        self._times.append(time_ms)
        self._values.append(value)
        self._keys.append(key)

    def refuse(self, item: int, metric: str, reason: str) -> None:
        """Add an item without a row, and the reason."""
        self.refusals.append(Refusal(item, metric, reason))

    def batch(self) -> Batch:
        """Return the collected rows and refusals."""
        return Batch(
            metric_ids=np.array(self._ids, np.int64),
            items=np.array(self._items, np.int64),
            times=np.array(self._times, np.int64),
            values=np.array(self._values, np.float64),
            ends=np.zeros(len(self._ids), np.bool_),
            keys=self._keys,
            unknown_series=list(self._unknown_series.values()),
            refusals=self.refusals,
        )
