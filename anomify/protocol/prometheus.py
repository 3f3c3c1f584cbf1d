"""Decodes Prometheus remote write 1.0 and 2.0 in columns.

Sources: Prometheus documentation, "Prometheus Remote-Write Specification" 1.0 and 2.0, and Protocol
Buffers documentation, "Encoding". A usual series ends with one sample, whose bytes have a fixed
form; such bodies are decoded with numpy, and all others series by series.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, repeat
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from anomify.errors import Invalid, TooLarge
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
from anomify.protocol.prometheus_messages import (
    ENVELOPE_1,
    ENVELOPE_2,
    LABEL_SET,
    SERIES_1,
    SERIES_2,
)
from anomify.series import Bools, Float64s, Int64s

# Senders put 500 to 10,000 series into a body.
SERIES_MAX = 100_000
SAMPLES_MAX = 1_000_000
# Kinds of refusals.
HISTOGRAM = "histogram"
BAD_LABELS = "bad_labels"
# The bits of the stale marker, the NaN that marks the end of a series (Remote-Write 1.0, "Stale
# Markers"); any other NaN is a refused value.
STALE_MARKER_BITS = 0x7FF0000000000002

# A key of 1.0 is the encoded labels and begins with 0x0A, the tag of their field; a key of 2.0
# begins with this byte.
SYMBOLS_KEY = b"\xff"

# A sample with a time from 1971 to 2109 is encoded in these 18 bytes: 12 10 (field 2, 16 bytes), 09
# and a double, 10 and a varint of six bytes. A value of 0 is omitted: 12 07 10 and the varint.
TAIL_BYTES = 18
ZERO_TAIL_BYTES = 9
# The end is read as little-endian words of eight bytes; each pair is a mask and the result.
_FULL_HEAD = np.uint64(0xFF_FFFF), np.uint64(0x09_10_12)
_ZERO_HEAD = np.uint64(0xFF_FFFF), np.uint64(0x10_07_12)
# The last word: a byte of any kind, the tag 10, five bytes that continue and one that does not.
_TIME = np.uint64(0x80_80_80_80_80_80_FF_00), np.uint64(0x00_80_80_80_80_80_10_00)
_VARINT_STEPS = tuple((np.uint64(16 + step), np.uint64(0x7F << (7 * step))) for step in range(6))

_NAME = b"__name__"
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
    return _labels(LABEL_SET.FromString(key).labels)


def _labels(labels: Any) -> Labels:
    return tuple(
        (
            label.name.decode("utf-8", "surrogateescape"),
            label.value.decode("utf-8", "surrogateescape"),
        )
        for label in labels
    )


class _Rows:
    """The rows that are decoded one by one, to be joined with those decoded in columns."""

    def __init__(self, metric_id_of: MetricIdLookup) -> None:
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

    def read(self, item: int, body: bytes, read: Callable[[int, bytes, "_Rows"], None]) -> None:
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


def parse_write_1(body: bytes, metric_id_of: MetricIdLookup) -> RemoteWrite:
    """Return the datapoints of an uncompressed `prometheus.WriteRequest` (Remote-Write 1.0).

    `metric_id_of` returns the metric id of a series key; labels are decoded for keys without an id
    only. Raises `Invalid` for a body that is no such message, and `TooLarge` for more than
    `SERIES_MAX` series or `SAMPLES_MAX` samples.

    >>> body = bytes.fromhex("0a1d" "0a0e0a085f5f6e616d655f5f12027570" "120b09000000000000f03f1001")
    >>> batch = parse_write_1(body, {}.get).batch
    >>> batch.unknown_series[0].identity, batch.times.tolist(), batch.values.tolist()
    ((('__name__', 'up'),), [1], [1.0])
    """
    envelope = _parsed(ENVELOPE_1, body)
    count = len(envelope.timeseries)
    if count > SERIES_MAX:
        raise TooLarge(f"the body holds {count:,} series; at most {SERIES_MAX:,} are taken")
    metadata = len(envelope.metadata)
    if not count and not metadata and body:
        raise Invalid(
            "the body is no prometheus.WriteRequest; a sender of remote write 2.0 must say so in"
            " its Content-Type",
            code="bad_protobuf",
        )
    bodies: list[bytes] = list(envelope.timeseries)
    del envelope
    ids, times, values, keys = _read_columns(body, bodies, metric_id_of)
    if ids.all():
        items = np.arange(count, dtype=np.int64)
        batch = Batch(ids, items, times, values, _ends(values), keys, [], [])
        return RemoteWrite(batch, 0, 0, metadata)
    return _read_mixed(bodies, metric_id_of, (ids, times, values, keys), metadata)


def _read_mixed(
    bodies: list[bytes],
    metric_id_of: MetricIdLookup,
    columns: tuple[Int64s, Int64s, Float64s, list[bytes]],
    metadata: int,
) -> RemoteWrite:
    """Decode the series that `_read_columns` left: unknown ones and those of another form."""
    ids, times, values, keys = columns
    rows = _Rows(metric_id_of)
    for item in np.flatnonzero(ids == UNKNOWN).tolist():
        rows.read(item, bodies[item], _read_series_1)
    found = np.flatnonzero(ids != UNKNOWN)
    kept = [keys[item] for item in found.tolist()]
    return _joined(rows, (ids[found], found, times[found], values[found], kept), metadata)


def _read_columns(
    request: bytes, bodies: list[bytes], metric_id_of: MetricIdLookup
) -> tuple[Int64s, Int64s, Float64s, list[bytes]]:
    """Return ids, times, values and keys of all series, read as a key and one sample at the end.

    The id is `UNKNOWN` where the key has no id or the end is no sample of the usual form. A key has
    an id only after it was decoded as the labels of a series and nothing else, so what follows such
    a key in a body is the sample.
    """
    lengths = np.fromiter(map(len, bodies), np.int64, len(bodies))
    words, ends = _words(request, bodies, lengths)
    last = words[ends - 8]
    is_sample = (last & _TIME[0]) == _TIME[1]
    is_full = is_sample & ((words[ends - TAIL_BYTES] & _FULL_HEAD[0]) == _FULL_HEAD[1])
    is_full &= lengths >= TAIL_BYTES
    values = words[ends - TAIL_BYTES + 3].view(np.float64)
    times = np.zeros(len(bodies), np.uint64)
    for shift, mask in _VARINT_STEPS:
        times |= (last >> shift) & mask
    if is_full.all():
        keys = [body[:-TAIL_BYTES] for body in bodies]
    else:
        is_sample &= (words[ends - ZERO_TAIL_BYTES] & _ZERO_HEAD[0]) == _ZERO_HEAD[1]
        is_sample &= lengths >= ZERO_TAIL_BYTES
        is_sample |= is_full
        values[~is_full] = 0.0
        cuts = np.where(is_full, -TAIL_BYTES, -ZERO_TAIL_BYTES).tolist()
        keys = [body[:cut] for body, cut in zip(bodies, cuts, strict=True)]
    ids = np.fromiter(map(metric_id_of, keys, repeat(UNKNOWN)), np.int64, len(bodies))
    ids[~is_sample] = UNKNOWN
    return ids, times.view(np.int64), values, keys


def _words(
    request: bytes, bodies: list[bytes], lengths: Int64s
) -> tuple[NDArray[np.uint64], Int64s]:
    """Return the word of eight bytes at every position, and the position of each series' end.

    At least `TAIL_BYTES` bytes precede each end; those before a shorter series are of other ones.
    """
    # In the request each series follows its tag (one byte) and its length (a varint).
    sizes = lengths + 2
    for bits in (7, 14, 21):
        sizes += lengths >= 1 << bits
    ends = np.cumsum(sizes) + TAIL_BYTES
    flat = bytes(TAIL_BYTES) + request
    if not len(ends) or ends[-1] != len(flat):
        # There are other fields between the series, usually metadata.
        flat = b"".join([body[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0") for body in bodies])
        ends = np.arange(1, len(bodies) + 1) * TAIL_BYTES
        flat = flat or bytes(TAIL_BYTES)
    return np.ndarray((len(flat) - 7,), "<u8", flat, strides=(1,)), ends


def _read_series_1(item: int, body: bytes, rows: _Rows) -> None:
    series = SERIES_1.FromString(body)
    if series.exemplars:
        rows.exemplars += len(series.exemplars)
    if series.histograms:
        rows.refuse_histograms(item, _labels(series.labels), len(series.histograms))
    if not series.samples:
        return
    # The labels encoded alone. In a usual body these are the bytes before the sample, which
    # `_read_columns` looks up in the next request.
    labels = LABEL_SET.FromString(body)
    labels.DiscardUnknownFields()
    rows.add(item, labels.SerializeToString(), series.samples)


def parse_write_2(body: bytes, metric_id_of: MetricIdLookup) -> RemoteWrite:
    """Return the datapoints of an uncompressed `io.prometheus.write.v2.Request` (Remote-Write 2.0).

    Arguments and errors are those of `parse_write_1`.

    >>> len(parse_write_2(b"", {}.get).batch)
    0
    """
    request = _parsed(ENVELOPE_2, body)
    count = len(request.timeseries)
    if count > SERIES_MAX:
        raise TooLarge(f"the body holds {count:,} series; at most {SERIES_MAX:,} are taken")
    symbols: list[bytes] = list(request.symbols)
    if body and not symbols and not count:
        raise Invalid("the body is no io.prometheus.write.v2.Request", code="bad_protobuf")
    rows = _Rows(metric_id_of)
    read = partial(_read_series_2, symbols, _unreadable(symbols))
    for item, series in enumerate(request.timeseries):
        rows.read(item, series, read)
    empty = np.empty(0, np.int64)
    return _joined(rows, (empty, empty, empty, np.empty(0), []), rows.metadata)


def _unreadable(symbols: list[bytes]) -> frozenset[int]:
    """Return the positions of the symbols that are not UTF-8; they may be help texts only."""
    try:
        # One check of all symbols; a NUL byte ends an incomplete character.
        b"\0".join(symbols).decode()
    except UnicodeDecodeError:
        return frozenset(place for place, symbol in enumerate(symbols) if not _is_utf8(symbol))
    return frozenset()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_series_2(
    symbols: list[bytes], unreadable: frozenset[int], item: int, body: bytes, rows: _Rows
) -> None:
    series = SERIES_2.FromString(body)
    refs = list(series.labels_refs)
    if len(refs) % 2 or (refs and max(refs) >= len(symbols)):
        reason = "its labels point outside the symbols"
        rows.refusals.append(Refusal(item, "", reason, BAD_LABELS))
        return
    if unreadable and not unreadable.isdisjoint(refs):
        names = [symbols[value] for name, value in pairwise(refs) if symbols[name] == _NAME]
        shown = b"".join(names[:1]).decode("utf-8", "backslashreplace")
        rows.refusals.append(Refusal(item, shown, "a label is not UTF-8", BAD_LABELS))
        return
    # No UTF-8 text contains 0xFF, so the key can be split in one way only.
    key = SYMBOLS_KEY + SYMBOLS_KEY.join([symbols[ref] for ref in refs])
    rows.exemplars += len(series.exemplars)
    rows.metadata += bool(series.metadata)
    if series.histograms:
        labels = labels_of_key(key)
        rows.refuse_histograms(
            item, labels if isinstance(labels, tuple) else (), len(series.histograms)
        )
    if series.samples:
        rows.add(item, key, series.samples)


def _joined(
    rows: _Rows, columns: tuple[Int64s, Int64s, Int64s, Float64s, list[bytes]], metadata: int
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
        ends=_ends(all_values[order]),
        keys=[all_keys[row] for row in order.tolist()],
        unknown_series=unknown_series,
        refusals=rows.refusals,
    )
    return RemoteWrite(batch, rows.histograms, rows.exemplars, metadata)


def _ends(values: Float64s) -> Bools:
    ends: Bools = values.view(np.int64) == STALE_MARKER_BITS
    return ends


def _parsed(message: Any, body: bytes) -> Any:
    try:
        return message.FromString(body)
    except DecodeError as damage:
        raise Invalid(
            "the body is not the protobuf it claims to be, or was cut short", code="bad_protobuf"
        ) from damage
