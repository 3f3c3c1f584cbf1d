import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.protocol import prometheus_layout
from anomify.protocol.prometheus import parse_write_1
from anomify.protocol.prometheus_layout import LEAST_SERIES, BodyLayouts
from tests.kit.remote_write import STALE, body_1, series

NOW = 1_790_000_000_000
COUNT = 80


def labels_of(number, extra=""):
    return {"__name__": f"metric_{number % 7}", "instance": f"10.0.0.{number}{extra}:9100"}


def body_of(values, time=NOW, extra=""):
    return body_1(
        *(
            series(labels_of(number, extra), (time + number % 3, value))
            for number, value in enumerate(values)
        )
    )


def ids_of(*bodies):
    ids = {}
    for body in bodies:
        for unknown in parse_write_1(body, ids.get).batch.unknown_series:
            ids[unknown.key] = len(ids) + 1
    return ids


def columns(batch):
    return (
        batch.metric_ids.tolist(),
        batch.items.tolist(),
        batch.times.tolist(),
        batch.values.view(np.int64).tolist(),
        batch.ends.tolist(),
        list(batch.keys),
    )


@pytest.fixture
def layouts():
    return BodyLayouts()


@pytest.fixture
def first_body():
    return body_of([float(number + 1) for number in range(COUNT)])


@pytest.fixture
def ids(first_body):
    return ids_of(first_body)


def learn(layouts, body, ids):
    for _ in range(2):
        parse_write_1(body, ids.get, layouts)
    assert layouts.read(body) is not None


VALUES = st.lists(
    st.one_of(
        st.just(0.0),
        st.just(-0.0),
        st.floats(width=64),
        # A value with the bytes of a sample without a value, which is no such sample.
        st.just(struct.unpack("<d", bytes.fromhex("0012071000120710"))[0]),
    ),
    min_size=COUNT,
    max_size=COUNT,
)


class TestReadsTheSameSeriesAgain:
    @given(values=VALUES, time=st.integers(NOW - 10**12, NOW + 10**12))
    @settings(max_examples=150, deadline=None)
    def test_as_without_a_layout_whatever_the_values_and_times_are(self, values, time):
        body = body_of([float(number + 1) for number in range(COUNT)])
        ids, layouts = ids_of(body), BodyLayouts()
        learn(layouts, body, ids)
        other = body_of(values, time)
        plain, fast = parse_write_1(other, ids.get), parse_write_1(other, ids.get, layouts)
        assert columns(fast.batch) == columns(plain.batch)

    def test_with_some_zeros_by_the_layout(self, layouts, first_body, ids):
        learn(layouts, first_body, ids)
        values = [0.0 if number % 10 == 3 else 1.5 for number in range(COUNT)]
        read = layouts.read(body_of(values))
        assert read is not None
        assert read.values.tolist() == values

    def test_with_stale_markers(self, layouts, first_body, ids):
        learn(layouts, first_body, ids)
        values = [STALE if number == 5 else math.pi for number in range(COUNT)]
        assert parse_write_1(body_of(values), ids.get, layouts).batch.ends.tolist() == [
            number == 5 for number in range(COUNT)
        ]

    def test_with_the_ids_that_the_lookup_returns_now(self, layouts, first_body, ids):
        learn(layouts, first_body, ids)
        deleted = next(iter(ids))
        left = {key: metric_id for key, metric_id in ids.items() if key != deleted}
        batch = parse_write_1(first_body, left.get, layouts).batch
        assert [each.key for each in batch.unknown_series] == [deleted]
        changed = {key: metric_id + 1000 for key, metric_id in ids.items()}
        assert parse_write_1(first_body, changed.get, layouts).batch.metric_ids.min() > 1000

    def test_of_series_whose_length_takes_a_byte_less_without_a_value(self):
        names = [
            {"__name__": "m", "a": f"{number:03}", "b": "x" * (80 + number % 40)}
            for number in range(COUNT)
        ]
        full = body_1(*(series(each, (NOW, 1.0)) for each in names))
        ids, layouts = ids_of(full), BodyLayouts()
        learn(layouts, full, ids)
        for zero in range(COUNT):
            values = [0.0 if number == zero else 2.0 for number in range(COUNT)]
            body = body_1(
                *(series(each, (NOW, value)) for each, value in zip(names, values, strict=True))
            )
            batch = parse_write_1(body, ids.get, layouts).batch
            assert columns(batch) == columns(parse_write_1(body, ids.get).batch)
            assert batch.values.tolist() == values


