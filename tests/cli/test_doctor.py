"""`anomify doctor`, with and without problems."""

import json
import socket
import subprocess
from datetime import timedelta

import pytest
from click.testing import CliRunner

from anomify.cli import doctor as doctor_module
from anomify.cli.main import anomify
from anomify.clock import now
from anomify.metric.open_store import open_points
from anomify.metric.state import keep_checkpoint
from anomify.org.heartbeat import record_heartbeat
from anomify.org.letter import claim_letters, post_letter, settle_letter
from tests.kit.points import START
from tests.kit.smtpsink import smtp_sink
from tests.storage.test_damaged_items import fill, put_blob, stored_blob


@pytest.fixture
def consult(migrated_url, tmp_path, monkeypatch):
    monkeypatch.setenv("ANOMIFY_DATA_DIR", str(tmp_path))
    if not migrated_url.startswith("sqlite"):
        monkeypatch.setenv("ANOMIFY_DATABASE_URL", migrated_url)
        # The database's clock is the real one, and ours is not.
        monkeypatch.setattr(doctor_module, "CLOCK_SKEW_SECONDS_MAX", 1e12)

    def invoke():
        result = CliRunner().invoke(anomify, ["doctor", "--json"])
        return result.exit_code, {finding["name"]: finding for finding in json.loads(result.stdout)}

    return invoke


