"""Decodes Prometheus remote write 1.0 and 2.0 in columns.

Sources: Prometheus documentation, "Prometheus Remote-Write Specification" 1.0 and 2.0, and Protocol
Buffers documentation, "Encoding". Bodies of 1.0 in which every series has one sample are decoded
with numpy, and all others series by series.
"""

from functools import partial
from itertools import pairwise, repeat
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from anomify.errors import Invalid, TooLarge
from anomify.protocol.batch import UNKNOWN, Batch, MetricIdLookup, Refusal
from anomify.protocol.prometheus_columns import read_columns
from anomify.protocol.prometheus_layout import BodyLayouts
from anomify.protocol.prometheus_messages import (
    ENVELOPE_1,
    ENVELOPE_2,
    LABEL_SET,
    SERIES_1,
    SERIES_2,
)
from anomify.protocol.prometheus_rows import (
    SYMBOLS_KEY,
    RemoteWrite,
    SeriesRows,
    decoded_labels,
    ends_of,
    joined,
    labels_of_key,
)
from anomify.series import Float64s, Int64s

# Senders put 500 to 10,000 series into a body.
SERIES_MAX = 100_000
# The kind of a refusal.
BAD_LABELS = "bad_labels"

_NAME = b"__name__"


def parse_write_1(
    body: bytes, metric_id_of: MetricIdLookup, layouts: BodyLayouts | None = None
) -> RemoteWrite:
    """Return the datapoints of an uncompressed `prometheus.WriteRequest` (Remote-Write 1.0).

    `metric_id_of` returns the metric id of a series key; labels are decoded for keys without an id
    only. `layouts` remembers the series of earlier bodies, so that the same series in the same
    order are decoded faster. Raises `Invalid` for a body that is no such message, and `TooLarge`
    for more than `SERIES_MAX` series or `SAMPLES_MAX` samples.

    >>> body = bytes.fromhex("0a1d" "0a0e0a085f5f6e616d655f5f12027570" "120b09000000000000f03f1001")
    >>> batch = parse_write_1(body, {}.get).batch
    >>> batch.unknown_series[0].identity, batch.times.tolist(), batch.values.tolist()
    ((('__name__', 'up'),), [1], [1.0])
    """
    known = _read_known_layout(body, metric_id_of, layouts) if layouts is not None else None
    if known is not None:
        return RemoteWrite(known, 0, 0, 0)
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
    ids, times, values, keys = read_columns(body, bodies, metric_id_of)
    if ids.all():
        items = np.arange(count, dtype=np.int64)
        batch = Batch(ids, items, times, values, ends_of(values), keys, [], [])
        if layouts is not None and not metadata:
            layouts.add(keys)
        return RemoteWrite(batch, 0, 0, metadata)
    return _read_mixed(bodies, metric_id_of, (ids, times, values, keys), metadata)


def _read_known_layout(
    body: bytes, metric_id_of: MetricIdLookup, layouts: BodyLayouts
) -> Batch | None:
    """Return the batch of a body whose layout is known and whose keys all have ids, else None."""
    read = layouts.read(body)
    if read is None:
        return None
    count = len(read.keys)
    ids = np.fromiter(map(metric_id_of, read.keys, repeat(UNKNOWN)), np.int64, count)
    if not ids.all():
        return None
    items = np.arange(count, dtype=np.int64)
    return Batch(ids, items, read.times, read.values, ends_of(read.values), read.keys, [], [])


def _read_mixed(
    bodies: list[bytes],
    metric_id_of: MetricIdLookup,
    columns: tuple[Int64s, Int64s, Float64s, list[bytes]],
    metadata: int,
) -> RemoteWrite:
    """Decode the series that `read_columns` left: unknown ones and those of another form."""
    ids, times, values, keys = columns
    rows = SeriesRows(metric_id_of)
    for item in np.flatnonzero(ids == UNKNOWN).tolist():
        rows.read(item, bodies[item], _read_series_1)
    found = np.flatnonzero(ids != UNKNOWN)
    kept = [keys[item] for item in found.tolist()]
    return joined(rows, (ids[found], found, times[found], values[found], kept), metadata)


def _read_series_1(item: int, body: bytes, rows: SeriesRows) -> None:
    series = SERIES_1.FromString(body)
    if series.exemplars:
        rows.exemplars += len(series.exemplars)
    if series.histograms:
        rows.refuse_histograms(item, decoded_labels(series.labels), len(series.histograms))
    if not series.samples:
        return
    # The labels encoded alone. In a usual body these are the bytes before the sample, which
    # `read_columns` looks up in the next request.
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
    rows = SeriesRows(metric_id_of)
    read = partial(_read_series_2, symbols, _unreadable(symbols))
    for item, series in enumerate(request.timeseries):
        rows.read(item, series, read)
    empty = np.empty(0, np.int64)
    return joined(rows, (empty, empty, empty, np.empty(0), []), rows.metadata)


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
    symbols: list[bytes], unreadable: frozenset[int], item: int, body: bytes, rows: SeriesRows
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


def _parsed(message: Any, body: bytes) -> Any:
    try:
        return message.FromString(body)
    except DecodeError as damage:
        raise Invalid(
            "the body is not the protobuf it claims to be, or was cut short", code="bad_protobuf"
        ) from damage