class TestDecodesOtherBodiesAsUsual:
    def test_with_any_byte_changed(self, layouts, first_body, ids):
        learn(layouts, first_body, ids)
        choose = random.Random(4)
        for _ in range(400):
            body = bytearray(first_body)
            body[choose.randrange(len(body))] ^= 1 << choose.randrange(8)
            outcomes = []
            for known in (None, layouts):
                try:
                    written = parse_write_1(bytes(body), ids.get, known)
                    outcomes.append((columns(written.batch), len(written.batch.refusals)))
                except Exception as problem:  # noqa: BLE001 -- both must raise the same
                    outcomes.append(repr(problem))
            assert outcomes[0] == outcomes[1]

    def test_cut_short_or_longer_or_in_another_order(self, layouts, first_body, ids):
        learn(layouts, first_body, ids)
        assert layouts.read(first_body[:-1]) is None
        assert layouts.read(first_body + b"\x0a\x00") is None
        assert layouts.read(b"") is None
        assert layouts.read(b"\x0a") is None
        assert layouts.read(b"\x0a\xff\x01") is None
        moved = body_1(
            *(series(labels_of(number), (NOW, 1.0)) for number in [0, *range(COUNT - 1, 0, -1)])
        )
        assert layouts.read(moved) is None
        batch = parse_write_1(moved, ids.get, layouts).batch
        assert batch.keys[1] == parse_write_1(first_body, ids.get).batch.keys[-1]

    def test_and_replaces_a_layout_that_does_not_return(self, layouts, first_body, ids):
        learn(layouts, first_body, ids)
        moved = body_1(
            *(series(labels_of(number), (NOW, 1.0)) for number in [0, *range(COUNT - 1, 0, -1)])
        )
        for _ in range(prometheus_layout.MOST_MISSES):
            assert layouts.read(moved) is None
        parse_write_1(moved, ids.get, layouts)
        assert layouts.read(moved) is not None
        assert layouts.read(first_body) is None

    def test_and_replaces_layouts_less_often_if_none_returns(self, layouts, ids, monkeypatch):
        made = []
        plain = prometheus_layout.BodyLayout.__init__

        def counting(layout, keys):
            made.append(len(keys))
            plain(layout, keys)

        monkeypatch.setattr(prometheus_layout.BodyLayout, "__init__", counting)
        choose = random.Random(1)
        for _ in range(300):
            order = [0, *choose.sample(range(1, COUNT), COUNT - 1)]
            body = body_1(*(series(labels_of(number), (NOW, 1.0)) for number in order))
            parse_write_1(body, ids.get, layouts)
        assert len(made) <= 6


class TestBodyLayouts:
    def test_keeps_no_layout_of_a_body_that_came_once(self, layouts, first_body, ids):
        parse_write_1(first_body, ids.get, layouts)
        assert layouts.read(first_body) is None

    def test_keeps_no_layout_of_a_small_body(self, layouts):
        body = body_of([1.0] * (LEAST_SERIES - 1))
        ids = ids_of(body)
        for _ in range(3):
            parse_write_1(body, ids.get, layouts)
        assert layouts.read(body) is None

    def test_drops_the_layouts_that_were_not_used_for_longest(self, monkeypatch):
        monkeypatch.setattr(prometheus_layout, "MOST_LAYOUTS", 3)
        layouts = BodyLayouts()
        bodies = [body_of([1.0] * COUNT, extra=f"{number}") for number in range(4)]
        ids = ids_of(*bodies)
        for body in bodies[:3]:
            learn(layouts, body, ids)
        assert layouts.read(bodies[0]) is not None
        learn(layouts, bodies[3], ids)
        assert [layouts.read(body) is not None for body in bodies] == [True, False, True, True]

    def test_takes_no_more_memory_than_allowed(self):
        one = BodyLayouts()
        bodies = [body_of([1.0] * COUNT, extra=f"{number}") for number in range(8)]
        ids = ids_of(*bodies)
        learn(one, bodies[0], ids)
        layouts = BodyLayouts(one._bytes * 5)
        for body in bodies:
            learn(layouts, body, ids)
        assert layouts._bytes <= one._bytes * 5
        assert sum(layouts.read(body) is not None for body in bodies) >= 4
