"""`anomify db`, on both databases."""

import json

import pytest
from click.testing import CliRunner

from anomify.cli.main import anomify


@pytest.fixture
def run(engine_url, tmp_path, monkeypatch):
    monkeypatch.setenv("ANOMIFY_DATA_DIR", str(tmp_path))
    if not engine_url.startswith("sqlite"):
        monkeypatch.setenv("ANOMIFY_DATABASE_URL", engine_url)

    def invoke(*arguments):
        return CliRunner().invoke(anomify, ["db", *arguments])

    return invoke


class TestUpgrade:
    def test_makes_the_database_this_version_needs_and_may_be_repeated(self, run):
        assert run("upgrade").exit_code == 0
        assert run("upgrade").exit_code == 0
        assert json.loads(run("check", "--json").stdout)["ok"] is True


class TestDowngrade:
    def test_goes_back_and_check_says_so(self, run):
        run("upgrade")
        told = run("downgrade", "base")
        assert "base" in told.output
        checked = run("check")
        assert checked.exit_code == 1
        assert "run `anomify db upgrade`" in checked.stderr

    def test_refuses_a_revision_that_is_none(self, run):
        run("upgrade")
        assert run("downgrade", "nonsense").exit_code == 1


class TestCheck:
    def test_an_empty_database_is_not_ready(self, run):
        assert run("check").exit_code == 1
