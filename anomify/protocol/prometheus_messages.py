"""Declares the protobuf messages of Prometheus remote write 1.0 and 2.0 as far as they are decoded.

Source: prompb/types.proto, prompb/remote.proto and io/prometheus/write/v2/types.proto in
prometheus/prometheus.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_DOUBLE_TYPE = descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE
_INT64 = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
_UINT32 = descriptor_pb2.FieldDescriptorProto.TYPE_UINT32
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_SINGLE = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL


def _messages() -> dict[str, Any]:
    """Return message classes that are wire-compatible with the published ones.

    Parts that are not decoded are of type `bytes`, and so are strings, so that a label that is not
    UTF-8 does not make the whole body invalid.
    """
    shapes: dict[str, list[tuple[str, int, int, bool, str]]] = {
        "Envelope1": [
            ("timeseries", 1, _BYTES, True, ""),
            ("metadata", 3, _BYTES, True, ""),
        ],
        "Label": [("name", 1, _BYTES, False, ""), ("value", 2, _BYTES, False, "")],
        "LabelSet": [("labels", 1, _MESSAGE, True, "Label")],
        "Sample": [("value", 1, _DOUBLE_TYPE, False, ""), ("timestamp", 2, _INT64, False, "")],
        "Series1": [
            ("labels", 1, _MESSAGE, True, "Label"),
            ("samples", 2, _MESSAGE, True, "Sample"),
            ("exemplars", 3, _BYTES, True, ""),
            ("histograms", 4, _BYTES, True, ""),
        ],
        "Envelope2": [
            ("symbols", 4, _BYTES, True, ""),
            ("timeseries", 5, _BYTES, True, ""),
        ],
        "Series2": [
            ("labels_refs", 1, _UINT32, True, ""),
            ("samples", 2, _MESSAGE, True, "Sample"),
            ("histograms", 3, _BYTES, True, ""),
            ("exemplars", 4, _BYTES, True, ""),
            ("metadata", 5, _BYTES, False, ""),
        ],
    }
    package = "anomify.wire"
    file = descriptor_pb2.FileDescriptorProto(
        name="anomify/remote_write.proto", package=package, syntax="proto3"
    )
    for shape, fields in shapes.items():
        message = file.message_type.add(name=shape)
        for name, number, kind, is_repeated, of in fields:
            message.field.add(
                name=name,
                number=number,
                type=kind,
                label=_REPEATED if is_repeated else _SINGLE,
                type_name=f".{package}.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        shape: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{shape}"))
        for shape in shapes
    }


_MESSAGES = _messages()
ENVELOPE_1, ENVELOPE_2 = _MESSAGES["Envelope1"], _MESSAGES["Envelope2"]
SERIES_1, LABEL_SET = _MESSAGES["Series1"], _MESSAGES["LabelSet"]
SERIES_2 = _MESSAGES["Series2"]
