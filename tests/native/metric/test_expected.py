"""/metric/.../yhat over HTTP: expected ranges, forecasts and counters."""

from typing import Any

import numpy as np
import pytest

from anomify.clock import now_ms
from anomify.metric.state import PARTITIONS
from anomify.worker.analyse import Analyser
from tests.kit.metric_api import COUNT, MetricApi, minutes, noise


class TestYhat:
    def test_is_the_same_in_every_window(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        times = minutes()
        api.send(metric_id, times, noise())
        api.judge()
        wide = api.data("/metric/cpu.load/yhat")["yhat"]
        narrow = api.data(
            "/metric/cpu.load/yhat", **{"from": int(times[300] // 1000), "include_value": "true"}
        )["yhat"]
        assert len(wide) == COUNT - 100
        assert len(narrow) == COUNT - 300
        for timestamp, expected in narrow.items():
            assert expected.pop("value") is not None
            for bound in ("3sigma_lower", "3sigma_upper"):
                expected.pop(bound)
                wide[timestamp].pop(bound)
            assert wide[timestamp] == expected
            assert expected["yhat_lower"] < expected["yhat_upper"]

    def test_returns_three_sigma_bounds_on_request(self, api: MetricApi) -> None:
        times, values = minutes(), noise()
        # A second one: its state is among those that are kept here.
        api.make_metric("first")
        api.send(api.make_metric(), times, values)
        api.judge()
        yhat = api.data("/metric/cpu.load/yhat", until=int(times[-1] // 1000) + 600)["yhat"]
        for place in (100, 250, COUNT - 1):
            seen, result = values[: place + 1], yhat[str(int(times[place] // 1000))]
            assert result["3sigma_lower"] == pytest.approx(seen.mean() - 3 * seen.std())
            assert result["3sigma_upper"] == pytest.approx(seen.mean() + 3 * seen.std())
        *_, last, ahead = sorted(yhat)[: COUNT - 100 + 1]
        assert yhat[ahead]["forecast"]
        assert yhat[ahead]["3sigma_upper"] == yhat[last]["3sigma_upper"]

    def test_adds_only_the_requested_fields(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        times, values = minutes(), noise()
        values[200:203] += 60
        api.send(metric_id, times, values)
        api.judge()
        plain = api.data("/metric/cpu.load/yhat")
        assert plain["anomalous_periods"] is None
        assert all(
            set(one) == {"yhat_lower", "yhat_upper", "3sigma_lower", "3sigma_upper", "score"}
            for one in plain["yhat"].values()
        )
        without = api.data("/metric/cpu.load/yhat", include_3sigma="false")
        assert all(
            set(one) == {"yhat_lower", "yhat_upper", "score"} for one in without["yhat"].values()
        )
        requested = ("value", "mean", "yhat_real_lower", "anomalous_periods")
        full = api.data("/metric/cpu.load/yhat", **{f"include_{one}": "true" for one in requested})
        [(began, ended)] = full["anomalous_periods"]
        assert began == times[200] // 1000 < ended
        for one in full["yhat"].values():
            assert one["mean"] == pytest.approx((one["yhat_lower"] + one["yhat_upper"]) / 2)
            least = max(one["yhat_lower"], float(values.min()))
            assert one["yhat_real_lower"] == pytest.approx(least)
            assert one["value"] >= values.min()


class TestForecast:
    def judged(self, api: MetricApi) -> np.ndarray:
        times = minutes()
        api.send(api.make_metric(), times, noise())
        analyser = Analyser(
            api.app_state.database, api.app_state.points.log, api.app_state.points.chunks
        )
        analyser.recover()
        while analyser.run_once():
            pass
        analyser.checkpoint(range(PARTITIONS))
        api.app_state.points.follow()
        return times

    def test_continues_after_the_newest_point_until_the_requested_time(
        self, api: MetricApi
    ) -> None:
        times = self.judged(api)
        last = int(times[-1]) // 1000
        window = {"from": last - 3600, "until": last + 1800}
        for url in ("/metric/cpu.load/yhat", "/metric/cpu.load/bundle"):
            yhat = api.data(url, **window)["yhat"]
            ahead = [int(time) for time, found in yhat.items() if found.get("forecast")]
            assert ahead == list(range(last + 60, last + 1800, 60))
            assert [int(time) for time in yhat if int(time) <= last][-1] == last
        first, judged = yhat[str(last + 60)], yhat[str(last)]
        assert first["yhat_lower"] == pytest.approx(judged["yhat_lower"], abs=0.5)
        assert first["yhat_upper"] == pytest.approx(judged["yhat_upper"], abs=0.5)

    def test_is_the_same_in_every_window_and_ends_a_day_ahead(self, api: MetricApi) -> None:
        last = int(self.judged(api)[-1]) // 1000

        def ahead(until: int) -> dict[str, Any]:
            yhat = api.data("/metric/cpu.load/yhat", until=until, **{"from": last})["yhat"]
            return {time: found for time, found in yhat.items() if found.get("forecast")}

        short, long = ahead(last + 600), ahead(last + 3 * 86_400)
        assert short.items() <= long.items()
        assert 86_300 <= max(map(int, long)) - last <= 86_400 + 60
        assert ahead(last + 1) == {}

    def test_is_empty_while_the_metric_learns_or_without_a_state(self, api: MetricApi) -> None:
        api.send(api.make_metric(), minutes(50), noise(50))
        api.judge()
        until = now_ms() // 1000 + 3600
        assert api.data("/metric/cpu.load/yhat", until=until)["yhat"] == {}
        api.make_metric("unheard")
        assert api.data("/metric/unheard/yhat", until=until)["yhat"] == {}


class TestCounterRange:
    def test_has_a_range_at_the_first_point_of_any_window(self, api: MetricApi) -> None:
        times = minutes()
        total = np.cumsum(np.round(np.abs(noise())))
        api.send(api.make_metric("requests_total"), times, total)
        api.judge()
        start = int(times[250]) // 1000
        yhat = api.data("/metric/requests_total/yhat", **{"from": start})["yhat"]
        assert min(map(int, yhat)) == start
