"""Decodes requests of Flux, the native ingestion protocol.

A request is a JSON body (RFC 8259) with one or many datapoints, a JSON body in the format of
Telegraf, or the query of a GET request with one datapoint.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from anomify.errors import Invalid, TooLarge
from anomify.protocol.batch import (
    UNFORESEEN,
    Batch,
    BatchBuilder,
    MetricIdLookup,
    Refusal,
    plain_key,
)
from anomify.protocol.json_body import decode_body
from anomify.protocol.telegraf import list_fields, series_of_key

# Datapoints. Telegraf sends up to 1,000 measurements of ten to a hundred fields each.
ITEMS_MAX = 100_000
# A larger number is not in seconds. Smaller ones are compared with the clock later.
TIMESTAMP_MAX_SECONDS = 10**11
SHOWN_NAME_CHARACTERS = 200
# A number in a text has ASCII digits only, so neither `1_000` nor digits of other scripts.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)\Z", re.IGNORECASE)
_NUMBER_CHARACTERS_MAX = 100

_NO_MOMENT = (
    "the timestamp must be unix seconds, such as 1795890000 or 1795890000.5, and this is no such"
    " moment"
)
_SMALLER_UNITS = ((1e17, "nanoseconds"), (1e14, "microseconds"), (1e11, "milliseconds"))


class FluxDatapoint(NamedTuple):
    """One decoded item: its position in the request, its metric, unix milliseconds, its value."""

    item: int
    metric: str
    time_ms: int
    value: float
    # The series key where the name is derived from a Telegraf measurement.
    telegraf_key: bytes | None = None


@dataclass(slots=True)
class FluxPost:
    """A decoded request, before its sender is identified: the API key may be in the body.

    `count` is the number of datapoints, refused ones included; `is_single` is True for a body that
    is one datapoint. `live` and `backfill` are the decoded ones, `refusals` the others.
    """

    key: str | None = None
    is_test: bool = False
    is_key_check: bool = False
    is_single: bool = False
    count: int = 0
    live: list[FluxDatapoint] = field(default_factory=list)
    backfill: list[FluxDatapoint] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def batches(self, metric_id_of: MetricIdLookup) -> tuple[Batch, Batch]:
        """Return the live datapoints with all refusals, and the history."""
        return _batch(self.live, self.refusals, metric_id_of), _batch(
            self.backfill, [], metric_id_of
        )


def _batch(
    datapoints: list[FluxDatapoint], refusals: list[Refusal], metric_id_of: MetricIdLookup
) -> Batch:
    builder = BatchBuilder(metric_id_of)
    builder.refusals.extend(refusals)
    for item, metric, time_ms, value, telegraf_key in datapoints:
        if telegraf_key is None:
            builder.add(item, plain_key(metric), metric, time_ms, value)
        else:
            builder.add(item, telegraf_key, series_of_key, time_ms, value)
    return builder.batch()


def parse_post(
    body: bytes, *, is_telegraf: bool = False, prefix: str = "", is_fill: bool = False
) -> FluxPost:
    """Return the datapoints of a JSON body: one, many under `metrics`, or Telegraf's output.

    `prefix` begins the names derived from Telegraf's measurements. With `is_fill` all datapoints
    are history. An item that cannot be used becomes a refusal. Raises `Invalid` for a body that is
    not of any of these forms and `TooLarge` for more than `ITEMS_MAX` datapoints.

    >>> parse_post(b'{"metric": "cpu", "timestamp": 1767225600, "value": 1.5}').live
    [FluxDatapoint(item=0, metric='cpu', time_ms=1767225600000, value=1.5, telegraf_key=None)]
    """
    document = decode_body(body)
    if isinstance(document, list):
        document = {"metrics": document}
    if not isinstance(document, dict):
        raise Invalid("the body must be a JSON object", code="bad_json")
    key = document.get("key")
    post = FluxPost(
        key=key if isinstance(key, str) and key else None,
        is_test=is_true(document.get("test")),
        is_key_check=is_true(document.get("validate_key")),
        is_single="metrics" not in document and not is_telegraf,
    )
    items = _items(document, is_telegraf=is_telegraf)
    if items is None:
        if post.is_key_check:
            return post
        raise Invalid(
            "the body needs metric, timestamp and value, or a list of such objects as metrics",
            code="bad_json",
        )
    fills_all = is_fill or is_true(document.get("fill"))
    if is_telegraf:
        _add_telegraf(post, items, prefix=prefix, is_fill=fills_all)
    else:
        post.count = len(items)
        _check_count(post.count)
        for index, item in enumerate(items):
            try:
                _add_item(post, index, item, fills_all=fills_all)
            except Exception:  # noqa: BLE001 -- whatever one item is, the others are stored
                post.refusals.append(Refusal(index, "", UNFORESEEN))
    return post


def parse_query(query: Mapping[str, str]) -> FluxPost:
    """Return the one datapoint of the query of a GET request, whose values are all text.

    >>> parse_query({"metric": "cpu", "timestamp": "1767225600", "value": "1.5"}).live[0].value
    1.5
    """
    post = FluxPost(
        key=query.get("key"), is_test=is_true(query.get("test")), count=1, is_single=True
    )
    post.is_key_check = is_true(query.get("validate_key"))
    item: dict[str, Any] = dict(query)
    for name in ("timestamp", "value"):
        if name in query:
            # A plus sign that was not escaped arrives as a space: 1e+3 as 1e 3.
            item[name] = _number_of(query[name].strip().replace(" ", "+"))
    _add_item(post, 0, item, fills_all=False)
    return post


def is_true(value: object) -> bool:
    """Return whether a flag is set: True, or the text true, 1 or yes in any case.

    >>> is_true("Yes"), is_true(1)
    (True, False)
    """
    return value is True or (isinstance(value, str) and value.lower() in {"true", "1", "yes"})


def _items(document: dict[Any, Any], *, is_telegraf: bool) -> list[Any] | None:
    if "metrics" in document:
        items = document["metrics"]
        if not isinstance(items, list):
            raise Invalid("metrics must be a list of objects", code="bad_json")
        return items
    single = "fields" if is_telegraf else "metric"
    return [document] if single in document or "value" in document else None


def _check_count(count: int) -> None:
    if count > ITEMS_MAX:
        raise TooLarge(
            f"the body holds {count:,} datapoints; at most {ITEMS_MAX:,} are taken, so split it"
        )


def _add_item(post: FluxPost, index: int, item: object, *, fills_all: bool) -> None:
    if not isinstance(item, dict):
        post.refusals.append(Refusal(index, "", "it is not an object with metric and value"))
        return
    metric = item.get("metric")
    if not isinstance(metric, str):
        reason = "it has no metric name"
        if "fields" in item:
            reason += "; if this is Telegraf's JSON, set the header telegraf to true"
        post.refusals.append(Refusal(index, "", reason))
        return
    time_ms = read_timestamp(item.get("timestamp"))
    value = read_value(item.get("value"))
    if isinstance(time_ms, str) or isinstance(value, str):
        reason = time_ms if isinstance(time_ms, str) else str(value)
        post.refusals.append(Refusal(index, metric[:SHOWN_NAME_CHARACTERS], reason))
        return
    target = post.backfill if fills_all or is_true(item.get("fill")) else post.live
    target.append(FluxDatapoint(index, metric, time_ms, value))


def _add_telegraf(post: FluxPost, items: list[Any], *, prefix: str, is_fill: bool) -> None:
    target = post.backfill if is_fill else post.live
    for index, item in enumerate(items):
        try:
            fields = list_fields(item, prefix)
        except Exception:  # noqa: BLE001 -- whatever one measurement is, the others are stored
            fields = UNFORESEEN
        if isinstance(fields, str):
            post.count += 1
            post.refusals.append(Refusal(index, "", fields))
            continue
        post.count += len(fields)
        _check_count(post.count)
        time_ms = read_timestamp(item.get("timestamp"))
        for metric, key, raw in fields:
            value = read_value(raw)
            if isinstance(time_ms, str) or isinstance(value, str):
                reason = time_ms if isinstance(time_ms, str) else str(value)
                post.refusals.append(Refusal(index, metric[:SHOWN_NAME_CHARACTERS], reason))
            else:
                target.append(FluxDatapoint(index, metric, time_ms, value, key))


def read_value(value: object) -> float | str:
    """Return the number, or the reason why it is none; NaN and infinity are refused later.

    >>> read_value(3), read_value(True)
    (3.0, 'the value is a boolean; send a number')
    """
    if isinstance(value, bool):
        return "the value is a boolean; send a number"
    if isinstance(value, str):
        return "the value is a string; send a number"
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return "the value is too large for a number"
    return "it has no value" if value is None else "the value is not a number"


def read_timestamp(value: object) -> int | str:
    """Return unix milliseconds of unix seconds, or the reason why the value is no timestamp.

    >>> read_timestamp("1767225600.5")
    1767225600500
    """
    if isinstance(value, str):
        value = _number_of(value)
    if value is None or value == "":
        return "it has no timestamp"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (
            "the timestamp is not a number; send unix seconds, such as 1795890000 or 1795890000.5"
        )
    if -TIMESTAMP_MAX_SECONDS < value < TIMESTAMP_MAX_SECONDS:
        return round(value * 1000)
    for least, unit in _SMALLER_UNITS:
        if least <= value < least * 1000:
            return f"the timestamp must be unix seconds, and this seems to be {unit}"
    return _NO_MOMENT


def _number_of(text: str) -> int | float | str:
    """Return the number in a text, or the text itself where it is none."""
    if len(text) > _NUMBER_CHARACTERS_MAX:
        return text
    if _NUMBER.match(text):
        return int(text) if text.isdigit() else float(text)
    return float(text) if _NOT_FINITE.match(text) else text
