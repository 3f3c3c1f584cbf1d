"""/metric/.../bundle over HTTP: the parts of a reply."""

from itertools import combinations

import numpy as np

from tests.kit.metric_api import COUNT, MetricApi, minutes, noise
from tests.kit.web import error


class TestBundle:
    def test_contains_all_parts_by_default(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        times, values = minutes(), noise()
        values[350:353] += 60
        api.send(metric_id, times, values)
        api.judge()
        data = api.data("/metric/cpu.load/bundle")
        assert len(data["timeseries"]) == COUNT
        assert data["metric"]["state"] == "judged"
        [found] = data["anomalies"]
        assert found["timestamp"] == times[350] / 1000
        assert len(data["yhat"]) == COUNT - 100
        assert data["total"] == 1

    def test_contains_only_the_requested_parts(self, api: MetricApi) -> None:
        api.send(api.make_metric(), minutes(), noise())
        api.judge()
        fields = {
            "metric": {"metric"},
            "timeseries": {"timeseries", "derivative", "resolution", "downsampled", "missing"},
            "yhat": {"yhat"},
            "anomalies": {"anomalies", "total"},
            "events": {"events"},
            "matches": {"matches"},
            "patterns": {"patterns"},
        }
        whole = api.data("/metric/cpu.load/bundle")
        assert set(whole) == set().union(*fields.values())
        for count in (1, 2, 5):
            for parts in combinations(fields, count):
                found = api.data("/metric/cpu.load/bundle", parts=",".join(parts))
                assert set(found) == set().union(*(fields[part] for part in parts))
                for name, result in found.items():
                    if name != "yhat":
                        assert result == whole[name], name
        refused = api.get("/metric/cpu.load/bundle", parts="yhat,related")
        assert refused.status_code == 400
        assert "parts" in str(error(refused)["fields"])

    def test_returns_the_judged_rate_of_a_counter(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        steps = np.random.default_rng(3).uniform(50, 70, COUNT)
        api.send(metric_id, minutes(), np.cumsum(steps))
        api.judge()
        data = api.data("/metric/cpu.load/bundle")
        assert data["metric"]["is_counter"]
        expected = list(data["yhat"].values())[-1]
        rate = data["derivative"][-1][1]
        assert expected["yhat_lower"] <= rate <= expected["yhat_upper"]

    def test_leaves_out_a_counters_point_after_a_restart(self, api: MetricApi) -> None:
        times = minutes()
        readings = 1e6 + np.cumsum(np.random.default_rng(3).uniform(50, 70, COUNT))
        readings[350:] -= readings[350] - 20
        api.send(api.make_metric(), times, readings)
        api.judge()
        for path in ("/metric/cpu.load/bundle", "/metric/cpu.load/yhat"):
            data = api.data(path, include_value=True)
            restart = int(times[350]) // 1000
            judged = {int(at): one for at, one in data["yhat"].items() if "value" in one}
            assert sorted(judged) == [
                at for at in (times[100:] // 1000).tolist() if at != restart
            ], path
            assert all(0.8 < one["value"] < 1.2 for one in judged.values()), path
        data = api.data("/metric/cpu.load/bundle")
        assert len(data["timeseries"]) == COUNT
        assert len(data["derivative"]) == COUNT - 2
        assert all(0.8 < rate < 1.2 for _, rate in data["derivative"])

    def test_has_the_rate_of_the_first_point_of_a_window(self, api: MetricApi) -> None:
        times = minutes()
        api.send(api.make_metric(), times, np.cumsum(10 + np.abs(noise())))
        api.judge()
        last = int(times[-1]) // 1000
        window = {"from": last, "until": last + 1, "include_value": True}
        data = api.data("/metric/cpu.load/bundle", **window)
        assert len(data["timeseries"]) == 1
        whole = api.data("/metric/cpu.load/bundle", include_value=True)
        assert data["derivative"] == whole["derivative"][-1:]
        assert data["yhat"] == {str(last): whole["yhat"][str(last)]}
        for resolution in ("raw", 60):
            asked = {"derivative": True, "resolution": resolution, **window}
            del asked["include_value"]
            found = api.data("/metric/cpu.load/timeseries", **asked)
            assert found["derivative"] == whole["derivative"][-1:]
            assert found["timeseries"] == whole["timeseries"][-1:]

    def test_has_no_range_for_a_counters_point_without_a_rate(self, api: MetricApi) -> None:
        times = minutes()
        api.send(api.make_metric(), times, np.cumsum(10 + np.abs(noise())))
        api.judge()
        first = int(times[0]) // 1000
        window = {"from": first, "until": first + 1, "include_value": True}
        data = api.data("/metric/cpu.load/bundle", **window)
        assert len(data["timeseries"]) == 1
        assert data["derivative"] == []
        assert data["yhat"] == {}
