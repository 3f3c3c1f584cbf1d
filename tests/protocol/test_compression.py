import gzip
import random
import tracemalloc

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.errors import Invalid, TooLarge
from anomify.protocol.compression import gunzip, unsnappy

LIMIT = 1 << 20


def varint(number):
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


class TestUnsnappy:
    @given(st.binary(max_size=5000))
    def test_gives_back_what_was_compressed(self, data):
        assert unsnappy(bytes(cramjam.snappy.compress_raw(data)), LIMIT) == data

    def test_takes_exactly_the_limit(self):
        data = bytes(cramjam.snappy.compress_raw(bytes(LIMIT)))
        assert len(unsnappy(data, LIMIT)) == LIMIT

    def test_refuses_a_bomb_before_it_is_unpacked(self):
        bomb = bytes(cramjam.snappy.compress_raw(bytes(LIMIT * 64)))
        tracemalloc.start()
        with pytest.raises(TooLarge) as refusal:
            unsnappy(bomb, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "1,048,576" in refusal.value.message
        assert peak < LIMIT // 4

    def test_refuses_a_header_that_promises_more_than_snappy_can_hold(self):
        with pytest.raises(Invalid, match="cannot hold"):
            unsnappy(varint(LIMIT) + b"\x00", LIMIT)

    def test_refuses_a_header_that_promises_four_gibibytes(self):
        with pytest.raises(TooLarge):
            unsnappy(varint((1 << 32) - 1) + b"abc", LIMIT)

    def test_refuses_a_header_that_promises_too_little_or_too_much(self):
        honest = bytes(cramjam.snappy.compress_raw(b"abcd" * 50))
        for promised in (10, 199, 201, 1000):
            with pytest.raises(Invalid):
                unsnappy(varint(promised) + honest[2:], LIMIT)

    def test_refuses_every_truncation(self):
        whole = bytes(cramjam.snappy.compress_raw(random.Random(1).randbytes(300)))
        for length in range(len(whole)):
            with pytest.raises(Invalid):
                unsnappy(whole[:length], LIMIT)

    @given(st.binary(max_size=300))
    def test_refuses_any_other_bytes_in_words(self, data):
        try:
            found = unsnappy(data, LIMIT)
        except (Invalid, TooLarge) as refusal:
            found = refusal.message
        assert isinstance(found, bytes) or "body" in found


class TestGunzip:
    @given(st.lists(st.binary(max_size=2000), min_size=1, max_size=3))
    def test_gives_back_all_members(self, parts):
        assert gunzip(b"".join(gzip.compress(part) for part in parts), LIMIT) == b"".join(parts)

    def test_takes_what_compresses_however_well(self):
        for size in (LIMIT // 2, LIMIT):
            assert len(gunzip(gzip.compress(bytes(size)), LIMIT)) == size

    def test_refuses_a_bomb_before_it_is_unpacked(self):
        bomb = gzip.compress(bytes(64 * LIMIT))
        tracemalloc.start()
        with pytest.raises(TooLarge, match="1,048,576"):
            gunzip(bomb, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * LIMIT

    def test_refuses_what_is_larger_than_the_limit(self):
        honest = gzip.compress(random.Random(2).randbytes(LIMIT + 1))
        with pytest.raises(TooLarge):
            gunzip(honest, LIMIT)

    def test_refuses_every_truncation(self):
        whole = gzip.compress(random.Random(3).randbytes(200))
        for length in range(1, len(whole)):
            with pytest.raises(Invalid):
                gunzip(whole[:length], LIMIT)

    @given(st.binary(min_size=1, max_size=300))
    def test_refuses_any_other_bytes_in_words(self, data):
        with pytest.raises(Invalid, match="gzip"):
            gunzip(data, LIMIT)
