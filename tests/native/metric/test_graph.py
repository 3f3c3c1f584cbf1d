"""/metric/.../graph over HTTP: pictures and their cache headers."""

import numpy as np

from tests.kit.metric_api import MetricApi, minutes, noise


class TestGraph:
    def test_is_a_png_and_304_with_its_etag(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        api.send(metric_id, minutes(), noise())
        window = {"from": int(minutes()[0] // 1000), "until": int(minutes()[-1] // 1000) + 60}
        reply = api.get("/metric/cpu.load/graph", **window)
        assert (reply.status_code, reply.mimetype) == (200, "image/png")
        assert reply.data.startswith(b"\x89PNG")
        headers = {**api.cast.headers("alice"), "If-None-Match": reply.headers["ETag"]}
        again = api.client.get("/metric/cpu.load/graph", headers=headers, query_string=window)
        assert again.status_code == 304

    def test_draws_values_of_any_size(self, api: MetricApi) -> None:
        most = 1.7976931348623157e308
        pairs = [(0, 5e-324), (5e-324, -5e-324), (most, -most), (1e308, 1e308), (1, 1 + 2**-52)]
        for number, values in enumerate([*pairs, (2.3e-308, 0), (0, -0.0), (most,), (5e-324,)]):
            times = minutes(len(values))
            name = f"extreme.{number}"
            api.send(api.make_metric(name), times, np.array(values, float))
            reply = api.get(f"/metric/{name}/graph")
            assert (reply.status_code, reply.mimetype) == (200, "image/png"), values
            for route in ("timeseries", "yhat", "bundle"):
                assert api.get(f"/metric/{name}/{route}", include_value="true").status_code == 200
