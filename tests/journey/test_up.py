"""`anomify up`, the real one: it starts, says what a newcomer needs, and goes when asked to."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import urllib3

from tests.kit.server import STOP_SECONDS, Server, anomify_command, in_background, running

PSS_MIB_MAX = 400
# So long after it is ready an empty org has settled.
SETTLED_SECONDS = 20


@pytest.fixture
def server(tmp_path):
    with running(Server(tmp_path / "data")) as started:
        yield started


@pytest.fixture(scope="class")
def shared_server(tmp_path_factory):
    """A running product for the tests of a class that leave it running."""
    with running(Server(tmp_path_factory.mktemp("shared") / "data")) as started:
        yield started


class TestStart:
    def test_prints_when_it_is_ready_and_the_set_up_link(self, shared_server):
        lines = shared_server.log().splitlines()
        assert lines[0] == f"Anomify is ready: {shared_server.url}"
        assert shared_server.setup_link.startswith(f"{shared_server.url}/ui/setup?")
        assert len(lines) == 2, lines
        assert shared_server.ask("/ping").status == 200

    def test_a_second_one_on_the_same_data_names_the_running_one(self, shared_server):
        second = subprocess.run(
            anomify_command("up", "--data", str(shared_server.data_dir), "--port", "1"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert f"Process {shared_server.process.pid} already runs Anomify" in second.stderr

    def test_the_link_makes_one_owner_and_no_second(self, server):
        def finish(email: str) -> urllib3.BaseHTTPResponse:
            secret = parse_qs(urlsplit(server.setup_link).query)["link"][0]
            return server.pool.request(
                "POST",
                f"{server.url}/ui/setup",
                fields={
                    "link": secret,
                    "org_name": "Acme",
                    "timezone": "UTC",
                    "name": "Alice",
                    "email": email,
                    "password": "quiet harbour at five",
                },
                encode_multipart=False,
                headers={"Origin": server.url},
                redirect=False,
            )

        welcome = finish("alice@acme.example")
        assert welcome.status == 200
        assert re.search(rb"anm_\w+", welcome.data), "it shows the first key"
        assert finish("mallory@acme.example").status == 404
        users = server.cli("user", "list", "--org", "Acme", "--json")
        assert [(user["email"], user["role"]) for user in users] == [
            ("alice@acme.example", "owner")
        ]
        assert server.stop() == 0
        server.start()
        assert server.setup_link is None, "it is printed only while there are no users"

    def test_a_taken_port_is_one_sentence(self, tmp_path):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            ended = subprocess.run(
                anomify_command("up", "--data", str(tmp_path), "--port", str(port)),
                capture_output=True,
                text=True,
                check=False,
            )
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1
        assert "choose another port" in ended.stderr

    def test_flags_reach_every_process(self, tmp_path):
        server = Server(tmp_path / "elsewhere")
        server._environment.pop("ANOMIFY_DATA_DIR")
        server._environment.pop("ANOMIFY_PORT")
        server._command = ("up", "--data", str(server.data_dir), "--port", str(server.port))
        with running(server):
            assert server.ask("/-/ready").status == 200
            assert (server.data_dir / "log.db").exists()
            data = ("--data", str(server.data_dir))
            server.cli("org", "create", "Acme", "--json", *data)
            invited = ("--org", "Acme", "--email", "ann@acme.example")
            link = server.cli("user", "invite", *invited, *data)
            assert link.startswith(f"{server.url}/ui/invitation?")


class TestStop:
    def test_leaves_no_process_after_ctrl_c(self, server):
        family = server.family()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        check_stopped(server, family)

    def test_finishes_the_requests_under_way(self, server):
        token = server.create_org()
        family = server.family()
        body = json.dumps({"metric": "slow", "timestamp": int(time.time()), "value": 1}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.putrequest("POST", "/flux/metric_data_post")
        connection.putheader("Authorization", f"Bearer {token}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[:10])
        server.process.terminate()
        stopping = in_background(server.process.wait)
        # It accepts no connections any more, and still waits for our request.
        server_is_closed(server)
        connection.send(body[10:])
        assert connection.getresponse().status == 204
        stopping.join(STOP_SECONDS)
        assert server.process.returncode == 0
        check_stopped(server, family)
        server.start()
        assert len(server.points(token, "slow", time.time() - 3600, time.time() + 60)) == 1

    def test_no_process_is_left_when_it_is_killed(self, server):
        family = server.family()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []


class TestCare:
    @pytest.mark.parametrize("name", ["web", "worker"])
    def test_restarts_a_crashed_process_and_logs_it(self, shared_server, name):
        line = f"the {name} process ended by SIGKILL"
        logged = shared_server.log().count(line)
        crashed = shared_server.child(name)
        crashed.kill()
        shared_server.wait_for(lambda: shared_server.log().count(line) > logged)
        shared_server.wait_for(lambda: shared_server.find_child(name) not in {None, crashed})
        shared_server.wait_for(shared_server.answers)
        assert shared_server.process.poll() is None

    def test_no_web_process_outlives_it(self, shared_server):
        web = shared_server.child("web")
        answering = web.children()
        assert answering
        web.kill()
        _, alive = psutil.wait_procs(answering, timeout=10)
        assert alive == []
        shared_server.wait_for(lambda: shared_server.find_child("web") not in {None, web})
        shared_server.wait_for(shared_server.answers)


@pytest.mark.slow
class TestWeight:
    def test_an_empty_org_is_light(self, server):
        server.create_org()
        time.sleep(SETTLED_SECONDS)
        weights = {
            " ".join(process.cmdline()[-4:]): pss_mib(process.pid) for process in server.family()
        }
        assert sum(weights.values()) <= PSS_MIB_MAX, weights


def pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def check_stopped(server: Server, family: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(family, timeout=0)
    assert alive == []
    assert "Traceback" not in server.log()


def server_is_closed(server: Server) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("it still opens its door to new ones")
