"""Decodes series of Prometheus remote write one by one, and joins them with decoded columns."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from anomify.errors import TooLarge
from anomify.protocol.batch import (
    PLAIN_KEY,
    UNFORESEEN,
    UNKNOWN,
    Batch,
    Labels,
    MetricIdLookup,
    Refusal,
    UnknownSeries,
)
from anomify.protocol.prometheus_messages import LABEL_SET
from anomify.series import Bools, Float64s, Int64s

SAMPLES_MAX = 1_000_000
# The kind of a refusal.
HISTOGRAM = "histogram"
# The bits of the stale marker, the NaN that marks the end of a series (Remote-Write 1.0, "Stale
# Markers"); any other NaN is a refused value.
STALE_MARKER_BITS = 0x7FF0000000000002

# A key of 1.0 is the encoded labels and begins with 0x0A, the tag of their field; a key of 2.0
# begins with this byte.
SYMBOLS_KEY = b"\xff"

_DOUBLE = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class RemoteWrite:
    """The datapoints of a request, and the numbers of its parts that are not stored."""

    batch: Batch
    histograms: int
    exemplars: int
    metadata: int


def labels_of_key(key: bytes) -> Labels | str:
    """Return the labels of a series key of a `Batch`, or the string of a plain key.

    Bytes that are not UTF-8 become single surrogates, a different one for each byte, so that
    different keys have different labels; names with surrogates are refused later.

    >>> labels_of_key(b"=cpu"), labels_of_key(bytes.fromhex("ff5f5f6e616d655f5fff7570"))
    ('cpu', (('__name__', 'up'),))
    """
    if key.startswith(PLAIN_KEY):
        return key[len(PLAIN_KEY) :].decode("utf-8", "surrogatepass")
    if key.startswith(SYMBOLS_KEY):
        texts = [part.decode("utf-8", "surrogateescape") for part in key[1:].split(SYMBOLS_KEY)]
        return tuple(zip(texts[::2], texts[1::2], strict=False))
    return decoded_labels(LABEL_SET.FromString(key).labels)


def decoded_labels(labels: Any) -> Labels:
    """Return the labels of a decoded message."""
    return tuple(
        (
            label.name.decode("utf-8", "surrogateescape"),
            label.value.decode("utf-8", "surrogateescape"),
        )
        for label in labels
    )


class SeriesRows:
    """The rows that are decoded one by one, to be joined with those decoded in columns."""

    def __init__(self, metric_id_of: MetricIdLookup) -> None:
        """Begin without rows; `metric_id_of` returns the id of a series key."""
        self._metric_id_of = metric_id_of
        self.ids: list[int] = []
        self.items: list[int] = []
        self.times: list[int] = []
        self.values = bytearray()
        self.keys: list[bytes] = []
        self.unknown_series: dict[bytes, UnknownSeries] = {}
        self.refusals: list[Refusal] = []
        self.histograms = 0
        self.exemplars = 0
        self.metadata = 0

    def add(self, item: int, key: bytes, samples: Any) -> None:
        """Add the samples of the series with this key."""
        if len(self.ids) + len(samples) > SAMPLES_MAX:
            raise TooLarge(
                f"the body holds more than {SAMPLES_MAX:,} samples; send it in several requests"
            )
        metric_id = self._metric_id_of(key, UNKNOWN)
        if metric_id == UNKNOWN:
            if key not in self.unknown_series:
                self.unknown_series[key] = UnknownSeries(key, labels_of_key(key), [])
            first = len(self.ids)
            self.unknown_series[key].rows.extend(range(first, first + len(samples)))
        for sample in samples:
            self.ids.append(metric_id)
            self.items.append(item)
            self.times.append(sample.timestamp)
            # Copied as bits, because arithmetic may change the bits of a stale marker.
            self.values += _DOUBLE.pack(sample.value)
            self.keys.append(key)

    def refuse_histograms(self, item: int, labels: Labels, count: int) -> None:
        """Count native histograms, and refuse the item because they are not stored."""
        self.histograms += count
        self.refusals.append(
            Refusal(
                item,
                dict(labels).get("__name__", ""),
                "native histograms are not kept; send classic buckets, or sums and counts",
                HISTOGRAM,
            )
        )

    def read(
        self, item: int, body: bytes, read: Callable[[int, bytes, "SeriesRows"], None]
    ) -> None:
        """Decode one series; a series that cannot be decoded becomes a refusal."""
        try:
            read(item, body, self)
        except TooLarge:
            raise
        except DecodeError:
            self.refusals.append(
                Refusal(item, "", "the series is not the protobuf that it claims to be")
            )
        except Exception:  # noqa: BLE001 -- whatever one series is, the others are stored
            self.refusals.append(Refusal(item, "", UNFORESEEN))


def joined(
    rows: SeriesRows, columns: tuple[Int64s, Int64s, Int64s, Float64s, list[bytes]], metadata: int
) -> RemoteWrite:
    """Return the columns and the rows decoded one by one, joined in the order of the sender."""
    ids, items, times, values, keys = columns
    all_items = np.concatenate([items, np.array(rows.items, np.int64)])
    all_values = np.concatenate([values, np.frombuffer(bytes(rows.values), np.float64)])
    all_keys = keys + rows.keys
    order = np.argsort(all_items, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    shift = len(ids)
    unknown_series = [
        UnknownSeries(series.key, series.identity, [int(place[row + shift]) for row in series.rows])
        for series in rows.unknown_series.values()
    ]
    batch = Batch(
        metric_ids=np.concatenate([ids, np.array(rows.ids, np.int64)])[order],
        items=all_items[order],
        times=np.concatenate([times, np.array(rows.times, np.int64)])[order],
        values=all_values[order],
        ends=ends_of(all_values[order]),
        keys=[all_keys[row] for row in order.tolist()],
        unknown_series=unknown_series,
        refusals=rows.refusals,
    )
    return RemoteWrite(batch, rows.histograms, rows.exemplars, metadata)


def ends_of(values: Float64s) -> Bools:
    """Return which values are stale markers, bool (n,)."""
    ends: Bools = values.view(np.int64) == STALE_MARKER_BITS
    return ends
