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
    def test_refuses_one_item_with_the_reason(self, item, reason):
        good = {"metric": "good", "timestamp": AT, "value": 1}
        found = post({"metrics": [good, item, good]})
        ((index, metric, wording),) = reasons(found)
        assert index == 1
        assert metric in {"m", ""}
        assert reason in wording
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
            b"[" * 100_000,
            b'{"a":' * 100_000,
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

    def test_takes_a_hundred_thousand_items_and_not_one_more(self):
        item = b'{"metric":"m","timestamp":%d,"value":1}' % AT
        for is_telegraf in (False, True):
            one = b'{"name":"m","fields":{"f":1},"timestamp":%d}' % AT if is_telegraf else item
            body = b'{"metrics":[' + b",".join([one] * 100_000) + b"]}"
            assert parse_post(body, is_telegraf=is_telegraf).count == 100_000
            with pytest.raises(TooLarge, match="100,001"):
                parse_post(body[:-2] + b"," + one + b"]}", is_telegraf=is_telegraf)

    def test_refuses_more_values_than_memory_is_for(self):
        with pytest.raises(TooLarge, match="values"):
            post([[]] * 1_600_000)

    @pytest.mark.parametrize(
        "unusual",
        [
            b"1" * 309,
            b"1" * 5000,
            b"-" + b"9" * 10_000,
            b"1e999999999",
            b"-1e-999999999",
            b"NaN",
            b"-Infinity",
            b'"\\udcff"',
            b'"\xff\xfe"',
            b"[" * 5_000 + b"]" * 5_000,
            b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
            b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}",
            b"true",
            b"{}",
        ],
        ids=lambda unusual: repr(unusual[:12]),
    )
    def test_loses_no_neighbour_of_an_item_with_an_unusual_part(self, unusual):
        good = b'{"metric":"good","name":"good","fields":{"f":1},"timestamp":%d,"value":1}' % AT
        whole = (b'{"metric":%b}', b'{"metric":"m","timestamp":%b,"value":1}', b"%b")
        parts = (b'"m":%b,', b'"metric":%b,', b'"value":%b,', b'"timestamp":%b,', b'"fill":%b,')
        items = [one.replace(b"%b", unusual) for one in whole]
        items += [b"{" + part.replace(b"%b", unusual) + b'"x":1}' for part in parts]
        items += [
            b'{"name":"n","tags":{"t":%b},"fields":{"f":%b},"timestamp":%d}'
            % (unusual, unusual, AT)
        ]
        for item in items:
            body = b'{"metrics":[' + b",".join([good, item, good]) + b"]}"
            for is_telegraf in (False, True):
                found = parse_post(body, is_telegraf=is_telegraf)
                assert [point.item for point in found.live if point.item != 1] == [0, 2]
                for refusal in found.refusals:
                    assert refusal.index == 1
                    assert (refusal.metric + refusal.reason).encode()

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

    @pytest.mark.parametrize(
        ("timestamp", "time_ms"),
        [
            (f"{AT}.5", AT * 1000 + 500),
            (f"{AT}.", AT * 1000),
            (f"{AT}.123456789", AT * 1000 + 123),
            ("1.79e9", 1_790_000_000_000),
            (f" {AT} ", AT * 1000),
        ],
    )
    def test_reads_fractions_of_seconds(self, timestamp, time_ms):
        found = parse_query({"metric": "m", "timestamp": timestamp, "value": "1e 3"})
        assert read(found.live) == [(0, "m", time_ms, 1000.0)]

    @pytest.mark.parametrize(
        ("timestamp", "reason"),
        [
            ("", "no timestamp"),
            ("1_790_000_000", "such as"),
            ("\uff11\uff17\uff19\uff10\uff10\uff10\uff10\uff10\uff10\uff10", "such as"),
            ("2026-11-28T12:00:00Z", "such as"),
            (str(AT * 1000), "milliseconds"),
            (f"{AT * 1000}.5", "milliseconds"),
            (str(AT * 10**6), "microseconds"),
            (str(AT * 10**9), "nanoseconds"),
            ("9" * 99, "unix seconds"),
            ("nan", "unix seconds"),
            ("9" * 5000, "such as"),
        ],
    )
    def test_refuses_an_invalid_time_with_the_expected_form(self, timestamp, reason):
        (refusal,) = parse_query({"metric": "m", "timestamp": timestamp, "value": "1"}).refusals
        assert reason in refusal.reason

    @pytest.mark.parametrize("value", ["", "one", "0x10", "1_000", "\uff11", "1,5", None])
    def test_refuses_other_text(self, value):
        query = {"metric": "m", "timestamp": str(AT)} | ({"value": value} if value else {})
        assert len(parse_query(query).refusals) == 1
