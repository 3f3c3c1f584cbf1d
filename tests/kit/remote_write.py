"""Bodies as real senders make them, from the official definitions of both versions.

Field numbers are those of prometheus/prometheus `prompb/types.proto`, `prompb/remote.proto` and
`prompb/io/prometheus/write/v2/types.proto`.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]

ONE = {
    "MetricMetadata": "type:1:uint32 metric_family_name:2:string help:4:string unit:5:string",
    "Sample": "value:1:double timestamp:2:int64",
    "Label": "name:1:string value:2:string",
    "Exemplar": "labels:1:[Label] value:2:double timestamp:3:int64",
    "Histogram": "count_int:1:uint64 sum:3:double schema:4:sint32 timestamp:15:int64",
    "TimeSeries": "labels:1:[Label] samples:2:[Sample] exemplars:3:[Exemplar]"
    " histograms:4:[Histogram]",
    "WriteRequest": "timeseries:1:[TimeSeries] metadata:3:[MetricMetadata]",
}
TWO = {
    "Sample": "value:1:double timestamp:2:int64",
    "Exemplar": "labels_refs:1:[uint32] value:2:double timestamp:3:int64",
    "Metadata": "type:1:uint32 help_ref:3:uint32 unit_ref:4:uint32",
    "Histogram": "count_int:1:uint64 sum:3:double schema:4:sint32 timestamp:15:int64",
    "TimeSeries": "labels_refs:1:[uint32] samples:2:[Sample] histograms:3:[Histogram]"
    " exemplars:4:[Exemplar] metadata:5:Metadata created_timestamp:6:int64",
    "Request": "symbols:4:[string] timeseries:5:[TimeSeries]",
}


def _messages(package: str, shapes: Mapping[str, str]) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for shape, fields in shapes.items():
        message = file.message_type.add(name=shape)
        for field in fields.split():
            name, number, kind = field.split(":")
            of = kind.strip("[]")
            is_message = of in shapes
            message.field.add(
                name=name,
                number=int(number),
                type=FIELD.TYPE_MESSAGE if is_message else getattr(FIELD, f"TYPE_{of.upper()}"),
                label=FIELD.LABEL_REPEATED if "[" in kind else FIELD.LABEL_OPTIONAL,
                type_name=f".{package}.{of}" if is_message else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        shape: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{shape}"))
        for shape in shapes
    }


Labels = Mapping[str, str] | Sequence[tuple[str, str]]
PROMETHEUS = _messages("prometheus", ONE)
WRITE_2 = _messages("io.prometheus.write.v2", TWO)


def series(labels: Labels, *samples: tuple[int, float], **others: Any) -> Any:
    """A 1.0 series: labels as a mapping (sent as sorted) or as pairs (sent as they are)."""
    pairs = sorted(labels.items()) if isinstance(labels, Mapping) else labels
    return PROMETHEUS["TimeSeries"](
        labels=[{"name": name, "value": value} for name, value in pairs],
        samples=[{"timestamp": time, "value": value} for time, value in samples],
        **others,
    )


def body_1(*timeseries: Any, metadata: Sequence[Any] = ()) -> bytes:
    request = PROMETHEUS["WriteRequest"](timeseries=timeseries, metadata=metadata)
    return bytes(request.SerializeToString())


def body_2(*timeseries: Any) -> bytes:
    """A 2.0 request of (labels, samples, other fields of the series) each."""
    symbols = [""]

    def ref(text: str) -> int:
        if text not in symbols:
            symbols.append(text)
        return symbols.index(text)

    made = []
    for labels, samples, *others in timeseries:
        pairs = sorted(labels.items()) if isinstance(labels, Mapping) else labels
        made.append(
            WRITE_2["TimeSeries"](
                labels_refs=[ref(text) for pair in pairs for text in pair],
                samples=[{"timestamp": time, "value": value} for time, value in samples],
                **(others[0] if others else {}),
            )
        )
    return bytes(WRITE_2["Request"](symbols=symbols, timeseries=made).SerializeToString())


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))
