"""/metric/.../timeseries over HTTP: exact points, downsampling and rates."""

from typing import Any

import numpy as np
import pytest

from anomify.clock import now_ms
from tests.kit.metric_api import MINUTE, MetricApi, minutes, noise
from tests.kit.points import START
from tests.kit.web import error
from tests.storage.test_damaged_items import ROWS, fill, put_blob


class TestTimeseries:
    def test_returns_every_point_exactly(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        times, values = minutes(), noise()
        times[5] += 123
        api.send(metric_id, times, values)
        api.judge()
        data = api.data("/metric/cpu.load/timeseries", resolution="raw")["timeseries"]
        assert data == [
            [time / 1000, value] for time, value in zip(times, values.tolist(), strict=True)
        ]

    def test_reports_damaged_stored_points(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        points = api.app_state.points
        chunks = points.chunks
        fill(chunks, metric_id)
        window = {"from": START // 1000, "until": START // 1000 + 86_400}
        assert api.data("/metric/cpu.load/timeseries", **window)["missing"] == []
        put_blob(chunks._database, metric_id, b"rubbish")
        for resolution in ("raw", 60):
            found = api.data("/metric/cpu.load/timeseries", resolution=resolution, **window)
            begin = START // 1000
            assert found["missing"] == [{"begin": begin, "end": begin + 4 * 3600}]
            assert len(found["timeseries"]) == ROWS
        assert api.data("/metric/cpu.load/bundle", **window)["missing"] == found["missing"]
        window = {"from": START // 1000 - 86_400, "until": START // 1000}
        assert api.data("/metric/cpu.load/timeseries", **window)["missing"] == []

    def test_shows_a_point_of_a_clock_that_is_ahead(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        ahead_ms = now_ms() // 1000 * 1000 + np.array([60_000, 290_000], np.int64)
        api.send(metric_id, ahead_ms, np.array([1.0, 2.0]))
        pairs = [[ahead_ms[0] // 1000, 1.0], [ahead_ms[1] // 1000, 2.0]]
        api.judge()
        assert api.data("/metric/cpu.load/timeseries")["timeseries"] == pairs
        assert api.data("/metric/cpu.load/timeseries", resolution="raw")["timeseries"] == pairs
        assert api.data("/metric/cpu.load/bundle")["timeseries"] == pairs
        until = int(ahead_ms[0]) // 1000 + 1
        data = api.data("/metric/cpu.load/timeseries", until=until)
        assert data["timeseries"] == pairs[:1]

    def test_thins_a_long_window_and_keeps_the_spike(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        count = 10_000
        times = now_ms() // 1000 * 1000 - 1000 * np.arange(count, dtype=np.int64)[::-1]
        values = np.zeros(count)
        values[4321] = 99.0
        api.send(metric_id, times, values)
        data = api.data("/metric/cpu.load/timeseries")
        assert data["downsampled"]
        assert len(data["timeseries"]) <= 2000
        assert [times[4321] / 1000, 99.0] in data["timeseries"]

    def test_thins_by_a_resolution_in_seconds(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        start = now_ms() // 3_600_000 * 3_600_000 - 7_200_000
        times = start + MINUTE * np.arange(120, dtype=np.int64)
        api.send(metric_id, times, np.arange(120.0))
        data = api.data("/metric/cpu.load/timeseries", resolution=3600)
        assert [value for _, value in data["timeseries"]] == [0.0, 59.0, 60.0, 119.0]
        assert (data["resolution"], data["downsampled"]) == (3600, True)

    def test_returns_the_resolution_of_the_points(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        api.send(metric_id, minutes(), noise())
        api.judge()
        for requested, step, is_thinned in (("raw", 60, False), (30, 60, False), (300, 300, True)):
            data = api.data("/metric/cpu.load/timeseries", resolution=requested)
            assert (data["resolution"], data["downsampled"]) == (step, is_thinned)
            assert api.data("/metric/cpu.load")["metric"]["resolution"] == 60

    def test_refuses_too_many_raw_points(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        times = now_ms() - 100 * np.arange(200_001, dtype=np.int64)[::-1]
        api.send(metric_id, times, np.zeros(len(times)))
        reply = api.get("/metric/cpu.load/timeseries", resolution="raw")
        assert reply.status_code == 400
        assert "200,000" in error(reply)["message"]
        for thinned in ("/metric/cpu.load/timeseries", "/metric/cpu.load/bundle"):
            data = api.data(thinned)
            assert data["downsampled"] is True
            assert len(data["timeseries"]) <= 2000

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"from": 2_000, "until": 1_000}, None),
            ({"from": 1_700_000_000_000}, "from"),
            ({"from": "yesterday"}, "from"),
            ({"resolution": -5}, "resolution"),
        ],
    )
    def test_refuses_an_invalid_window(
        self, api: MetricApi, query: dict[str, Any], field: str | None
    ) -> None:
        api.make_metric()
        reply = api.get("/metric/cpu.load/timeseries", **query)
        assert reply.status_code == 400
        if field:
            assert any(name.startswith(field) for name in error(reply)["fields"])

    def test_returns_a_counters_rate_on_request(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        times = minutes(5)
        api.send(metric_id, times, np.array([0.0, 60.0, 180.0, 30.0, 210.0]))
        data = api.data("/metric/cpu.load/timeseries", resolution="raw", derivative="true")
        assert [value for _, value in data["timeseries"]] == [0.0, 60.0, 180.0, 30.0, 210.0]
        # The rate of the first reading after the restart is not known.
        rated = [int(times[place]) // 1000 for place in (1, 2, 4)]
        assert data["derivative"] == [
            list(pair) for pair in zip(rated, [1.0, 2.0, 3.0], strict=True)
        ]
