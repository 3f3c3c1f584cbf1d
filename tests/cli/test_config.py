"""`anomify config`: what it shows, and what it keeps to itself."""

import json

from click.testing import CliRunner

from anomify.cli.main import anomify


class TestShow:
    def test_masks_secrets(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_SMTP_PASSWORD", "s3cret")
        for flags in ([], ["--json"]):
            told = CliRunner().invoke(anomify, ["config", "show", *flags])
            assert told.exit_code == 0
            assert "s3cret" not in told.output
            assert "smtp_password" in told.output

    def test_tells_a_script_what_is_set(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_PORT", "1234")
        told = CliRunner().invoke(anomify, ["config", "show", "--json"])
        assert json.loads(told.stdout)["port"] == 1234


class TestCheck:
    def test_says_that_all_is_well(self):
        assert CliRunner().invoke(anomify, ["config", "check"]).exit_code == 0

    def test_names_a_value_that_cannot_be(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_PORT", "no")
        told = CliRunner().invoke(anomify, ["config", "check"])
        assert told.exit_code == 2
        assert "port" in told.stderr
