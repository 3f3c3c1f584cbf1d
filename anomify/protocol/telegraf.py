"""Telegraf's JSON output: one or many measurements, each of tags and fields."""

from typing import Any

from anomify.protocol.batch import DerivedSeries, Labels

# A key begins with this byte and its parts are joined by the other; neither is in any UTF-8 text,
# so different parts never make the same key. Databases keep hashes of keys: they stay as they are.
TELEGRAF_KEY = b"\xfe"
_PART = b"\xff"
# Elements of a name are parted by dots, so a dot inside one becomes something else.
_ELEMENT = str.maketrans({".": "_", "/": "-", " ": "_"})
# What tells series apart whose tags are the same: a measurement or a field that is not in the name
# as it was sent. A tag of this name is not taken then.
MEASUREMENT_LABEL = "_measurement"
FIELD_LABEL = "_field"


def list_fields(item: object, prefix: str = "") -> list[tuple[str, bytes, Any]] | str:
    """Return (name, key, raw value) of each field of a measurement, or why it cannot be read.

    The name is `host.tags.measurement.field`, the tags' values in the order of their names; with
    a prefix it stands before the host. Different series may have the same name, but never the same
    key. A tag without a value is an absent one.

    >>> item = {"name": "cpu", "tags": {"host": "web.1", "cpu": "cpu0"},
    ...         "fields": {"usage_idle": 97.5}, "timestamp": 1767225600}
    >>> [(name, value) for name, _key, value in list_fields(item)]
    [('web_1.cpu0.cpu.usage_idle', 97.5)]
    """
    if not isinstance(item, dict):
        return "it is not an object with name, tags and fields"
    name, tags, fields = item.get("name"), item.get("tags") or {}, item.get("fields")
    if not isinstance(name, str) or not name:
        return "the measurement has no name"
    if not isinstance(fields, dict) or not fields:
        return "the measurement has no fields"
    if not isinstance(tags, dict):
        return "the tags are not an object"
    texts = {}
    for tag in sorted(tags):
        value = tags[tag]
        if value is None or isinstance(value, list | dict):
            return f"the tag {tag[:40]!a} has a value that is neither a text nor a number"
        if value != "":
            texts[tag] = str(value)
    stem = ".".join(_stem(prefix, name, texts))
    begun = _key(prefix, name, texts)
    return [
        (
            f"{stem}.{field.translate(_ELEMENT)}",
            begun + field.encode("utf-8", "surrogatepass"),
            value,
        )
        for field, value in fields.items()
    ]


def series_of_key(key: bytes) -> DerivedSeries:
    """Return what a key of `list_fields` stands for."""
    parts = [
        part.decode("utf-8", "surrogatepass") for part in key[len(TELEGRAF_KEY) :].split(_PART)
    ]
    prefix, name, *pairs, field = parts
    tags = dict(zip(pairs[::2], pairs[1::2], strict=True))
    labels: Labels = tuple(tags.items())
    if name != _element(name) or MEASUREMENT_LABEL in tags:
        labels += ((MEASUREMENT_LABEL, name),)
    if field != _element(field) or FIELD_LABEL in tags:
        labels += ((FIELD_LABEL, field),)
    if not labels:
        # The name alone is what others may have.
        labels = ((MEASUREMENT_LABEL, name),)
    return DerivedSeries(key, ".".join([*_stem(prefix, name, tags), _element(field)]), labels)


def _stem(prefix: str, name: str, tags: dict[str, str]) -> list[str]:
    """Return the elements before the field's, of tags in the order of their names."""
    elements = [tags["host"]] if "host" in tags else []
    elements += [value for tag, value in tags.items() if tag != "host"]
    stem = [_element(element) for element in [*elements, name]]
    return [prefix, *stem] if prefix else stem


def _key(prefix: str, name: str, tags: dict[str, str]) -> bytes:
    """Return the key without the field, which comes last."""
    parts = [prefix, name]
    for tag, value in tags.items():
        parts += [tag, value]
    return TELEGRAF_KEY + _PART.join([_encoded(part) for part in parts]) + _PART


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _element(text: str) -> str:
    return text.translate(_ELEMENT)
