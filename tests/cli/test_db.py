"""`anomify db`, on both databases."""

import json

import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner

from anomify.cli.db import _config, current_revision, head_revision
from anomify.cli.main import anomify
from anomify.config import load


@pytest.fixture
def run(engine_url, tmp_path, monkeypatch):
    monkeypatch.setenv("ANOMIFY_DATA_DIR", str(tmp_path))
    if not engine_url.startswith("sqlite"):
        monkeypatch.setenv("ANOMIFY_DATABASE_URL", engine_url)

    def invoke(*arguments, typed=""):
        return CliRunner().invoke(anomify, ["db", *arguments], input=typed)

    return invoke


def revision_now() -> str | None:
    return current_revision(load())


def revisions() -> list[str]:
    """All there are, the newest first."""
    return [each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()]


class TestUpgrade:
    def test_creates_the_tables_of_this_version_and_can_be_repeated(self, run):
        assert run("upgrade").exit_code == 0
        assert run("upgrade").exit_code == 0
        assert json.loads(run("check", "--json").stdout)["ok"] is True


class TestDowngrade:
    def test_downgrades_and_check_reports_it(self, run):
        run("upgrade")
        for answers in (["--yes"], []):
            before = revision_now()
            result = run("downgrade", *answers, typed="yes\n")
            assert result.exit_code == 0, result.output
            assert revision_now() != before
        checked = run("check")
        assert checked.exit_code == 1
        assert "run `anomify db upgrade`" in checked.stderr

    def test_requires_confirmation_and_changes_nothing_without_it(self, run):
        run("upgrade")
        before = revision_now()
        for typed in ("", "\n", "no\n", "y\n", "yes please\n", before):
            result = run("downgrade", typed=typed)
            assert result.exit_code == 1
            assert "--yes" in result.stderr
        assert revision_now() == before

    def test_drops_everything_only_with_the_option(self, run):
        run("upgrade")
        everything = len(revisions())
        for way in ("base", f"-{everything}"):
            result = run("downgrade", way, "--yes")
            assert result.exit_code == 1
            assert "--drop-everything" in result.stderr
        first = revisions()[-1]
        assert run("downgrade", first, "--yes").exit_code == 0
        for way in ([], ["base"], ["-1"]):
            result = run("downgrade", *way, "--yes")
            assert (result.exit_code, revision_now()) == (1, first)
        assert run("downgrade", "--drop-everything", typed="no\n").exit_code == 1
        assert revision_now() == first
        result = run("downgrade", "--drop-everything", "--yes")
        assert (result.exit_code, revision_now()) == (0, None)
        assert "base" in result.output

    def test_reports_an_empty_database(self, run):
        result = run("downgrade", "--yes")
        assert result.exit_code == 1
        assert "no database" in result.stderr

    def test_refuses_an_unknown_revision(self, run):
        run("upgrade")
        for nonsense in ("nonsense", "-99", "+1"):
            result = run("downgrade", nonsense, "--yes")
            assert result.exit_code in {1, 2}
            assert "Traceback" not in result.output
            assert result.exception is None or isinstance(result.exception, SystemExit)
        assert revision_now() == head_revision()


class TestCheck:
    def test_an_empty_database_is_not_ready(self, run):
        assert run("check").exit_code == 1
