"""`anomify config`: what it shows, and what it masks."""

import json

from click.testing import CliRunner

from anomify.cli.main import anomify


class TestShow:
    def test_masks_secrets(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_SMTP_PASSWORD", "s3cret")
        for flags in ([], ["--json"]):
            result = CliRunner().invoke(anomify, ["config", "show", *flags])
            assert result.exit_code == 0
            assert "s3cret" not in result.output
            assert "smtp_password" in result.output

    def test_prints_values_for_scripts(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_PORT", "1234")
        result = CliRunner().invoke(anomify, ["config", "show", "--json"])
        assert json.loads(result.stdout)["port"] == 1234


class TestCheck:
    def test_reports_that_all_settings_are_valid(self):
        assert CliRunner().invoke(anomify, ["config", "check"]).exit_code == 0

    def test_names_an_invalid_value(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_PORT", "no")
        result = CliRunner().invoke(anomify, ["config", "check"])
        assert result.exit_code == 2
        assert "port" in result.stderr

    def test_and_every_command_that_starts_refuse_a_public_url_with_a_path(
        self, monkeypatch, tmp_path
    ):
        monkeypatch.setenv("ANOMIFY_PUBLIC_URL", "https://example.com/anomify")
        data = ["--data", str(tmp_path / "data")]
        for command in (
            ["config", "check"],
            ["config", "show"],
            *(["up", *data], ["web", *data], ["worker", *data], ["doctor", *data]),
            *(["demo", *data], ["db", "upgrade", *data], ["org", "list", *data]),
        ):
            result = CliRunner().invoke(anomify, command)
            assert result.exit_code == 2, (command, result.output)
            assert "https://example.com" in result.stderr, command
            assert "root of a host" in result.stderr, command
            assert not (tmp_path / "data").exists(), command
