"""Counts from web pages are read strictly: by name, and as a whole."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.errors import Invalid
from anomify.protocol.page_events import COUNT_MAX, EVENTS_MAX, parse_page_events


def body(*events, **more):
    return json.dumps({"key": "k", "site": "shop", "events": list(events), **more}).encode()


class TestParsePageEvents:
    def test_adds_up_the_events_of_one_name(self):
        read = parse_page_events(body({"name": "a"}, {"name": "b.c", "count": 2}, {"name": "a"}))
        assert (read.key, read.site) == ("k", "shop")
        assert read.counts == {"a": 2, "b.c": 2}
        assert read.refused == []

    @pytest.mark.parametrize("name", ["", "a b", "a..b", ".a", "a{b}", "é", "a\n", "x" * 129])
    def test_refuses_a_name_that_none_can_be_by_itself(self, name):
        read = parse_page_events(body({"name": name}, {"name": "good"}))
        assert read.counts == {"good": 1}
        assert [(one.metric, one.kind) for one in read.refused] == [(name[:128], "bad_name")]

    @pytest.mark.parametrize(
        "count", [0, -1, COUNT_MAX + 1, 1.5, True, None, "1", 10**400, 1e400, math.nan, []]
    )
    def test_refuses_a_count_that_is_none_by_itself(self, count):
        read = parse_page_events(body({"name": "a", "count": count}, {"name": "good"}))
        assert [one.metric for one in read.refused] == ["a"]
        assert read.counts == {"good": 1}

    @pytest.mark.parametrize("event", [17, None, [], "a", {}, {"name": 3}, {"name": "\udcff"}])
    def test_refuses_an_event_that_is_none_by_itself(self, event):
        read = parse_page_events(body({"name": "good"}, event))
        assert [one.index for one in read.refused] == [1]
        assert read.refused[0].metric.encode() is not None
        assert read.counts == {"good": 1}

    @pytest.mark.parametrize(
        "whole",
        [
            b"",
            b"[]",
            b"\xff",
            b"[" * 10_000,
            body(),
            body(*({"name": "a"} for _ in range(EVENTS_MAX + 1))),
            body({"name": "a"}, site="a b"),
            body({"name": "a"}, site="x" * 65),
        ],
    )
    def test_refuses_a_body_without_key_site_or_events(self, whole):
        with pytest.raises(Invalid):
            parse_page_events(whole)

    @given(st.binary(max_size=200))
    def test_fails_on_no_bytes_in_any_other_way(self, whole):
        with pytest.raises(Invalid):
            parse_page_events(whole)
