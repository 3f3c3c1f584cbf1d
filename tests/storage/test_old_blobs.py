"""Bytes that a released version has written stay readable: these are never made anew."""

import numpy as np
import pytest

from anomify.storage.codec import decode_entry, decode_judged, decode_series
from tests.kit.points import MINUTE, START, rows_of, scores

JUDGED_SERIES = bytes.fromhex(
    "110404180000000000000085fd8e8304100001c60000180001c80000c4c2f4a0010000e09304000000000070"
    "636f2103000406040106170000002200e0ffffffffffffffef270000000000d00c700c1aad86000000000000"
    "763d0ad7a3703985eb51b81e3500000000000000c047e17a14ae67062800000000000000c0f5285c8fc293c2"
    "f5285c8fb647e17a14ae770ad7a3703d4a7b14ae47e11a01000000000033407b14ae47e11aec51b81e852b7b"
    "14ae47e17a9b9999999999b547e17a14aeb3703d0ad7a330030400000000006066666666662e85eb51b81ef5"
    "f5285c8fc2e51e85eb51b85e676666666626334000ff2e4c6376ff929da7b1ffc0c8ced4ffdfe4e9eefff6fa"
    "fe70636f210300050c0401052f0000003200e0ffff0f08ccf56833b8a270fd35d80329a407031a32f67bfd00"
    "7b14103e29dc0000200000000086eb11817b14103ea47045200080b81e250000608f02c20f008008ac709d08"
    "dca300d7a3648f02c2af70ad086c8f82080c009008a499c908dca380f049e186e1fa4520cd4c44e01e05844f"
    "0a370100680000c0dff5a8d9a380f0c3f5140080040000000000e01e05842f854bccccd01e0504000000f628"
    "207c3333e5a350a4704de17adba380f049e1e6f5282b5c2f00"
)
IRREGULAR_SERIES = bytes.fromhex(
    "11000218000000000000002b63f30801440001c60070636f2103000406040104170000013e49000000000010"
    "01018000000000000000400009001cd8550000000000000092b3020000000000001645bc47f61b0000669604"
    "0070636f2103000406040106170000002200e0ffffffffffffffef270000000000d00c700c1aad8600000000"
    "0000763d0ad7a3703985eb51b81e3500000000000000c047e17a14ae67062800000000000000c0f5285c8fc2"
    "93c2f5285c8fb647e17a14ae770ad7a3703d4a7b14ae47e11a01000000000033407b14ae47e11aec51b81e85"
    "2b7b14ae47e17a9b9999999999b547e17a14aeb3703d0ad7a330030400000000006066666666662e85eb51b8"
    "1ef5f5285c8fc2e51e85eb51b85e676666666626334000"
)
ZLIB_SERIES = bytes.fromhex(
    "110002180000000000000091554883027b00026d00789c633872e8cb0246068607e1c7c1f481d7a7c1f482fa"
    "0b60ba41f82a984e587e134c3b58df03d39f2e3f02d30cc9cf21fabfbd86e8effa00d12ff715a27fd34f887e"
    "b77f10fdb798be8268853c7630cdc0c403a61f4c1500d3073445c1f482bd9260ba21500e4c273c5502d30e95"
    "ea10fdbc3a601a0073514a42789c636000011387eb8b0b6cb9ae9b3868c6f41ffafac2c48101021a80824019"
    "630746a8c00eb9d6d7813b8c21ea56983880e5ff42f56598387cd300324a8da1fa8de1fc3781409dd908f569"
    "20b00caa7eabb103d81a2ea83e076388bc1ac23d30f741f4c3e48d1d0050ec443d"
)
CONSTANT_SERIES = bytes.fromhex(
    "11000218000000000000007081246404100003080000c4c2f4a0010000e0930400000000000000000000000c40"
)
ENTRY = bytes.fromhex(
    "2102050300000001000000453240d00018000515000018000308000308000700000000000000840300000000"
    "0000000000000001000000c4c2f4a001000004000000000100000070110100000000000000f83f0000000000"
    "0000800100000000000000070000000000000000c4c2f4a0010000"
)
JUDGED = bytes.fromhex(
    "31000502000000000000005fc61896050b00050b00000200000800000800070000000000000001000200c4c2"
    "f4a0010000010001c4ff0000803f0000c07f000000400000c07f"
)

TIMES = START + np.arange(24) * 5 * MINUTE
IRREGULAR_TIMES = TIMES.copy()
IRREGULAR_TIMES[7] += 1234
# fmt: off
VALUES = [
    20.0, 20.84, 20.91, -0.0, 19.24, 5e-324, 19.72, 20.66,
    20.99, 20.41, 19.46, 19.0, 19.46, 20.42, 20.99, 20.65,
    19.71, 19.04, 19.25, 20.15, 20.91, 20.84, 19.99, 19.15,
]
SCORES = [
    None, 0.04, 0.09, 0.13, 0.18, None, 0.26, 0.3, 0.35, 0.39, None, 0.48,
    0.52, 0.56, 0.61, None, 0.69, 0.74, 0.78, 0.83, None, 0.91, 0.95, 1.0,
]
# fmt: on


class TestSeries:
    def test_with_judgements(self) -> None:
        found = decode_series(JUDGED_SERIES)
        assert found.times.tolist() == TIMES.tolist()
        assert found.values.tobytes() == np.array(VALUES).tobytes()
        assert scores(found) == SCORES
        is_judged = np.arange(24) % 5 > 0
        wanted = (np.array(VALUES) - 1).astype(np.float32)
        assert found.judgements.lowers[is_judged].tolist() == wanted[is_judged].tolist()
        wanted = (np.array(VALUES) + 1).astype(np.float32)
        assert found.judgements.uppers[is_judged].tolist() == wanted[is_judged].tolist()
        assert np.isnan(found.judgements.uppers[~is_judged]).all()

    @pytest.mark.parametrize("blob", [IRREGULAR_SERIES, ZLIB_SERIES])
    def test_at_irregular_times_by_either_codec(self, blob: bytes) -> None:
        found = decode_series(blob)
        assert found.times.tolist() == IRREGULAR_TIMES.tolist()
        assert found.values.tobytes() == np.array(VALUES).tobytes()
        assert np.isnan(found.judgements.scores).all()

    def test_that_never_changes(self) -> None:
        found = decode_series(CONSTANT_SERIES)
        assert found.times.tolist() == TIMES.tolist()
        assert found.values.tolist() == [3.5] * 24


class TestEntry:
    def test_of_a_back_fill(self) -> None:
        found, ended, is_backfill = decode_entry(ENTRY)
        assert rows_of([found]) == [
            (7, START, 1.5),
            (900, START + 1, -0.0),
            (2**40, START + 70_000, 5e-324),
        ]
        assert np.signbit(found.values).tolist() == [False, True, False]
        assert (ended.metric_ids.tolist(), ended.times.tolist()) == ([7], [START])
        assert is_backfill


class TestJudged:
    def test_of_two_points(self) -> None:
        found = decode_judged(JUDGED)
        assert found.metric_ids.tolist() == [7, 9]
        assert found.times.tolist() == [START, START + 1]
        assert found.judgements.scores[0] == pytest.approx(0.5, abs=0.005)
        assert np.isnan(found.judgements.scores[1])
        assert found.judgements.lowers[0] == 1.0
        assert found.judgements.uppers[0] == 2.0
