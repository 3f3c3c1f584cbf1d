"""A person teaches the running product that a nightly job is normal, as in `docs/learning.md`."""

import json
import os
import random
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.server import Server, running

METRIC = "shop.import.rows"
DOCUMENT = Path(__file__).parents[2] / "docs" / "learning.md"
SECONDS = 120
DAY = 86_400


@pytest.fixture
def server(tmp_path):
    with running(Server(tmp_path / "data")) as started:
        yield started


def day_of_points(days_ago: int, minutes: int) -> list[dict[str, Any]]:
    """One value a minute: 2000, and 1200 more from 02:00 on for so many minutes."""
    midnight = (int(time.time()) // DAY - days_ago) * DAY
    noise = random.Random(days_ago)
    return [
        {
            "metric": METRIC,
            "timestamp": midnight + 60 * minute,
            "value": round(noise.gauss(2_000, 20) + 1_200 * (120 <= minute < 120 + minutes)),
        }
        for minute in range(1_440)
    ]


class Conversation:
    """Requests of a token to the server, as the document has them."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.token = token

    def send(self, days_ago: int, minutes: int) -> None:
        document = {"fill": "true", "metrics": day_of_points(days_ago, minutes)}
        assert self.server.post("/flux/metric_data_post", self.token, document).status == 204

    def list(self, path: str) -> list[dict[str, Any]]:
        found = self.server.data(path, self.token, **{"metric": METRIC, "from": 1})
        return found[path.strip("/")]

    def change(self, path: str, **fields: object) -> dict[str, Any]:
        reply = self.server.post(path, self.token, fields)
        assert reply.status == 200, reply.data
        return json.loads(reply.data)["data"]


@pytest.mark.slow
class TestLearning:
    def test_is_quiet_about_what_was_trained_until_that_is_disabled(self, server):
        ask = Conversation(server, server.create_org())
        for days_ago in (8, 7, 6, 5, 4):
            ask.send(days_ago, 0)
        ask.send(3, 40)
        server.wait_for(lambda: ask.list("/anomalies"))
        [anomaly] = ask.list("/anomalies")
        assert anomaly["training"]["trainable"] is True
        trained = ask.change(
            "/anomaly/train", anomaly_id=anomaly["id"], expected=True, label="nightly import"
        )
        parent, *_ = trained["patterns"]
        assert parent["creator_user_display_name"] == "API"

        ask.send(2, 40)
        server.wait_for(lambda: ask.list("/matches"))
        [match] = ask.list("/matches")
        assert "nightly import" in match["explanation"]
        assert [one["id"] for one in ask.list("/anomalies")] == [anomaly["id"]]
        for path in ("graph", "motif/graph"):
            picture = server.ask(f"/match/{match['id']}/{path}", ask.token)
            assert picture.status == 200
            assert picture.data.startswith(b"\x89PNG")
        judged = ask.change(f"/match/{match['id']}/validate", valid=True)["match"]
        assert judged["pattern"]["precision"] == 1.0

        disabled = ask.change(f"/pattern/{parent['id']}/disable", reason="it has moved")
        assert disabled["pattern"]["enabled"] is False
        ask.send(1, 40)
        server.wait_for(lambda: len(ask.list("/anomalies")) > 1)
        assert [one["id"] for one in ask.list("/matches")] == [match["id"]]
        summary = server.data("/org/summary", ask.token)["summary"]
        assert (summary["matches"]["value"], summary["total_patterns"]) == (1, 0)

    @pytest.mark.debian("curl")
    def test_the_document_runs_as_it_is_written(self, server, tmp_path):
        blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
        environment = {
            **os.environ,
            "ANOMIFY_URL": server.url,
            "ANOMIFY_TOKEN": server.create_org(),
        }
        ended = subprocess.run(
            ["/bin/bash", "-c", "\n".join(("set -e", *blocks))],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "1 anomaly" in ended.stdout
        assert "disabled" in ended.stdout
        assert ended.stdout.endswith("1.0 alarm a week was spared\n")
        assert (tmp_path / "motif.png").read_bytes().startswith(b"\x89PNG")
