"""Telegraf's JSON output: one or many measurements, each of tags and fields."""

from typing import Any

# Elements of a name are parted by dots, so a dot inside one becomes something else.
_ELEMENT = str.maketrans({".": "_", "/": "-", " ": "_"})


def list_fields(item: object, prefix: str = "") -> list[tuple[str, Any]] | str:
    """Return (name, raw value) of each field of a measurement, or why it cannot be read.

    The name is `host.tags.measurement.field`, the tags' values in the order of their names; with
    a prefix it stands before the host.

    >>> list_fields({"name": "cpu", "tags": {"host": "web.1", "cpu": "cpu0"},
    ...              "fields": {"usage_idle": 97.5}, "timestamp": 1767225600})
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
    elements = [tags["host"]] if "host" in tags else []
    elements += [tags[tag] for tag in sorted(tags) if tag != "host"]
    stem = [_element(element) for element in [*elements, name] if element != ""]
    if prefix:
        stem.insert(0, prefix)
    return [(".".join([*stem, _element(field)]), value) for field, value in fields.items()]


def _element(text: object) -> str:
    return str(text).translate(_ELEMENT)
