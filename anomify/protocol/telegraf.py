"""Decodes the JSON output of Telegraf: measurements with tags and fields.

Source: Telegraf documentation, "JSON serializer" (plugins/serializers/json) and "Metrics".
"""

from typing import Any

from anomify.protocol.batch import DerivedSeries, Labels

# A key begins with the first byte and its parts are joined by the second. No UTF-8 text contains
# either, so different parts never give the same key. Hashes of keys are stored: do not change them.
TELEGRAF_KEY = b"\xfe"
_PART = b"\xff"
# Dots separate the elements of a name, so a dot inside an element is replaced.
_ELEMENT = str.maketrans({".": "_", "/": "-", " ": "_"})
# Labels that distinguish series with equal names and tags: the measurement or the field as it was
# sent, where the name holds it in another form.
MEASUREMENT_LABEL = "_measurement"
FIELD_LABEL = "_field"


def list_fields(item: object, prefix: str = "") -> list[tuple[str, bytes, Any]] | str:
    """Return (name, key, raw value) of each field of a measurement, or the reason for a refusal.

    The name is `host.tags.measurement.field`, with the values of the tags in the order of their
    names, and after `prefix` where one is given. Different series may have the same name, but never
    the same key. A tag with an empty value is left out.

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
    """Return the series of a key that `list_fields` returned.

    >>> [(name, key, _)] = list_fields({"name": "mem", "fields": {"free": 1}})
    >>> series_of_key(key).name, series_of_key(key).labels
    ('mem.free', (('_measurement', 'mem'),))
    """
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
        # A plain metric may have the same name, so there must be a label.
        labels = ((MEASUREMENT_LABEL, name),)
    return DerivedSeries(key, ".".join([*_stem(prefix, name, tags), _element(field)]), labels)


def _stem(prefix: str, name: str, tags: dict[str, str]) -> list[str]:
    """Return the elements of the name before that of the field."""
    elements = [tags["host"]] if "host" in tags else []
    elements += [value for tag, value in tags.items() if tag != "host"]
    stem = [_element(element) for element in [*elements, name]]
    return [prefix, *stem] if prefix else stem


def _key(prefix: str, name: str, tags: dict[str, str]) -> bytes:
    """Return the beginning of the key, to which the field is appended."""
    parts = [prefix, name]
    for tag, value in tags.items():
        parts += [tag, value]
    return TELEGRAF_KEY + _PART.join([_encoded(part) for part in parts]) + _PART


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _element(text: str) -> str:
    return text.translate(_ELEMENT)
