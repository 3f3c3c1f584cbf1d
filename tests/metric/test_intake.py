import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.metric.intake import FUTURE_MS, OLDEST_MS, Intake
from anomify.metric.registry import OverQuota
from anomify.org.refused_items import Refused
from anomify.protocol.batch import BatchBuilder, plain_key
from anomify.protocol.prometheus import parse_write_1
from tests.kit.remote_write import STALE, body_1, series

NOW = 1_790_000_000_000
UP = {"__name__": "up", "job": "node"}


def plain(*datapoints, known=None):
    """A batch of (metric, time, value); `known` maps names to ids."""
    ids = {f"={name}".encode(): metric for name, metric in (known or {}).items()}
    builder = BatchBuilder(ids.get)
    for item, datapoint in enumerate(datapoints):
        name, *point = datapoint
        builder.add(item, plain_key(name), name, *point)
    return builder.batch()


def rows(points):
    return list(
        zip(points.metric_ids.tolist(), points.times.tolist(), points.values.tolist(), strict=True)
    )


class TestIntake:
    def test_passes_known_datapoints_unchanged(self):
        intake = Intake(plain(("a", NOW, 1.5), ("b", NOW, -0.0), known={"a": 1, "b": 2}), NOW)
        assert rows(intake.points) == [(1, NOW, 1.5), (2, NOW, -0.0)]
        assert (intake.accepted, intake.refusals(), intake.names) == (2, [], {})

    @pytest.mark.parametrize(
        ("time", "value", "reason", "kind"),
        [
            (NOW, math.nan, "NaN", "nan"),
            (NOW, math.inf, "infinite", "infinite"),
            (NOW, -math.inf, "infinite", "infinite"),
            (NOW + FUTURE_MS + 1, 1.0, "in the future", "future"),
            (OLDEST_MS - 1, 1.0, "before the year 2000", "too_old"),
            (-(2**62), 1.0, "before the year 2000", "too_old"),
            (2**62, math.nan, "in the future", "future"),
        ],
    )
    def test_refuses_one_datapoint_and_keeps_the_others(self, time, value, reason, kind):
        batch = plain(("a", NOW, 1.0), ("b", time, value), ("a", NOW, 2.0), known={"a": 1, "b": 2})
        intake = Intake(batch, NOW)
        assert [row[2] for row in rows(intake.points)] == [1.0, 2.0]
        (refusal,) = intake.refusals()
        assert (refusal.index, refusal.metric) == (1, "b")
        assert reason in refusal.reason
        assert intake.refused_kinds() == {kind: Refused(1, "b", refusal.reason)}

    @pytest.mark.parametrize("time", [NOW + FUTURE_MS, OLDEST_MS])
    def test_takes_the_last_moments_that_are_allowed(self, time):
        assert Intake(plain(("a", time, 1.0), known={"a": 1}), NOW).accepted == 1

    @pytest.mark.parametrize("value", [1e308, 5e-324, 2.0**60, -1e-9])
    def test_takes_every_finite_number(self, value):
        assert rows(Intake(plain(("a", NOW, value), known={"a": 1}), NOW).points)[0][2] == value

    def test_has_new_metrics_registered_only_for_what_can_be_stored(self):
        batch = plain(("good", NOW, 1.0), ("bad", NOW, math.nan), ("x{", NOW, 1.0))
        intake = Intake(batch, NOW)
        assert intake.names == {b"=good": "good"}
        intake.settle({b"=good": 7}, {})
        assert rows(intake.points) == [(7, NOW, 1.0)]
        assert [(refusal.index, refusal.metric) for refusal in intake.refusals()] == [
            (1, "bad"),
            (2, "x{"),
        ]
        assert "brace" in intake.refusals()[1].reason

    def test_reports_series_refused_by_the_quota(self):
        intake = Intake(plain(("a", NOW, 1.0), ("b", NOW, 1.0), ("b", NOW + 1, 1.0)), NOW)
        intake.settle({b"=a": 1}, {b"=b": OverQuota("the limit is reached")})
        assert [(refusal.index, refusal.reason) for refusal in intake.refusals()] == [
            (1, "the limit is reached"),
            (2, "the limit is reached"),
        ]
        assert intake.accepted == 1
        assert intake.refused_kinds() == {"quota": Refused(2, "b", "the limit is reached")}

    def test_never_stores_a_series_without_an_id(self):
        intake = Intake(plain(("a", NOW, 1.0)), NOW)
        assert len(intake.points) == 0
        with pytest.raises(KeyError):
            intake.settle({}, {})

    def test_puts_the_end_of_a_series_apart(self):
        body = body_1(series(UP, (NOW, 1.0), (NOW + 1, STALE)))
        intake = Intake(parse_write_1(body, {}.get).batch, NOW)
        (key,) = intake.names
        intake.settle({key: 3}, {})
        assert rows(intake.points) == [(3, NOW, 1.0)]
        assert intake.ended.metric_ids.tolist() == [3]
        assert intake.ended.times.tolist() == [NOW + 1]
        assert intake.accepted == 2

    def test_makes_no_metric_of_the_end_of_a_series_that_was_never_seen(self):
        body = body_1(series(UP, (NOW, STALE)))
        intake = Intake(parse_write_1(body, {}.get).batch, NOW)
        assert intake.names == {}
        assert list(intake.ended_names.values()) == ['up{job="node"}']
        intake.settle({}, {})
        assert (len(intake.ended), intake.refusals()) == (0, [])

    def test_adds_the_server_to_every_name(self):
        intake = Intake(plain(("a.b", NOW, 1.0), ('c{x="1"}', NOW, 1.0)), NOW, "web 1")
        assert list(intake.names.values()) == [
            'a.b{_server_id="web 1"}',
            'c{_server_id="web 1",x="1"}',
        ]

    def test_shows_of_a_series_without_a_name_what_there_is(self):
        body = body_1(series({"job": "node"}, (NOW, 1.0)))
        (refusal,) = Intake(parse_write_1(body, {}.get).batch, NOW).refusals()
        assert refusal.metric == "job=node"
        assert "__name__" in refusal.reason

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b", "", "x{", "n\0"]),
                st.sampled_from([NOW, NOW + 10**9, 0]),
                st.sampled_from([1.0, math.nan, math.inf]),
            ),
            max_size=12,
        )
    )
    def test_accounts_for_every_item(self, datapoints):
        intake = Intake(plain(*datapoints, known={"b": 2}), NOW)
        intake.settle(dict.fromkeys(intake.names, 9), {})
        refused = [refusal.index for refusal in intake.refusals()]
        stored = len(intake.points)
        assert stored == intake.accepted == len(datapoints) - len(refused)
        assert refused == sorted(set(refused))
        assert sum(one.items for one in intake.refused_kinds().values()) == len(refused)

    @pytest.mark.parametrize(
        ("labels", "kind"),
        [
            ([("__name__", "m"), ("a", "1"), ("a", "2")], "duplicate_label"),
            ([("__name__", "m" * 513)], "name_too_long"),
            ([("__name__", "m"), ("a", "x" * 20_000)], "name_too_long"),
            ([("job", "node")], "bad_name"),
        ],
    )
    def test_counts_names_that_are_none_by_what_is_wrong_with_them(self, labels, kind):
        intake = Intake(parse_write_1(body_1(series(labels, (NOW, 1.0))), {}.get).batch, NOW)
        assert list(intake.refused_kinds()) == [kind]