class TestDoctor:
    def test_finds_no_problem_in_a_healthy_installation(self, consult):
        code, findings = consult()
        assert code == 0, findings
        assert set(findings) == {
            *("data_directory", "disk", "database", "migrations", "engine", "clock", "egress"),
            "letters",
            "address",
            "points",
            "worker",
            "permissions",
        }

    def test_finds_files_that_others_can_read_and_how_to_fix_it(self, consult, tmp_path):
        consult()
        assert consult()[1]["permissions"]["is_well"]
        key = tmp_path / "secret_key"
        key.write_text("k" * 64)
        for mode in (0o755, 0o750, 0o701):
            tmp_path.chmod(mode)
            for of_file in (0o644, 0o600):
                key.chmod(of_file)
                code, findings = consult()
                assert code == 1
                result = findings["permissions"]["sentence"]
                assert ("secret_key" in result) == (of_file == 0o644) or "files" in result
        command = result[result.index("chmod") :]
        subprocess.run(command, shell=True, check=True)  # noqa: S602 - as a person would
        assert consult()[1]["permissions"]["is_well"]
        assert key.stat().st_mode & 0o777 == 0o600

    def test_finds_unreadable_data_and_damaged_items(self, consult, database, tmp_path):
        points = open_points(database, tmp_path)
        fill(points.chunks, 1, 2)
        points.log.last_offset()
        assert consult()[1]["points"]["sentence"] == "All 4 chunks match their checksums."
        opened = points.chunks._database
        put_blob(opened, 1, stored_blob(opened, 1)[:-1])
        with database.unit_of_work():
            keep_checkpoint(3, 1, b"rubbish", now())
        code, findings = consult()
        assert code == 1
        sentence = findings["points"]["sentence"]
        assert "the chunk of metric 1 from 2026-10-01T00:00Z: A stored" in sentence
        assert "the state of partition 3: A checkpoint is cut short." in sentence
        assert len(points.chunks.read_all(1)), "reading keeps it as a damaged item"
        points.close()
        assert "damaged item 1: chunk of metric 1, " in consult()[1]["points"]["sentence"]
        file = tmp_path / "saved"
        result = CliRunner().invoke(anomify, ["damaged", "save", "1", str(file)])
        assert (result.exit_code, file.stat().st_mode & 0o777) == (0, 0o600), result.output
        assert file.stat().st_size > 100
        listed = json.loads(CliRunner().invoke(anomify, ["damaged", "list", "--json"]).stdout)
        assert [(one["id"], one["metric_id"], one["from_ms"]) for one in listed] == [(1, 1, START)]
        for words, code, text in (
            (["list"], 0, "chunk of metric 1"),
            (["save", "9", str(file)], 1, "There is no damaged item 9"),
            (["forget"], 2, "--all"),
            (["forget", "9"], 1, "There is no damaged item 9"),
            (["forget", "--all"], 0, "Deleted 1."),
            (["list"], 0, "There is no damaged data."),
        ):
            result = CliRunner().invoke(anomify, ["damaged", *words])
            assert result.exit_code == code, result.output
            assert text in result.output

    def test_finds_a_database_of_another_version(self, consult):
        CliRunner().invoke(anomify, ["db", "downgrade", "base", "--yes", "--drop-everything"])
        code, findings = consult()
        assert code == 1
        assert "anomify db upgrade" in findings["migrations"]["sentence"]

    def test_finds_a_database_that_does_not_answer(self, consult, monkeypatch):
        monkeypatch.setenv("ANOMIFY_DATABASE_URL", "postgresql://nobody@/none?host=/nowhere")
        code, findings = consult()
        assert code == 1
        assert findings["database"]["is_well"] is False

    def test_tells_what_the_worker_does(self, consult, database):
        assert consult()[1]["worker"]["sentence"] == "No worker has run yet."
        counts = {"learnt_again": 3_400, "to_learn_again": 10_000}
        with database.unit_of_work():
            record_heartbeat("one", now(), log_offset=0, lag_seconds=0, **counts)
        code, findings = consult()
        assert code == 0
        assert "learning the metrics again: 3,400 of 10,000," in findings["worker"]["sentence"]
        with database.unit_of_work():
            record_heartbeat("one", now(), log_offset=0, lag_seconds=0)
        assert "A worker runs" in consult()[1]["worker"]["sentence"]
        with database.unit_of_work():
            stopped_at = now() - timedelta(minutes=5)
            record_heartbeat("one", stopped_at, log_offset=0, lag_seconds=0, **counts)
        assert "No worker runs now" in consult()[1]["worker"]["sentence"]

    def test_finds_a_full_disk(self, consult, monkeypatch):
        monkeypatch.setattr(doctor_module, "FREE_BYTES_MIN", 2**70)
        code, findings = consult()
        assert code == 1
        assert "free some space" in findings["disk"]["sentence"]

    def test_finds_that_other_machines_cannot_sign_in(self, consult, monkeypatch):
        monkeypatch.setenv("ANOMIFY_HOST", "0.0.0.0")
        code, findings = consult()
        assert code == 1
        assert "public_url" in findings["address"]["sentence"]
        monkeypatch.setenv("ANOMIFY_PUBLIC_URL", "https://anomify.example")
        assert consult()[0] == 0

    def test_finds_letters_that_cannot_be_sent(self, consult, database, monkeypatch):
        with database.unit_of_work():
            post_letter("ann@example.com", "Code", "123456", org_id=None, purpose="login-code")
        code, findings = consult()
        assert code == 1
        assert "reset-link" in findings["letters"]["sentence"]
        with database.unit_of_work():
            (letter,) = claim_letters(now(), 1)
            settle_letter(letter.id, letter.leased_until, now(), problem="It is full.")
        with smtp_sink() as sink:
            monkeypatch.setenv("ANOMIFY_SMTP_HOST", "127.0.0.1")
            monkeypatch.setenv("ANOMIFY_SMTP_PORT", str(sink.port))
            code, findings = consult()
        assert code == 1
        assert "It is full." in findings["letters"]["sentence"]
        assert "login_codes=false" in findings["letters"]["sentence"]

    def test_finds_a_mail_server_that_does_not_answer(self, consult, monkeypatch):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            monkeypatch.setenv("ANOMIFY_SMTP_HOST", "127.0.0.1")
            monkeypatch.setenv("ANOMIFY_SMTP_PORT", str(unused.getsockname()[1]))
            code, findings = consult()
        assert code == 1
        assert "does not answer" in findings["egress"]["sentence"]
