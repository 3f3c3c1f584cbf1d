"""`anomify push`, to a test server with configured replies."""

import gzip
import json
import socket

import pytest
from click.testing import CliRunner

from anomify.cli import ingest_client as client_module
from anomify.cli import push as push_module
from anomify.cli.main import anomify
from tests.kit.ingest_server import open_ingest_server


@pytest.fixture
def blueprint():
    with open_ingest_server() as opened:
        yield opened


@pytest.fixture
def push(blueprint, tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 0.001)

    def run(file, *flags):
        return CliRunner().invoke(
            anomify,
            [
                *("push", str(file), "--metric", "cpu", "--url", blueprint.url, "--key", "anf_1"),
                *("--state", str(tmp_path / "state.json"), *flags),
            ],
        )

    return run


def write(path, rows):
    path.write_text("timestamp,value\n" + "".join(f"{time},{value}\n" for time, value in rows))
    return path


def push_to(tmp_path, url):
    file = write(tmp_path / "one.csv", [(1_700_000_000, 1.0)])
    state = str(tmp_path / "one.json")
    return CliRunner().invoke(
        anomify,
        ["push", str(file), "--metric", "m", "--url", url, "--key", "k", "--state", state],
    )


class TestPush:
    def test_sends_every_row_once_and_in_order(self, blueprint, push, tmp_path, monkeypatch):
        monkeypatch.setattr(push_module, "BATCH_POINTS", 100)
        rows = [(1_700_000_000 + 60 * i, float(i)) for i in range(250)]
        result = push(write(tmp_path / "a.csv", rows), "--json")
        assert result.exit_code == 0, result.output
        assert blueprint.points() == rows
        assert [len(body["metrics"]) for body in blueprint.received] == [100, 100, 50]
        assert json.loads(result.stdout)["stored"] == 250
        assert set(blueprint.keys) == {"Bearer anf_1"}

    def test_reads_gzip_fractions_milliseconds_and_iso_times(self, blueprint, push, tmp_path):
        path = tmp_path / "a.csv.gz"
        path.write_bytes(
            gzip.compress(b"1700000000.5,1\n1700000001500,2\n2023-11-14T22:13:22Z,3\n")
        )
        assert push(path).exit_code == 0
        assert blueprint.points() == [(1700000000.5, 1), (1700000001.5, 2), (1700000002, 3)]

    def test_leaves_out_rows_without_a_value(self, blueprint, push, tmp_path):
        result = push(write(tmp_path / "a.csv", [(1, 1.0), (2, ""), (3, "nan")]), "--json")
        assert blueprint.points() == [(1, 1.0)]
        assert json.loads(result.stdout)["missing"] == 2

    def test_marks_rows_as_history_only_on_request(self, blueprint, push, tmp_path):
        path = write(tmp_path / "a.csv", [(1, 1.0)])
        push(path)
        push(path, "--backfill")
        assert [body.get("fill") for body in blueprint.received] == [None, "true"]

    def test_an_invalid_row_is_reported_with_its_line(self, push, tmp_path):
        result = push(write(tmp_path / "a.csv", [(1, 1.0), ("yesterday", 2.0)]))
        assert result.exit_code == 2
        assert "line 3" in result.output


class TestRetry:
    def test_sends_again_when_the_server_is_busy(self, blueprint, push, tmp_path):
        blueprint.answers = [(503, {"Retry-After": "0"}, {"message": "wait"}), (429, {}, {})]
        result = push(write(tmp_path / "a.csv", [(1, 1.0)]))
        assert result.exit_code == 0
        assert blueprint.points() == [(1, 1.0)]

    def test_waits_as_long_as_retry_after(self, blueprint, push, tmp_path, monkeypatch):
        waits = []
        monkeypatch.setattr(client_module.time, "sleep", waits.append)
        blueprint.answers = [(503, {"Retry-After": "7"}, {})]
        push(write(tmp_path / "a.csv", [(1, 1.0)]))
        assert waits == [7.0]

    def test_does_not_retry_with_a_wrong_key(self, blueprint, push, tmp_path):
        blueprint.answers = [(401, {}, {"message": "nobody has this key"})]
        result = push(write(tmp_path / "a.csv", [(1, 1.0)]))
        assert result.exit_code == 1
        assert "nobody has this key" in result.output
        assert blueprint.received == []

    def test_gives_up_without_an_answer_for_long(self, blueprint, push, tmp_path, monkeypatch):
        monkeypatch.setattr(client_module, "RETRY_FOR_SECONDS", 0.05)
        blueprint.answers = [(503, {}, {"message": "wait"})] * 100
        result = push(write(tmp_path / "a.csv", [(1, 1.0)]))
        assert result.exit_code == 1
        assert "resumes from here" in result.output


