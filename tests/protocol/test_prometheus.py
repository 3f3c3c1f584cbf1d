import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.errors import Invalid, TooLarge
from anomify.protocol import prometheus, prometheus_rows
from anomify.protocol.prometheus import parse_write_1, parse_write_2
from anomify.protocol.prometheus_rows import labels_of_key
from tests.kit.remote_write import STALE, WRITE_2, body_1, body_2, series

NOW = 1_790_000_000_000
UP = {"__name__": "up", "instance": "web:9100", "job": "node"}
LOAD = {"__name__": "load1", "instance": "web:9100", "job": "node"}


class Names:
    """Learns every unknown series, as the registry does."""

    def __init__(self):
        self.ids = {}
        self.known = self.ids.get

    def learn(self, written):
        for unknown in written.batch.unknown_series:
            self.ids[unknown.key] = len(self.ids) + 1
        return written

    def rows(self, written):
        """(labels, time, value) of every row, ends as None, in the order given."""
        batch = written.batch
        labels = dict.fromkeys(range(len(batch)))
        for row, key in enumerate(batch.keys):
            labels[row] = labels_of_key(key)
        return [
            (dict(labels[row]), int(batch.times[row]), None if batch.ends[row] else value)
            for row, value in enumerate(batch.values.tolist())
        ]


def sent(timeseries):
    return [
        (dict(labels), time, None if value is STALE else value)
        for labels, samples in timeseries
        for time, value in samples
    ]


labels = st.dictionaries(
    st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=8), max_size=3
)
values = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e308, 5e-324, -7.5, STALE]), st.floats(allow_nan=False)
)
times = st.one_of(
    st.integers(NOW, NOW + 10**7), st.sampled_from([0, -1, 1, 2**35 - 1, 2**42, 2**62, -(2**62)])
)
requests = st.lists(st.tuples(labels, st.lists(st.tuples(times, values), max_size=3)), max_size=8)


