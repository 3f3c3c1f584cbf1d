import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.errors import Invalid, TooLarge
from anomify.protocol.flux import parse_post, parse_query

AT = 1_790_000_000


def post(document, **flags):
    return parse_post(json.dumps(document).encode(), **flags)


def read(datapoints):
    return [(point.item, point.metric, point.time_ms, point.value) for point in datapoints]


def reasons(found):
    return [(refusal.index, refusal.metric, refusal.reason) for refusal in found.refusals]


class TestParsePost:
    def test_reads_one_datapoint(self):
        found = post({"key": "k", "metric": "a.b", "timestamp": AT, "value": 1})
        assert found.key == "k"
        assert read(found.live) == [(0, "a.b", AT * 1000, 1.0)]
        assert (found.count, found.is_test, found.is_key_check) == (1, False, False)

    def test_reads_many_and_parts_history_from_what_is_live(self):
        found = post(
            {
                "key": "k",
                "metrics": [
                    {"metric": "a", "timestamp": AT, "value": 1.5},
                    {"metric": "b", "timestamp": AT - 0.25, "value": -2, "fill": "true"},
                    {"metric": "c", "timestamp": str(AT), "value": 0, "fill": "false"},
                ],
            }
        )
        assert read(found.live) == [(0, "a", AT * 1000, 1.5), (2, "c", AT * 1000, 0.0)]
        assert read(found.backfill) == [(1, "b", AT * 1000 - 250, -2.0)]

    def test_reads_a_bare_list(self):
        assert post([{"metric": "a", "timestamp": AT, "value": 1}]).count == 1

    @pytest.mark.parametrize(
        ("item", "reason"),
        [
            ({"metric": "m", "timestamp": AT, "value": "1"}, "the value is a string"),
            ({"metric": "m", "timestamp": AT, "value": True}, "the value is a boolean"),
            ({"metric": "m", "timestamp": AT, "value": None}, "it has no value"),
            ({"metric": "m", "timestamp": AT}, "it has no value"),
            ({"metric": "m", "timestamp": AT, "value": [1]}, "the value is not a number"),
            ({"metric": "m", "timestamp": AT, "value": 10**320}, "the value is too large"),
            ({"metric": "m", "value": 1}, "it has no timestamp"),
            ({"metric": "m", "timestamp": "today", "value": 1}, "the timestamp is not a number"),
            ({"metric": "m", "timestamp": False, "value": 1}, "the timestamp is not a number"),
            ({"metric": "m", "timestamp": AT * 1000, "value": 1}, "must be unix seconds"),
            ({"metric": "m", "timestamp": float("inf"), "value": 1}, "must be unix seconds"),
            ({"metric": 7, "timestamp": AT, "value": 1}, "it has no metric name"),
            ({"fields": {}, "name": "cpu"}, "Telegraf"),
            (17, "it is not an object"),
        ],
    )
    def test_says_of_one_item_why_it_cannot_be_used(self, item, reason):
        good = {"metric": "good", "timestamp": AT, "value": 1}
        found = post({"metrics": [good, item, good]})
        ((index, metric, said),) = reasons(found)
        assert index == 1
        assert metric in {"m", ""}
        assert reason in said
        assert [point.item for point in found.live] == [0, 2]

    @pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400"])
    def test_lets_numbers_pass_that_are_refused_one_by_one_later(self, literal):
        body = f'{{"metrics": [{{"metric": "m", "timestamp": {AT}, "value": {literal}}}]}}'
        (point,) = parse_post(body.encode()).live
        assert point.value in {float("inf"), float("-inf")} or point.value != point.value

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"null",
            b"3",
            b'"text"',
            b"{}",
            b'{"metrics": {}}',
            b'{"value": ' + b"1" * 5000 + b"}",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"metric": "\xff", "value": 1}',
            b'{"key": "k"}',
        ],
        ids=lambda body: repr(body[:20]),
    )
    def test_refuses_what_is_no_such_json(self, body):
        with pytest.raises(Invalid):
            parse_post(body)

    def test_needs_no_datapoint_to_check_a_key(self):
        found = post({"key": "k", "validate_key": True})
        assert (found.is_key_check, found.count) == (True, 0)

    def test_marks_a_dry_run(self):
        assert post({"metric": "m", "timestamp": AT, "value": 1, "test": True}).is_test

    def test_takes_ten_thousand_items_and_not_one_more(self):
        item = {"metric": "m", "timestamp": AT, "value": 1}
        assert post({"metrics": [item] * 10_000}).count == 10_000
        with pytest.raises(TooLarge, match="10,001"):
            post({"metrics": [item] * 10_001})

    @given(st.binary(max_size=200))
    def test_reads_or_refuses_any_bytes(self, body):
        for is_telegraf in (False, True):
            try:
                found = parse_post(body, is_telegraf=is_telegraf)
            except Invalid:
                continue
            assert found.count == len(found.live) + len(found.backfill) + len(found.refusals)

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["metric", "timestamp", "value", "name", "fields", "tags", "fill"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )

    @given(st.lists(json_values, max_size=4))
    def test_accounts_for_every_item_of_any_list(self, items):
        body = json.dumps({"metrics": items}).encode()
        for is_telegraf in (False, True):
            found = parse_post(body, is_telegraf=is_telegraf)
            assert found.count == len(found.live) + len(found.backfill) + len(found.refusals)


class TestParseQuery:
    def test_reads_numbers_from_text(self):
        found = parse_query({"key": "k", "metric": "m", "timestamp": str(AT), "value": "1.5e3"})
        assert read(found.live) == [(0, "m", AT * 1000, 1500.0)]

    def test_marks_history(self):
        query = {"metric": "m", "timestamp": str(AT), "value": "1", "fill": "true"}
        assert len(parse_query(query).backfill) == 1

    @pytest.mark.parametrize("value", ["", "one", "0x10", None])
    def test_refuses_other_text(self, value):
        query = {"metric": "m", "timestamp": str(AT)} | ({"value": value} if value else {})
        assert len(parse_query(query).refusals) == 1
