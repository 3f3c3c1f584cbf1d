"""`anomify push` sends a labelled real series; its anomalies are listed, drawn and notified."""

import csv
import gzip
import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.kit.marks import SHARED
from tests.kit.receiver import receiving
from tests.kit.server import Server, anomify_command, running
from tests.kit.smtpsink import smtp_sink

# It ends in its third labelled failure, so with its end moved to now there is something to tell.
SERIES = SHARED / "data" / "series" / "NAB" / "realKnownCause__ec2_request_latency_system_failure"
METRIC = "ec2.request_latency"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORD = "quiet harbour at five"
TOLD_SECONDS = 60


def moved_to_now(path: Path) -> tuple[list[tuple[int, float]], list[tuple[int, int]]]:
    """Write the series with its end a minute ago; return its points and its labelled ranges."""
    with gzip.open(SERIES.with_name(f"{SERIES.name}.csv.gz"), "rt") as file:
        rows = [(int(row[0]), float(row[1])) for row in list(csv.reader(file))[1:]]
    with SERIES.with_name(f"{SERIES.name}.labels.csv").open() as file:
        ranges = [(int(row[0]), int(row[1])) for row in list(csv.reader(file))[1:]]
    shift = int(time.time()) - 60 - rows[-1][0]
    points = [(timestamp + shift, value) for timestamp, value in rows]
    lines = ["timestamp,value", *(f"{timestamp},{value!r}" for timestamp, value in points)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return points, [(points[first][0], points[last][0]) for first, last in ranges]


def push(server: Server, path: Path, token: str) -> dict:
    ended = subprocess.run(
        anomify_command(
            *("push", str(path), "--metric", METRIC, "--url", server.url, "--key", token),
            *("--backfill", "--json", "--state", str(path.with_suffix(".state"))),
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def watch(server: Server, token: str, webhook_url: str) -> None:
    users = server.data("/org/users", token)["users"]
    made = server.post(
        "/watcher/create",
        token,
        {
            "chips": ["ec2"],
            "alert": True,
            "severity": "low",
            "email_user_ids": [users[0]["id"]],
            "webhook_url": webhook_url,
            "webhook_secret": SECRET,
        },
    )
    assert made.status == 200, made.data


@pytest.mark.slow
@pytest.mark.shared
class TestBackfill:
    def test_a_real_series_is_judged_drawn_and_notified(self, tmp_path, engine_url):
        path = tmp_path / "series.csv.gz"
        points, labelled = moved_to_now(path)
        url = None if engine_url.startswith("sqlite") else engine_url
        with receiving(secret=SECRET) as receiver, smtp_sink() as mail:
            settings = {
                "smtp_host": "127.0.0.1",
                "smtp_port": mail.port,
                "smtp_starttls": "false",
                "egress_allow": "127.0.0.0/8",
            }
            with running(Server(tmp_path / "data", url, settings)) as server:
                token = server.create_org()
                server.cli(
                    *("user", "create", "--org", "Acme", "--email", "alice@acme.example"),
                    *("--name", "Alice", "--role", "owner", "--password-stdin"),
                    text=f"{PASSWORD}\n",
                )
                watch(server, token, receiver.url)
                assert push(server, path, token)["stored"] == len(points)
                stored = server.points(token, METRIC, points[0][0], points[-1][0] + 1)
                # The series says some moments twice; the later value counts.
                assert [(int(at), value) for at, value in stored] == sorted(dict(points).items())

                assert receiver.arrived.acquire(timeout=TOLD_SECONDS), server.log()
                server.wait_for(lambda: mail.mails, TOLD_SECONDS)
                check_list(server, token, labelled)
                check_pictures(server, token)
                check_messages(receiver, mail)
                assert server.stop() == 0


def check_list(server: Server, token: str, labelled: list[tuple[int, int]]) -> None:
    found = server.data("/anomalies", token, metric=METRIC)["anomalies"]
    starts = [anomaly["timestamp"] for anomaly in found]
    for first, last in labelled:
        assert any(first <= start <= last for start in starts), "a labelled failure was not found"
    assert all(anomaly["explanation"] for anomaly in found)


def check_pictures(server: Server, token: str) -> None:
    anomaly = server.data("/anomalies", token, metric=METRIC)["anomalies"][0]
    one = server.data(f"/anomaly/{anomaly['id']}", token)
    picture = server.pool.request("GET", one["anomaly_graph_url"])
    assert picture.status == 200
    assert picture.data.startswith(b"\x89PNG")
    whole = server.ask(f"/metric/{METRIC}/graph", token)
    assert whole.data.startswith(b"\x89PNG")


def check_messages(receiver: object, mail: object) -> None:
    payload = receiver.received[0].payload
    assert METRIC in json.dumps(payload)
    assert mail.recipients[0] == "alice@acme.example"
    parts = [part.get_content_type() for part in mail.mails[0].walk()]
    assert "image/png" in parts
