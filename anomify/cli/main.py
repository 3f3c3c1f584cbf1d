"""The command `anomify`: loads the subcommand and prints errors as one sentence."""

import logging
import os
from importlib import import_module
from typing import Any

import click

from anomify.cli.failures import failure_in_words
from anomify.errors import AnomifyError, ConfigError

log = logging.getLogger(__name__)

OWNER_ONLY_UMASK = 0o077
EXIT_FAILED = 1
EXIT_MISUSED = 2

# Each command is in the module of its name. The sentence repeats the first line of its help,
# so that listing the commands loads none of them.
COMMANDS = {
    "up": "Start the web server and the worker.",
    "demo": "Start the web server and the worker with a demo org and this machine's metrics.",
    "web": "Start only the web server.",
    "worker": "Start only the worker.",
    "db": "Migrate the database, or show its revision.",
    "config": "Show or check the settings.",
    "backup": "Write a backup of all data to FILE.",
    "restore": "Restore a backup from FILE.",
    "damaged": "List, save or delete stored data that cannot be read.",
    "doctor": "Check the installation for problems.",
    "org": "Create, list, export and delete orgs.",
    "user": "Create and list users, and restore their access.",
    "token": "Create, list, rotate and revoke tokens.",
    "push": "Send a file of datapoints to a server.",
    "detect": "Detect anomalies in a file of datapoints, without a server.",
}
# Used by other commands only.
HIDDEN = frozenset({"prepare", "feed"})


class Anomify(click.Group):
    """A group that imports a subcommand only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, the most used first."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command of that name."""
        del ctx
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return None
        command = getattr(import_module(f"anomify.cli.{cmd_name}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"anomify.cli.{cmd_name} has no command {cmd_name}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from `COMMANDS`."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; print an expected error as one sentence and set the exit code.

        Files that a command writes are readable only by the user who runs it.
        """
        os.umask(OWNER_ONLY_UMASK)
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"anomify: {error}", err=True)
            ctx.exit(EXIT_MISUSED)
        except AnomifyError as error:
            click.echo(f"anomify: {error.message}", err=True)
            ctx.exit(EXIT_FAILED)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            sentence = failure_in_words(error)
            if sentence is None:
                raise
            log.debug("traceback of the failed command", exc_info=error)
            click.echo(f"anomify: {sentence}", err=True)
            ctx.exit(EXIT_FAILED)


@click.group(cls=Anomify, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="anomify", message="%(version)s")
def anomify() -> None:
    """Detect anomalies in metrics and send alerts about them."""


def main() -> None:
    """Run the command line. The installed script calls this."""
    anomify(prog_name="anomify")


if __name__ == "__main__":
    main()
