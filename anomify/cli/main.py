"""The command `anomify`: finds the subcommand asked for and says failures in one sentence."""

import logging
import os
from importlib import import_module
from typing import Any

import click

from anomify.cli.failures import failure_in_words
from anomify.config import ConfigError
from anomify.errors import AnomifyError

log = logging.getLogger(__name__)

OTHERS_NOTHING = 0o077
EXIT_FAILED = 1
EXIT_MISUSED = 2

# Each lives in the module and under the name of its own; the sentence is its help's first line,
# kept here too so that listing the commands loads none of them.
COMMANDS = {
    "up": "Start the product: pages, doors and worker, in one process tree.",
    "demo": "Start the product with a demo org and this machine's own metrics.",
    "web": "Answer requests only; a worker runs elsewhere.",
    "worker": "Judge points and deliver messages only; the web runs elsewhere.",
    "db": "Move the database between versions.",
    "config": "Show and check the settings.",
    "backup": "Write everything to one file, while the product runs.",
    "restore": "Put a backup back, where nothing is yet.",
    "damaged": "Save or forget stored data that could not be read.",
    "doctor": "Look for what could keep the product from working.",
    "org": "Make, list, export and delete orgs.",
    "user": "Make and list users, and let them in again.",
    "token": "Make, list, rotate and revoke the tokens of machines.",
    "push": "Send a file of points to a server.",
    "detect": "Judge a file of points, without a server.",
}
# Steps of other commands, not for people.
HIDDEN = frozenset({"prepare", "feed"})


class Anomify(click.Group):
    """A group that loads a subcommand when it is asked for, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order a newcomer needs them."""
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
        """List the commands from the table above."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a failure that we foresaw is one sentence and an exit code.

        What a command writes is for the user who runs it alone: databases, keys, files asked for.
        """
        os.umask(OTHERS_NOTHING)
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
            log.debug("where it failed", exc_info=error)
            click.echo(f"anomify: {sentence}", err=True)
            ctx.exit(EXIT_FAILED)


@click.group(cls=Anomify, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="anomify", message="%(version)s")
def anomify() -> None:
    """Watch metrics and tell people, early and rarely wrongly, when one behaves as never before."""


def main() -> None:
    """Run the command line; what the installed script calls."""
    anomify(prog_name="anomify")


if __name__ == "__main__":
    main()
