"""Measures the latency of small reads while people sign in, pictures are drawn and points arrive.

Run `python benchmarks/mixed.py`. The real product is started with a thousand metrics and history.
First, small JSON reads are requested one at a time while nothing else happens; their cost is the
CPU time of the web process (goal: p95 at most 5 ms). Then one of them is requested twenty times a
second, first alone, then while eight people sign in, eight pictures are drawn and points are sent,
all without a pause. A read that had to wait for a password hash or a picture would take as long as
these (goal: the p95 of the read is at most half of the median time of the quicker of the two). The
anchor is requested beside it in both cases: a separate process that answers "pong".
"""

import argparse
import http.client
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.kit.server import Server, free_port, running

METRICS = 1_000
HISTORY = 1_440
MINUTE = 60
PASSWORD = "three unrelated words of a benchmark"  # noqa: S105 -- of nobody
PICTURES_MAX = 8
VISITORS = 4
SETTLING_SECONDS_MAX = 60
# Of a core, in a second.
IDLE_SHARE = 0.15
READS_EACH = 100
PROBE_EVERY_SECONDS = 0.05
CPU_GOAL_MS = 5.0
SHARE_GOAL = 0.5
SMALL_READS = (
    "/ping",
    "/status",
    "/user/info",
    "/org/info",
    "/org/users",
    "/metrics?limit=20",
    "/metric?metric=bench.0",
    "/anomalies?limit=20",
    "/watchers/list",
)
PROBED = "/user/info"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=10, help="how long each half lasts")
    parser.add_argument("--logins", type=int, default=8, help="how many sign in at once")
    parser.add_argument("--pictures", type=int, default=8, help="how many look at pictures at once")
    parser.add_argument("--senders", type=int, default=1, help="how many send points at once")
    arguments = parser.parse_args()
    seconds = arguments.seconds
    with tempfile.TemporaryDirectory() as directory, pong() as anchor:
        server = Server(Path(directory) / "data", settings={"rate_limits": "off"})
        with running(server):
            token = prepare(server)
            session_id = sign_in(server.port, "reader")
            settle(server, session_id)
            print_costs(server, session_id)
            quiet = probe(server, session_id, anchor, seconds)
            busy, done = under_load(server, token, session_id, anchor, arguments)
    print(f"\n{'ms for a small read':28}{'quiet p50':>11}{'p95':>8}{'busy p50':>11}{'p95':>8}")
    for name in ("ours", "anchor"):
        calm, loaded = quiet[name], busy[name]
        print(
            f"{name:28}{p(calm, 50):>11.1f}{p(calm, 95):>8.1f}"
            f"{p(loaded, 50):>11.1f}{p(loaded, 95):>8.1f}"
        )
    ratios = {name: p(busy[name], 95) / p(quiet[name], 95) for name in quiet}
    print(f"busy / quiet, p95: ours {ratios['ours']:.1f}, anchor {ratios['anchor']:.1f}")
    for what, took in done.items():
        print(f"{what:12}{len(took):6} meanwhile, {p(took, 50):8.0f} ms each")
    quicker = min(p(done[what], 50) for what in ("sign-ins", "pictures") if len(done[what]) > 1)
    share = p(busy["ours"], 95) / quicker
    print(f"p95 of the read / the quicker of the two: {share:.2f} (goal {SHARE_GOAL})")


# --- the product, and its anchor ---


def prepare(server):
    """Create an org with metrics, history and users, and return an ingest token."""
    token = server.create_org("Bench")
    for name in ("reader", *(f"visitor{number}" for number in range(VISITORS))):
        server.cli(
            *("user", "create", "--org", "Bench", "--email", f"{name}@example.com"),
            *("--name", name, "--role", "owner", "--password-stdin"),
            text=f"{PASSWORD}\n",
        )
    now = int(time.time()) // MINUTE * MINUTE
    for start in range(0, METRICS, 500):
        names = range(start, start + 500)
        points = [point(number, now - MINUTE) for number in names]
        expect(204, server.post("/flux/metric_data_post", token, {"metrics": points}).status)
    for number in range(PICTURES_MAX):
        points = [point(number, now - MINUTE * back) for back in range(2, HISTORY)]
        body = {"metrics": points, "fill": "true"}
        expect(204, server.post("/flux/metric_data_post", token, body).status)
    return token


def settle(server, session_id):
    """Load the rasteriser by drawing, and wait until all points are judged."""

    def look(number):
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        fetch(connection, f"/metric/graph?metric=bench.{number}", session_id=session_id)

    with ThreadPoolExecutor(PICTURES_MAX) as pool:
        list(pool.map(look, range(PICTURES_MAX)))
    processes = [process.pid for process in server.family()]
    deadline, before = time.monotonic() + SETTLING_SECONDS_MAX, 0.0
    while time.monotonic() < deadline:
        used = sum(time.clock_gettime(cpu_clock_of(pid)) for pid in processes)
        if used - before < IDLE_SHARE:
            return
        before = used
        time.sleep(1)


def point(number, timestamp):
    """Return a datapoint of a metric."""
    value = 100 + number + (timestamp // MINUTE * 7 + number) % 13
    return {"metric": f"bench.{number}", "timestamp": timestamp, "value": value}


@contextmanager
def pong():
    """Run the anchor process for the duration of a block, and yield its port."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=answer, args=(port,), daemon=True)
    process.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            fetch(http.client.HTTPConnection("127.0.0.1", port), "/")
        except OSError:
            time.sleep(0.05)
        else:
            break
    yield port
    process.terminate()
    process.join()


def answer(port):
    """Answer every request with "pong" until the process is terminated."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet; with two, delayed acknowledgements add 40 ms.
        wbufsize = -1

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"pong")

        def log_message(self, *_):
            pass

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


