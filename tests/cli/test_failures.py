"""Every command reports a data directory that cannot be used in one sentence."""

import ctypes
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from anomify.cli.main import COMMANDS, anomify

SECONDS = 120
PR_CAPBSET_DROP = 24
# With these root may do with a file what its owner may not.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
# All that use a data directory, with what they need to come so far.
ASKED = (
    "up",
    "demo",
    "worker",
    "web",
    "prepare",
    "db upgrade",
    "db downgrade --yes",
    "db check",
    "doctor",
    "damaged save 9 nowhere",
    "backup nowhere/backup",
    "restore pyproject.toml",
    "org list",
    "org create Globex",
    "org export 1",
    "org delete 1 --yes",
    "user list --org 1",
    "user create --org 1 --email a@a.example --name A --role owner",
    "user reset-link --email a@a.example",
    "token list --org 1",
    "token create --org 1 --name t --scopes read",
    "backup saved.tar.gz",
    "restore saved.tar.gz",
    "damaged list",
)
# They only read.
READING = ("backup saved.tar.gz", "damaged list")
# They do not look at it.
NOT_ASKED = {"config", "push", "detect"}
# Each command with each data directory in one process; how it ended, and its output.
PROGRAM = """
import json, sys
from click.testing import CliRunner
from anomify.cli.main import anomify
found = []
for directory in json.loads(sys.argv[2]):
    results = {}
    for line in json.loads(sys.argv[1]):
        result = CliRunner(env={"ANOMIFY_DATA_DIR": directory}).invoke(anomify, line.split())
        results[line] = [result.exit_code, result.output, repr(result.exception)]
    found.append(results)
print(json.dumps(found))
"""


def without_privileges() -> None:
    """Let permissions hold for root too; the program that is started next has no more."""
    if os.geteuid() == 0:
        library = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def with_a_full_disk() -> None:
    """Let every write to a file fail as if the disk were full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def ask_all(data_dirs: list[Path], prepare_process, commands=ASKED) -> list[dict[str, list]]:
    """Return how each command ended, by the command, for each data directory."""
    with TemporaryDirectory() as working_directory:
        ended = subprocess.run(
            [
                *(sys.executable, "-c", PROGRAM),
                *(json.dumps(commands), json.dumps([str(path) for path in data_dirs])),
            ],
            cwd=working_directory,
            preexec_fn=prepare_process,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def assert_sentences(result: dict[str, list], *may_succeed: str) -> None:
    for command, (code, output, exception) in result.items():
        assert "Traceback" not in output, command
        assert exception == "None" or exception.startswith("SystemExit("), (command, exception)
        if command not in may_succeed:
            assert code in {1, 2}, (command, code, output)
            last = output.strip().splitlines()[-1]
            assert command == "doctor" or last.startswith(("anomify: ", "Error: ")), output


@pytest.fixture
def installations(tmp_path, migrated_sqlite_file) -> Iterator[list[Path]]:
    directories = [tmp_path / "installation", tmp_path / "another installation"]
    for directory in directories:
        directory.mkdir(mode=0o700)
        shutil.copy(migrated_sqlite_file, directory / "meta.db")
        (directory / "secret_key").write_text("k" * 64)
    yield directories
    for directory in directories:
        directory.chmod(0o700)


@pytest.fixture
def installation(installations) -> Path:
    return installations[0]


class TestDataDirectory:
    def test_that_is_a_file_or_below_one(self, tmp_path):
        file = tmp_path / "file"
        file.write_text("no directory")
        for result in ask_all([file, file / "data", file / "more" / "data"], without_privileges):
            assert_sentences(result)
            assert "file where a directory is needed" in result["up"][1]
        assert file.read_text() == "no directory"

    def test_that_is_missing_and_cannot_be_created(self, tmp_path):
        parent = tmp_path / "parent"
        parent.mkdir(mode=0o500)
        [result] = ask_all([parent / "data"], without_privileges)
        assert_sentences(result)

    def test_that_cannot_be_written(self, installations):
        modes = (0o500, 0o000)
        for directory, mode in zip(installations, modes, strict=True):
            directory.chmod(mode)
        for mode, result in zip(modes, ask_all(installations, without_privileges), strict=True):
            reading = ("org list", "user list --org 1", "db check") if mode else ()
            assert_sentences(result, *reading)
            assert "make it writable for this user" in result["worker"][1]

    def test_whose_database_cannot_be_written(self, installation):
        (installation / "meta.db").chmod(0o400)
        [result] = ask_all([installation], without_privileges)
        assert_sentences(result, "org list", "db check", "doctor", "prepare", *READING)

    def test_whose_disk_is_full(self, installation):
        [result] = ask_all([installation], with_a_full_disk)
        assert_sentences(result, "org list", "db check", "doctor")
        assert "free some space" in result["up"][1]

    def test_whose_database_is_not_one(self, installations):
        commands = [line for line in ASKED if line not in {"web", "worker", "up", "demo"}]
        text, directory = (installation / "meta.db" for installation in installations)
        text.write_text("no database, but a long enough text to look like one" * 100)
        directory.unlink()
        directory.mkdir()
        for result in ask_all(installations, without_privileges, commands):
            assert_sentences(result)

    def test_is_checked_by_every_other_command(self):
        assert {line.split()[0] for line in ASKED} >= set(COMMANDS) - NOT_ASKED


class TestUmask:
    def test_files_are_not_readable_by_others(self, tmp_path, monkeypatch):
        data = tmp_path / "data"
        data.mkdir()
        data.chmod(0o755)
        monkeypatch.setenv("ANOMIFY_DATA_DIR", str(data))
        export = tmp_path / "org.zip"
        before = os.umask(0o000)
        try:
            for line in ("db upgrade", "org create Acme", f"org export Acme --out {export}"):
                os.umask(0o000)
                result = CliRunner().invoke(anomify, line.split())
                assert result.exit_code == 0, result.output
        finally:
            os.umask(before)
        files = [*data.rglob("*"), export]
        assert len(files) > 3
        for file in files:
            assert not stat.S_IMODE(file.stat().st_mode) & 0o077, file
