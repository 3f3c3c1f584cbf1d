"""/metrics over HTTP: search, filters, pages and tenants."""

from typing import Any

import pytest

from tests.kit.metric_api import MetricApi, minutes, noise
from tests.kit.web import error


class TestMetrics:
    def test_lists_by_name_with_totals_and_words(self, api: MetricApi) -> None:
        for name in ("web.cpu", "db.cpu", "db.disk"):
            api.make_metric(name)
        assert [one["metric"] for one in api.data("/metrics")["metrics"]] == [
            "db.cpu",
            "db.disk",
            "web.cpu",
        ]
        found = api.data("/metrics", chips="db,CPU")
        assert ([one["metric"] for one in found["metrics"]], found["total"]) == (["db.cpu"], 1)
        assert api.data("/metrics", limit=1, offset=1)["metrics"][0]["metric"] == "db.disk"

    def test_returns_the_progress_of_learning(self, api: MetricApi) -> None:
        metric_id = api.make_metric()
        assert api.data("/metrics")["metrics"][0]["state"] == "waiting"
        api.send(metric_id, minutes()[-37:], noise()[-37:])
        api.judge()
        [found] = api.data("/metrics", state="learning")["metrics"]
        assert (found["learned_points"], found["state_sentence"]) == (
            37,
            "Learning: 37 of 100 points.",
        )
        assert api.data("/metrics", state="judged")["total"] == 0

    def test_is_empty_for_another_org(self, api: MetricApi) -> None:
        api.make_metric()
        nothing = {"metrics": [], "total": 0, "chips": None}
        assert api.data("/metrics", who="charlie") == nothing

    @pytest.mark.parametrize(
        "sought", [{"chips": ["a"] * 21}, {"chips": ["a" * 201]}, {"q": "a" * 201}]
    )
    def test_refuses_too_many_or_too_long_search_words(
        self, api: MetricApi, sought: dict[str, Any]
    ) -> None:
        headers = api.cast.headers("alice")
        reply = api.client.post("/metrics", headers=headers, json=sought)
        assert (reply.status_code, error(reply)["code"]) == (400, "invalid")

    def test_refuses_an_invalid_page(self, api: MetricApi) -> None:
        reply = api.get("/metrics", limit=0)
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {"limit"})