class TestParseWrite1:
    def test_names_a_series_it_meets_for_the_first_time(self):
        written = parse_write_1(body_1(series(UP, (NOW, 1.0))), Names().known)
        (unknown,) = written.batch.unknown_series
        assert dict(unknown.identity) == UP
        assert unknown.rows == [0]
        assert written.batch.metric_ids.tolist() == [0]

    def test_finds_the_id_in_the_next_request(self):
        names = Names()
        names.learn(parse_write_1(body_1(series(UP, (NOW, 1.0))), names.known))
        written = parse_write_1(body_1(series(UP, (NOW + 15_000, 2.5))), names.known)
        assert written.batch.unknown_series == []
        assert written.batch.metric_ids.tolist() == [1]
        assert written.batch.times.tolist() == [NOW + 15_000]
        assert written.batch.values.tolist() == [2.5]

    def test_finds_the_id_with_an_omitted_value_of_zero(self):
        names = Names()
        names.learn(parse_write_1(body_1(series(UP, (NOW, 1.0))), names.known))
        body = body_1(series(UP, (NOW, 0.0)), series(UP, (NOW + 1, 3.0)))
        batch = parse_write_1(body, names.known).batch
        assert batch.metric_ids.tolist() == [1, 1]
        assert batch.values.tolist() == [0.0, 3.0]
        assert batch.unknown_series == []

    @given(requests)
    def test_reads_a_request_alike_with_known_and_unknown_series(self, timeseries):
        names = Names()
        body = body_1(*(series(labels, *samples) for labels, samples in timeseries))
        first = names.learn(parse_write_1(body, names.known))
        again = parse_write_1(body, names.known)
        assert names.rows(first) == names.rows(again) == sent(timeseries)
        assert again.batch.unknown_series == []
        assert all(again.batch.metric_ids)

    @given(requests, st.randoms(use_true_random=False))
    def test_reads_series_the_same_when_only_some_are_known(self, timeseries, randomness):
        names = Names()
        body = body_1(*(series(labels, *samples) for labels, samples in timeseries))
        unknown_series = parse_write_1(body, names.known).batch.unknown_series
        for unknown in randomness.sample(unknown_series, len(unknown_series) // 2):
            names.ids[unknown.key] = len(names.ids) + 1
        written = parse_write_1(body, names.known)
        assert names.rows(written) == sent(timeseries)
        for unknown in written.batch.unknown_series:
            assert [written.batch.keys[row] for row in unknown.rows] == [unknown.key] * len(
                unknown.rows
            )
        strange = {row for unknown in written.batch.unknown_series for row in unknown.rows}
        assert strange == set(np.flatnonzero(written.batch.metric_ids == 0).tolist())

    def test_keeps_the_order_of_rows_that_share_a_series_and_a_time(self):
        names = Names()
        names.learn(parse_write_1(body_1(series(UP, (NOW, 1.0))), names.known))
        body = body_1(
            series(UP, (NOW, 1.0)),
            series(UP, (NOW, 2.0), (NOW, 3.0)),
            series(UP, (NOW, 4.0)),
            series(UP, (NOW, 0.0)),
        )
        assert parse_write_1(body, names.known).batch.values.tolist() == [1, 2, 3, 4, 0]

    def test_distinguishes_the_end_of_a_series_from_a_nan(self):
        names = Names()
        body = body_1(series(UP, (NOW, STALE)), series(LOAD, (NOW, math.nan)))
        for _ in range(2):
            batch = names.learn(parse_write_1(body, names.known)).batch
            assert batch.ends.tolist() == [True, False]
            assert np.isnan(batch.values).all()

    def test_finds_the_end_of_a_series_among_several_samples(self):
        body = body_1(series(UP, (NOW, 1.0), (NOW + 1, STALE)))
        assert parse_write_1(body, Names().known).batch.ends.tolist() == [False, True]

    def test_counts_exemplars_which_come_as_series_without_samples(self):
        exemplar = {"labels": [{"name": "trace_id", "value": "x"}], "value": 1, "timestamp": NOW}
        written = parse_write_1(body_1(series(UP, exemplars=[exemplar] * 3)), Names().known)
        assert (len(written.batch), written.exemplars, written.batch.unknown_series) == (0, 3, [])
        assert written.batch.refusals == []

    def test_counts_metadata_which_comes_without_series(self):
        metadata = [{"type": 1, "metric_family_name": "up", "help": "x"}] * 203
        written = parse_write_1(body_1(metadata=metadata), Names().known)
        assert (len(written.batch), written.metadata) == (0, 203)

    def test_refuses_native_histograms_by_their_series_and_keeps_the_rest(self):
        histogram = {"count_int": 3, "sum": 1.5, "timestamp": NOW}
        body = body_1(series(UP, (NOW, 1.0)), series(LOAD, histograms=[histogram, histogram]))
        written = parse_write_1(body, Names().known)
        assert written.histograms == 2
        (refusal,) = written.batch.refusals
        assert (refusal.index, refusal.metric) == (1, "load1")
        assert "histograms are not kept" in refusal.reason
        assert len(written.batch) == 1

    def test_is_not_fooled_by_a_label_that_looks_like_a_sample(self):
        names = Names()
        names.learn(parse_write_1(body_1(series(UP, (NOW, 1.0))), names.known))
        plain = body_1(series(UP))
        tail = b"\x12\x10\x09" + struct.pack("<d", 7.0) + b"\x10" + b"\x80" * 5 + b"\x01"
        # The same bytes as a sample's, but inside an exemplar: the series has no sample.
        exemplar = b"\x1a" + bytes([len(tail)]) + tail
        inner = plain[2:] + exemplar
        body = b"\x0a" + bytes([len(inner)]) + inner
        written = parse_write_1(body, names.known)
        assert len(written.batch) == 0
        assert written.exemplars == 1

    def test_reads_labels_that_are_not_utf8_as_a_series_of_its_own(self):
        label = b"\x0a\x04\x0a\x01a\x12\xff"
        with pytest.raises(Invalid):
            parse_write_1(b"\x0a\x06" + label, Names().known)

    @pytest.mark.parametrize(
        "body",
        [b"\x0a\x05ab", b"\xff\xff", body_2((UP, [(NOW, 1.0)]))],
        ids=["cut short", "no tag", "version 2"],
    )
    def test_refuses_what_is_no_write_request(self, body):
        with pytest.raises(Invalid, match="body"):
            parse_write_1(body, Names().known)

    @pytest.mark.parametrize("damaged", [b"\x0a\x7f", b"\x12\x05abc", b"\xff" * 9, b"\x00"])
    def test_refuses_a_series_that_is_damaged_and_keeps_the_others(self, damaged):
        good = body_1(series(UP, (NOW, 1.0)))
        body = good + b"\x0a" + bytes([len(damaged)]) + damaged + body_1(series(LOAD, (NOW, 2.0)))
        names = Names()
        for _ in range(2):
            batch = parse_write_1(body, names.known).batch
            assert [one.index for one in batch.refusals] == [1]
            assert batch.items.tolist() == [0, 2]
            assert batch.values.tolist() == [1.0, 2.0]
            names.learn(parse_write_1(body, names.known))

    def test_refuses_more_samples_than_the_limit(self, monkeypatch):
        monkeypatch.setattr(prometheus_rows, "SAMPLES_MAX", 3)
        for body, parse in (
            (body_1(series(UP, *[(NOW, 1.0)] * 4)), parse_write_1),
            (body_2((UP, [(NOW, 1.0)] * 4)), parse_write_2),
        ):
            with pytest.raises(TooLarge, match="3 samples"):
                parse(body, Names().known)

    def test_takes_an_empty_request(self):
        assert len(parse_write_1(b"", Names().known).batch) == 0

    def test_refuses_more_series_than_the_limit(self, monkeypatch):
        monkeypatch.setattr(prometheus, "SERIES_MAX", 3)
        body = body_1(*[series(UP, (NOW, 1.0))] * 4)
        with pytest.raises(TooLarge, match="4 series"):
            parse_write_1(body, Names().known)

    @settings(max_examples=300)
    @given(st.binary(max_size=200))
    def test_reads_or_refuses_any_bytes(self, body):
        for parse in (parse_write_1, parse_write_2):
            try:
                batch = parse(body, Names().known).batch
            except Invalid:
                continue
            assert len(batch) == len(batch.keys) == sum(len(s.rows) for s in batch.unknown_series)

    def test_reads_or_refuses_every_damaged_body(self):
        names = Names()
        whole = body_1(series(UP, (NOW, 1.0)), series(LOAD, (NOW, 0.0), (NOW, 3.0)))
        names.learn(parse_write_1(whole, names.known))
        randomness = random.Random(11)
        for _ in range(2000):
            damaged = bytearray(whole[: randomness.randrange(len(whole))] or b"\0")
            damaged[randomness.randrange(len(damaged))] = randomness.randrange(256)
            try:
                batch = parse_write_1(bytes(damaged), names.known).batch
            except Invalid:
                continue
            assert len(batch) == len(batch.keys) == len(batch.values)


class TestParseWrite2:
    @given(requests)
    def test_reads_a_request_alike_with_known_and_unknown_series(self, timeseries):
        names = Names()
        body = body_2(*timeseries)
        first = names.learn(parse_write_2(body, names.known))
        again = parse_write_2(body, names.known)
        assert names.rows(first) == names.rows(again) == sent(timeseries)
        assert again.batch.unknown_series == []

    def test_does_not_mind_that_symbols_change_their_places(self):
        names = Names()
        names.learn(parse_write_2(body_2((UP, [(NOW, 1.0)])), names.known))
        body = body_2((LOAD, [(NOW, 5.0)]), (UP, [(NOW, 2.0)]))
        assert parse_write_2(body, names.known).batch.metric_ids.tolist() == [0, 1]

    def test_counts_and_refuses_as_version_1_does(self):
        body = body_2(
            (UP, [(NOW, STALE)], {"metadata": {"type": 1}, "created_timestamp": NOW}),
            (LOAD, [], {"histograms": [{"sum": 1.0}], "exemplars": [{"value": 2.0}]}),
        )
        written = parse_write_2(body, Names().known)
        assert written.batch.ends.tolist() == [True]
        assert (written.histograms, written.exemplars) == (1, 1)
        assert [(refusal.index, refusal.metric) for refusal in written.batch.refusals] == [
            (1, "load1")
        ]

    @pytest.mark.parametrize("refs", [[0, 1, 2], [0, 9], [2**32 - 1, 0]])
    def test_refuses_labels_that_point_nowhere_and_keeps_the_others(self, refs):
        sample = {"value": 1, "timestamp": NOW}
        request = WRITE_2["Request"](
            symbols=["", "__name__", "up"],
            timeseries=[
                {"labels_refs": refs, "samples": [sample]},
                {"labels_refs": [1, 2], "samples": [sample]},
            ],
        )
        batch = parse_write_2(request.SerializeToString(), Names().known).batch
        assert [(one.index, one.kind) for one in batch.refusals] == [(0, "bad_labels")]
        assert batch.items.tolist() == [1]

    def test_refuses_labels_that_are_not_utf8_and_keeps_the_others(self):
        """A help text that is not UTF-8 costs nothing at all."""
        good = body_2((UP, [(NOW, 1.0)], {"metadata": {"type": 1, "help_ref": 1}}))
        bad = b"\x22\x02a\xff" + b"\x22\x08__name__" + b"\x22\x01n"
        parts = WRITE_2["Request"].FromString(good)
        shift = len(parts.symbols)
        series = WRITE_2["TimeSeries"](
            labels_refs=[shift + 1, shift + 2, 1, shift], samples=[{"value": 1, "timestamp": NOW}]
        ).SerializeToString()
        helped = WRITE_2["TimeSeries"](
            labels_refs=[shift + 1, shift + 2],
            samples=[{"value": 2, "timestamp": NOW}],
            metadata={"type": 1, "help_ref": shift},
        ).SerializeToString()
        body = good + bad
        for one in (series, helped):
            body += b"\x2a" + bytes([len(one)]) + one
        batch = parse_write_2(body, Names().known).batch
        assert [(one.index, one.metric, one.kind) for one in batch.refusals] == [
            (1, "n", "bad_labels")
        ]
        assert batch.items.tolist() == [0, 2]

    def test_refuses_a_series_that_is_damaged_and_keeps_the_others(self):
        body = b"\x2a\x02\x0a\x7f" + body_2((UP, [(NOW, 1.0)]))
        batch = parse_write_2(body, Names().known).batch
        assert [one.index for one in batch.refusals] == [0]
        assert batch.items.tolist() == [1]

    def test_refuses_a_body_of_version_1(self):
        with pytest.raises(Invalid, match=r"no io\.prometheus"):
            parse_write_2(body_1(series(UP, (NOW, 1.0))), Names().known)
