"""Measures reads of a day of one metric over HTTP, beside VictoriaMetrics' export.

    .venv/bin/python benchmarks/timeseries.py [--reads 300]

The real product is sent a day of minutes of 200 metrics and judges it. Then random metrics are read
from `/metric/{name}/timeseries` in raw resolution over one connection, alternately with the export
of the same day by VictoriaMetrics (Debian's package; left out where it is not installed) and with
`/ping`, the cost of any request.
"""

import argparse
import http.client
import json
import random
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import cramjam

sys.path.insert(0, str(Path(__file__).resolve().parent))
from remote_write import HEADERS, anchors, anomify, our_server
from remote_write_bodies import field_of, varint

METRICS = 200
MINUTES = 1_440
MINUTE_MS = 60_000
GOAL_MS = 10.0


def bodies(first_ms):
    """Return remote write bodies, each with a day of ten metrics."""
    noise = random.Random(5)
    for first in range(0, METRICS, 10):
        series = []
        for metric in range(first, first + 10):
            name = field_of(1, b"__name__") + field_of(2, f"metric_{metric}".encode())
            samples = b"".join(
                field_of(
                    2,
                    b"\x09"
                    + struct.pack("<d", round(50 + noise.gauss(0, 3), 2))
                    + b"\x10"
                    + varint(first_ms + minute * MINUTE_MS),
                )
                for minute in range(MINUTES)
            )
            series.append(field_of(1, field_of(1, name) + samples))
        yield bytes(cramjam.snappy.compress_raw(b"".join(series)))


def request(connection, path, headers):
    """Return the body of a reply, and how many milliseconds it took."""
    began = time.perf_counter()
    connection.request("GET", path, headers=headers)
    reply = connection.getresponse()
    body = reply.read()
    spent = (time.perf_counter() - began) * 1000
    if reply.status != 200:
        raise SystemExit(f"{path}: {reply.status} {body[:300]!r}")
    return body, spent


def wait_until_judged(connection, headers):
    """Wait until the worker has judged every metric."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        body, _ = request(connection, "/metrics?limit=1&state=judged", headers)
        if json.loads(body)["data"]["total"] == METRICS:
            return
        time.sleep(0.5)
    raise SystemExit("the metrics were not judged in time")


def measure(folder, reads):
    """Return the milliseconds of each read by the name of the server."""
    ours = our_server(folder, None)
    others = [server for server in anchors(folder) if server.name == "victoria-metrics"]
    first_ms = (int(time.time()) // 60 - MINUTES) * MINUTE_MS
    try:
        for server in (ours, *others):
            with (folder / f"{server.name}.log").open("w") as log:
                server.start(log)
        place = {"data": folder / "anomify", "database_url": None}
        anomify("org", "create", "Bench", **place)
        made = anomify(
            *("token", "create", "--org", "Bench", "--name", "b", "--scopes", "ingest,read"),
            **place,
        )
        ours.headers["Authorization"] = f"Bearer {made['token']}"
        lines = {
            server.name: http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            for server in (ours, *others)
        }
        for body in bodies(first_ms):
            for server in (ours, *others):
                line = lines[server.name]
                line.request("POST", server.path, body, HEADERS | server.headers)
                reply = line.getresponse()
                reply.read()
                if reply.status not in {200, 204}:
                    raise SystemExit(f"{server.name} refused: {reply.status}")
        headers = {"X-Auth-Token": made["token"]}
        wait_until_judged(lines["anomify"], headers)
        window = f"from={first_ms // 1000}&until={first_ms // 1000 + MINUTES * 60}"
        spent = {"anomify": [], "anomify /ping": [], **{server.name: [] for server in others}}
        chosen = random.Random(3)
        for _ in range(reads):
            metric = f"metric_{chosen.randrange(METRICS)}"
            path = f"/metric/{metric}/timeseries?resolution=raw&{window}"
            body, took = request(lines["anomify"], path, headers)
            if len(json.loads(body)["data"]["timeseries"]) != MINUTES:
                raise SystemExit("a read had too few points")
            spent["anomify"].append(took)
            spent["anomify /ping"].append(request(lines["anomify"], "/ping", {})[1])
            for server in others:
                path = f"/api/v1/export?match[]={metric}"
                spent[server.name].append(request(lines[server.name], path, {})[1])
        ours.stop()
    finally:
        for server in (ours, *others):
            server.kill()
    return spent


def main():
    """Measure, print the table, and exit with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reads", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        spent = measure(Path(name), arguments.reads)
    print(f"a day of one metric, {MINUTES:,} points, over HTTP")
    for who, times in spent.items():
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"  {who:<18} p50 {statistics.median(times):7.2f} ms   p99 {p99:7.2f} ms")
    p50 = statistics.median(spent["anomify"])
    print(f"goal: p50 at most {GOAL_MS:.0f} ms; measured {p50:.2f} ms")
    sys.exit(p50 > GOAL_MS)


if __name__ == "__main__":
    main()
