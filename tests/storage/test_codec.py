"""Bytes and points: exact both ways, old bytes readable, damage named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anomify.series import Judgements, Points, Series
from anomify.storage.codec import (
    Judged,
    decode_entry,
    decode_judged,
    decode_series,
    encode_entry,
    encode_judged,
    encode_series,
)
from anomify.storage.columns import PCODEC, ZLIB
from anomify.storage.errors import Damaged
from anomify.storage.scores import NOT_JUDGED, score_codes
from tests.kit.points import MINUTE, START, judgements_of, points, series

INT64 = st.integers(-(2**63), 2**63 - 1)
# Every float there is: -0.0, subnormals, infinities and each kind of NaN.
FLOAT64_BITS = st.integers(0, 2**64 - 1)
COUNTS = st.integers(0, 200)


def whole_numbers(count: int) -> st.SearchStrategy[np.ndarray]:
    return st.one_of(
        arrays.arrays(np.int64, count, elements=INT64),
        arrays.arrays(np.int64, count, elements=st.integers(0, 70_000)),
        st.tuples(INT64, st.integers(-(10**6), 10**6)).map(
            lambda pair: np.arange(count, dtype=np.int64) * pair[1] + pair[0]
        ),
    )


def any_floats(count: int, dtype: str = "f8") -> st.SearchStrategy[np.ndarray]:
    width = np.dtype(dtype).itemsize
    bits = st.integers(0, 2 ** (8 * width) - 1)
    return arrays.arrays(f"u{width}", count, elements=bits).map(lambda column: column.view(dtype))


@st.composite
def any_points(draw: st.DrawFn) -> Points:
    count = draw(COUNTS)
    return Points(draw(whole_numbers(count)), draw(whole_numbers(count)), draw(any_floats(count)))


@st.composite
def any_judgements(draw: st.DrawFn, count: int) -> Judgements:
    kinds = st.one_of(st.floats(0, 1, width=32), st.just(np.nan))
    return Judgements(
        draw(arrays.arrays(np.float32, count, elements=kinds)),
        draw(any_floats(count, "f4")),
        draw(any_floats(count, "f4")),
    )


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


class TestEntry:
    @given(any_points(), any_points(), st.booleans())
    def test_is_decoded_bit_for_bit(self, kept: Points, ended: Points, backfill: bool) -> None:
        found, found_ended, found_backfill = decode_entry(
            encode_entry(kept, ended, is_backfill=backfill)
        )
        assert same_bits(found.metric_ids, kept.metric_ids)
        assert same_bits(found.times, kept.times)
        assert same_bits(found.values, kept.values)
        assert same_bits(found_ended.metric_ids, ended.metric_ids)
        assert same_bits(found_ended.times, ended.times)
        assert found_backfill is backfill

    def test_of_two_thousand_metrics_takes_little_more_than_its_values(self) -> None:
        kept = points(*((metric, START, metric / 7) for metric in range(5000, 7000)))
        blob = encode_entry(kept, Points.empty(), is_backfill=False)
        assert len(blob) < 2000 * 8 + 2000 * 2 + 100

    def test_longer_than_the_short_directory_is_decoded(self) -> None:
        kept = points(*((metric, START + metric, metric / 7) for metric in range(20_000)))
        found, _, _ = decode_entry(encode_entry(kept, Points.empty(), is_backfill=False))
        assert same_bits(found.values, kept.values)
        assert same_bits(found.times, kept.times)


class TestSeries:
    @given(st.data(), COUNTS, st.sampled_from([PCODEC, ZLIB]))
    def test_is_decoded_bit_for_bit(self, data: st.DataObject, count: int, codec: int) -> None:
        judgements = data.draw(any_judgements(count))
        kept = Series(data.draw(whole_numbers(count)), data.draw(any_floats(count)), judgements)
        found = decode_series(encode_series(kept, codec=codec))
        assert same_bits(found.times, kept.times)
        assert same_bits(found.values, kept.values)
        codes = score_codes(judgements.scores)
        assert same_bits(score_codes(found.judgements.scores), codes)
        if (codes != NOT_JUDGED).any():
            assert same_bits(found.judgements.lowers, judgements.lowers)
            assert same_bits(found.judgements.uppers, judgements.uppers)

    def test_keeps_the_sign_of_zero_and_the_smallest_number(self) -> None:
        kept = series(*((START + row, value) for row, value in enumerate([-0.0, 5e-324, 0.0] * 9)))
        found = decode_series(encode_series(kept))
        assert np.signbit(found.values).tolist() == [True, False, False] * 9
        assert found.values[1] == 5e-324

    def test_without_judgements_stores_no_columns_for_them(self) -> None:
        kept = series(*((START + row * MINUTE, 1.0) for row in range(120)))
        assert len(encode_series(kept)) < 60

    def test_of_two_hours_takes_less_than_three_bytes_a_value(self) -> None:
        steps = np.random.default_rng(1).normal(0, 1, 120)
        values = np.round(50 + 10 * np.sin(np.arange(120) / 30) + steps, 2)
        kept = series(*((START + row * MINUTE, value) for row, value in enumerate(values)))
        assert len(encode_series(kept)) < 3 * 120


class TestScoreCodes:
    def test_stay_the_same_however_often_they_are_stored(self) -> None:
        once = judgements_of(*((score, 0, 0) for score in np.linspace(0, 1, 1001)))
        kept = Series(np.arange(1001) + START, np.zeros(1001), once)
        twice = decode_series(encode_series(kept))
        thrice = decode_series(encode_series(twice))
        assert same_bits(thrice.judgements.scores, twice.judgements.scores)

    def test_keep_the_order_the_ends_and_the_scores_nearly(self) -> None:
        wanted = np.linspace(0, 1, 1001).astype(np.float32)
        kept = Series(
            np.arange(1001) + START, np.zeros(1001), judgements_of(*((s, 0, 0) for s in wanted))
        )
        found = decode_series(encode_series(kept)).judgements.scores
        assert (np.diff(found) >= 0).all()
        assert (found[0], found[-1]) == (0.0, 1.0)
        assert np.abs(found - wanted).max() < 0.007

    def test_have_a_code_of_their_own_for_points_not_judged(self) -> None:
        assert score_codes(np.array([np.nan, 0.0, 1.0, 7.0], np.float32)).tolist() == [
            NOT_JUDGED,
            0,
            254,
            254,
        ]


class TestJudged:
    @given(st.data(), COUNTS)
    def test_is_decoded_with_rounded_scores(self, data: st.DataObject, count: int) -> None:
        kept = Judged(
            data.draw(whole_numbers(count)),
            data.draw(whole_numbers(count)),
            data.draw(any_judgements(count)),
        )
        found = decode_judged(encode_judged(kept))
        assert same_bits(found.metric_ids, kept.metric_ids)
        assert same_bits(found.times, kept.times)
        assert same_bits(found.judgements.lowers, kept.judgements.lowers)
        assert same_bits(found.judgements.uppers, kept.judgements.uppers)
        codes = score_codes(kept.judgements.scores)
        assert same_bits(score_codes(found.judgements.scores), codes)


def blobs() -> list[tuple[object, bytes]]:
    kept = points(*((metric, START + metric * MINUTE, metric / 7) for metric in range(100)))
    judgements = judgements_of(*((metric / 100, metric - 1, metric + 1) for metric in range(100)))
    one = Series(kept.times, kept.values, judgements)
    return [
        (decode_entry, encode_entry(kept, kept, is_backfill=True)),
        (decode_series, encode_series(one)),
        (decode_series, encode_series(one, codec=ZLIB)),
        (decode_judged, encode_judged(Judged(kept.metric_ids, kept.times, judgements))),
    ]


class TestDamage:
    @pytest.mark.parametrize(("decode", "blob"), blobs())
    def test_of_any_byte_is_named(self, decode: object, blob: bytes) -> None:
        for at in range(0, len(blob), 7):
            hurt = bytearray(blob)
            hurt[at] ^= 0x20
            with pytest.raises(Damaged):
                decode(bytes(hurt))

    @pytest.mark.parametrize(("decode", "blob"), blobs())
    def test_of_a_blob_cut_short_is_named(self, decode: object, blob: bytes) -> None:
        for length in (0, 1, 5, len(blob) // 2, len(blob) - 1):
            with pytest.raises(Damaged):
                decode(blob[:length])

    def test_of_one_kind_read_as_another_is_named(self) -> None:
        (_, entry_blob), (_, series_blob), *_ = blobs()
        with pytest.raises(Damaged, match="format"):
            decode_series(entry_blob)
        with pytest.raises(Damaged, match="format"):
            decode_entry(series_blob)

    @given(st.binary(max_size=200))
    def test_of_anything_else_is_named(self, noise: bytes) -> None:
        for decode in (decode_entry, decode_series, decode_judged):
            with pytest.raises(Damaged):
                decode(noise)
