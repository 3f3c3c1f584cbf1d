"""`anomify demo`, the real one: within a minute there is something to look at."""

import re

import pytest

from tests.kit.server import Server, running


@pytest.mark.slow
class TestDemo:
    def test_has_judged_history_incidents_and_this_machine(self, tmp_path):
        with running(Server(tmp_path / "data", command=("demo",))) as server:
            server.wait_for(
                lambda: re.search(r"^Sign in with \S+ and the", server.log(), re.MULTILINE)
            )
            token = server.cli(
                *("token", "create", "--org", "Demo", "--name", "test", "--scopes", "read"),
                "--json",
            )["token"]

            def names() -> set[str]:
                metrics = server.data("/metrics", token, limit=500)["metrics"]
                return {metric["metric"] for metric in metrics}

            server.wait_for(lambda: len(names()) > 60, seconds=120)
            assert any(name.endswith(".cpu.percent") for name in names())
            server.wait_for(lambda: server.data("/anomalies", token)["total"] >= 20, seconds=120)
            assert len(server.cli("demo", "--incidents", "--json")) > 20
            assert server.stop() == 0