# --- requests ---


def fetch(connection, path, *, session_id=None, body=None, token=None):
    """Send one request and return the status and the body."""
    headers = {"X-Session-Id": session_id} if session_id else {}
    if token:
        headers["X-Auth-Token"] = token
    if body is not None:
        headers["Content-Type"] = "application/json"
    sent = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", path, sent, headers)
    reply = connection.getresponse()
    return reply.status, reply.read()


def expect(wanted, status, body=b""):
    """Exit with a message where a status is not the expected one."""
    if status != wanted:
        raise SystemExit(f"{status} instead of {wanted}: {body!r}")


def sign_in(port, name):
    """Sign in and return the id of the new session."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    requested = {"email": f"{name}@example.com", "password": PASSWORD}
    status, body = fetch(connection, "/login", body=requested)
    expect(200, status, body)
    return json.loads(body)["status"]["session_id"]


def print_costs(server, session_id):
    """Print the CPU time of the web process for each small read."""
    clock = cpu_clock_of(web_of(server))
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    everything = []
    print(f"{'CPU of a small read, ms':28}{'p50':>11}{'p95':>8}")
    for path in SMALL_READS:
        costs = []
        for turn in range(READS_EACH + 10):
            before = time.clock_gettime(clock)
            status, body = fetch(connection, path, session_id=session_id)
            expect(200, status, body)
            if turn >= 10:
                costs.append((time.clock_gettime(clock) - before) * 1000)
        everything += costs
        print(f"{path:28}{p(costs, 50):>11.2f}{p(costs, 95):>8.2f}")
    print(f"{'all':28}{p(everything, 50):>11.2f}{p(everything, 95):>8.2f}   (goal {CPU_GOAL_MS})")


def probe(server, session_id, anchor, seconds):
    """Request the read and the anchor at a fixed rate; return the latencies in ms."""
    took = {"ours": [], "anchor": []}

    def request_until_stopped(name, port, path, session):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        due = time.perf_counter()
        for _ in range(int(seconds / PROBE_EVERY_SECONDS)):
            due = max(due + PROBE_EVERY_SECONDS, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            status, _body = fetch(connection, path, session_id=session)
            expect(200, status)
            took[name].append((time.perf_counter() - began) * 1000)

    probes = [
        threading.Thread(target=request_until_stopped, args=arguments)
        for arguments in (
            ("ours", server.port, PROBED, session_id),
            ("anchor", anchor, "/", None),
        )
    ]
    for each in probes:
        each.start()
    for each in probes:
        each.join()
    return took


def under_load(server, token, session_id, anchor, wanted):
    """Probe while people sign in, pictures are drawn and points come in."""
    # In another process, so that the interpreter lock of the load does not delay the probes.
    stop = multiprocessing.get_context("spawn").Event()
    arguments = (server.port, token, session_id, stop, wanted)
    context = multiprocessing.get_context("spawn")
    counts = context.Queue()
    driver = context.Process(target=drive, args=(*arguments, counts), daemon=True)
    driver.start()
    counts.get()
    took = probe(server, session_id, anchor, wanted.seconds)
    stop.set()
    done = counts.get()
    driver.join()
    return took, done


def drive(port, token, session_id, stop, wanted, counts):
    """Sign in, draw pictures and send points without a pause; put the durations into `counts`."""
    done = {"sign-ins": [], "pictures": [], "hundreds": []}

    def again_and_again(what, act):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        turn = 0
        while not stop.is_set():
            began = time.perf_counter()
            act(connection, turn)
            done[what].append((time.perf_counter() - began) * 1000)
            turn += 1

    def look(number):
        def act(connection, turn):
            # Another width each time, so that no picture is one that was drawn before.
            path = f"/metric/graph?metric=bench.{number}&width={600 + turn % 400}"
            expect(200, *fetch(connection, path, session_id=session_id))

        return act

    def enter(_connection, turn):
        # Other users than the reader, because the oldest sessions of a user are ended by new ones.
        sign_in(port, f"visitor{turn % VISITORS}")

    def send(connection, _turn):
        at = int(time.time())
        body = {"metrics": [point(number, at) for number in range(100)]}
        status, reply = fetch(connection, "/flux/metric_data_post", body=body, token=token)
        expect(204, status, reply)

    acts = [("sign-ins", enter)] * wanted.logins + [("hundreds", send)] * wanted.senders
    acts += [("pictures", look(number)) for number in range(wanted.pictures)]
    with ThreadPoolExecutor(len(acts)) as pool:
        running_acts = [pool.submit(again_and_again, *act) for act in acts]
        time.sleep(2)
        counts.put("running")
        for act in running_acts:
            act.result()
    counts.put(done)


# --- figures ---


def web_of(server):
    """Return the process that answers requests: the youngest under the web."""
    web = server.child("web")
    return [web, *web.children(recursive=True)][-1].pid


def cpu_clock_of(pid):
    """Return the clock that shows what a process has used, as the kernel numbers such clocks."""
    return (~pid << 3) | 2


def p(figures, percent):
    """Return a percentile."""
    return statistics.quantiles(figures, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
