"""The command line as a whole: help, one sentence for failures, few imports."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from anomify.cli.main import COMMANDS, HIDDEN, anomify


def every_command() -> dict[str, click.Command]:
    found = {}

    def walk(name: str, command: click.Command) -> None:
        found[name] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for child in command.list_commands(context):
                walk(f"{name} {child}".strip(), command.get_command(context, child))

    walk("", anomify)
    return found


class TestHelp:
    @pytest.mark.parametrize("name", sorted(every_command()))
    def test_every_command_has_help(self, name):
        command = every_command()[name]
        assert command.help, f"`anomify {name}` needs a docstring"
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"`anomify {name} {parameter.opts[0]}` needs help"
        result = CliRunner().invoke(anomify, [*name.split(), "--help"])
        assert result.exit_code == 0
        assert command.help.split(".")[0].split("\n")[0][:40] in result.output

    @pytest.mark.parametrize("name", sorted(COMMANDS))
    def test_the_list_of_commands_agrees_with_their_own_help(self, name):
        command = anomify.get_command(click.Context(anomify), name)
        assert command.help.split("\n\n")[0].replace("\n", " ").startswith(COMMANDS[name][:-1])

    def test_hidden_steps_are_not_listed(self):
        result = CliRunner().invoke(anomify, ["--help"])
        assert not any(f"  {name} " in result.output for name in HIDDEN)

    def test_an_unknown_command_is_a_usage_error(self):
        assert CliRunner().invoke(anomify, ["upp"]).exit_code == 2


class TestFailures:
    def test_invalid_settings_are_reported_in_one_sentence(self, monkeypatch):
        monkeypatch.setenv("ANOMIFY_PROT", "1")
        result = CliRunner().invoke(anomify, ["config", "check"])
        assert result.exit_code == 2
        assert result.stderr.strip() == (
            "anomify: prot is not a setting; `anomify config show` lists the ones there are."
        )


class TestLoading:
    @pytest.mark.parametrize(
        ("code", "unwanted"),
        [
            ("import anomify.cli.main", "sqlalchemy numpy numba matplotlib flask granian"),
            ("import anomify.cli.up", "sqlalchemy numpy numba matplotlib flask granian"),
            ("import anomify.cli.detect", "sqlalchemy flask matplotlib granian"),
            ("import anomify.cli.push", "sqlalchemy flask matplotlib granian numpy"),
            ("import anomify", "anomify.config click"),
        ],
    )
    def test_imports_no_more_than_it_needs(self, code, unwanted):
        check = f"import sys; print([name for name in {unwanted.split()} if name in sys.modules])"
        ended = subprocess.run(
            [sys.executable, "-c", f"{code}; {check}"], capture_output=True, text=True, check=True
        )
        assert ended.stdout.strip() == "[]"