class TestAddress:
    def test_reports_at_once_that_nothing_answers_and_gives_a_hint(self, tmp_path, monkeypatch):
        monkeypatch.setattr(client_module, "FIRST_RETRY_FOR_SECONDS", 0.2)
        monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 0.12)
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        result = push_to(tmp_path, f"http://127.0.0.1:{port}")
        assert result.exit_code == 1
        first, *_, last = [line for line in result.stderr.splitlines() if "Nothing answers" in line]
        assert f"Nothing answers at http://127.0.0.1:{port}: connection refused. Retrying" in first
        assert "the port is right; give another address with --url" in last

    def test_reports_a_wrong_scheme(self, blueprint, tmp_path):
        result = push_to(tmp_path, blueprint.url.replace("http", "https"))
        assert result.exit_code == 1
        assert f"does not use https. If it uses http, give --url {blueprint.url}." in result.stderr

    def test_reports_a_url_that_does_not_accept_points(self, blueprint, tmp_path):
        for status, headers, words in (
            (404, {}, "nothing there accepts datapoints"),
            (200, {}, "nothing there accepts datapoints"),
            (
                301,
                {"Location": "https://a.example/flux/metric_data_post"},
                "now at https://a.example",
            ),
        ):
            blueprint.answers = [(status, headers, {})]
            result = push_to(tmp_path, blueprint.url)
            assert result.exit_code == 1
            assert words in result.stderr
            assert "Nothing was stored" in result.stderr

    def test_uses_the_whole_path_of_the_url(self, blueprint, tmp_path):
        assert push_to(tmp_path, blueprint.url + "/flux/metric_data_post").exit_code == 0
        assert len(blueprint.points()) == 1

    def test_refuses_an_invalid_url(self, tmp_path):
        for url in ("127.0.0.1:8080", "localhost:8080", "ftp://a.example", "http://", ""):
            result = push_to(tmp_path, url)
            assert result.exit_code == 1, url
            assert "is not the address of a server: give it with --url" in result.stderr

    def test_reports_at_once_that_the_server_is_busy(self, blueprint, push, tmp_path):
        blueprint.answers = [(503, {}, {"message": "wait"})] * 3
        result = push(write(tmp_path / "a.csv", [(1, 1.0)]))
        assert result.exit_code == 0
        assert result.stderr.count("The server answered 503: wait Retrying for 10 minutes") == 1


class TestFiles:
    def test_sends_the_oldest_row_first_whatever_the_order_of_the_file(
        self, blueprint, push, tmp_path
    ):
        rows = [(1_700_000_000 + 60 * i, float(i)) for i in range(10)]
        result = push(write(tmp_path / "a.csv", rows[::-1]))
        assert blueprint.points() == rows
        assert "newest row first" in result.stderr

    def test_sends_nothing_of_a_file_with_a_row_that_cannot_be_read(
        self, blueprint, push, tmp_path
    ):
        rows = [(1_700_000_000 + 60 * i, float(i)) for i in range(10)]
        path = write(tmp_path / "a.csv", [*rows, (1_700_000_600, "21,75")])
        result = push(path)
        assert result.exit_code == 2
        assert "line 12" in result.stderr
        assert blueprint.received == []
        result = push(path, "--skip-unreadable", "--json")
        assert result.exit_code == 1
        summary = json.loads(result.stdout)
        assert (summary["stored"], summary["unreadable"]) == (10, 1)
        assert blueprint.points() == rows


class TestResume:
    def test_continues_after_the_rows_that_were_stored(
        self, blueprint, push, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(push_module, "BATCH_POINTS", 10)
        rows = [(i, float(i)) for i in range(1, 31)]
        path = write(tmp_path / "a.csv", rows)
        blueprint.answers = [(204, {}, {}), (403, {}, {"message": "stop"})]
        assert push(path).exit_code == 1
        result = push(path, "--json")
        assert json.loads(result.stdout)["resumed_after_rows"] == 10
        assert blueprint.points() == rows

    def test_restart_begins_with_the_first_row(self, blueprint, push, tmp_path, monkeypatch):
        monkeypatch.setattr(push_module, "BATCH_POINTS", 10)
        path = write(tmp_path / "a.csv", [(i, float(i)) for i in range(1, 21)])
        blueprint.answers = [(204, {}, {}), (403, {}, {})]
        push(path)
        result = push(path, "--json", "--restart")
        assert json.loads(result.stdout)["stored"] == 20

    def test_a_changed_file_is_another_file(self, blueprint, push, tmp_path, monkeypatch):
        monkeypatch.setattr(push_module, "BATCH_POINTS", 10)
        path = write(tmp_path / "a.csv", [(i, float(i)) for i in range(1, 21)])
        blueprint.answers = [(204, {}, {}), (403, {}, {})]
        push(path)
        write(path, [(i, 2.0) for i in range(1, 31)])
        assert json.loads(push(path, "--json").stdout)["stored"] == 30

    def test_a_finished_file_leaves_no_state(self, push, tmp_path):
        push(write(tmp_path / "a.csv", [(1, 1.0)]))
        assert not (tmp_path / "state.json").exists()


class TestRefusals:
    def test_counts_the_rows_of_a_batch_of_which_nothing_was_stored(
        self, blueprint, push, tmp_path
    ):
        report = {
            "status": "nothing was stored",
            "rejected_total": 2,
            "rejected": [{"index": i, "reason": "too far ahead"} for i in (0, 1)],
        }
        blueprint.answers = [(400, {}, report)]
        result = push(write(tmp_path / "a.csv", [(1, 1.0), (2, 2.0)]), "--json")
        assert result.exit_code == 1
        summary = json.loads(result.stdout)
        assert (summary["stored"], summary["refused"]) == (0, 2)
        assert [refusal["line"] for refusal in summary["refusals"]] == [2, 3]

    def test_names_the_line_of_a_refused_row(self, blueprint, push, tmp_path):
        blueprint.answers = [
            (207, {}, {"rejected_total": 1, "rejected": [{"index": 1, "reason": "too far ahead"}]})
        ]
        result = push(write(tmp_path / "a.csv", [(1, 1.0), (2, ""), (3, 3.0)]), "--json")
        assert result.exit_code == 1
        summary = json.loads(result.stdout)
        assert (summary["stored"], summary["refused"]) == (1, 1)
        assert summary["refusals"] == [{"line": 4, "reason": "too far ahead"}]
