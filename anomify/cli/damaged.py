"""`anomify damaged`: lists, saves or deletes stored data that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from anomify.cli.database import opened_database
from anomify.cli.settings import data_option, json_option, print_json
from anomify.errors import NotFound
from anomify.metric.open_store import open_point_database
from anomify.storage.damaged_items import DamagedItem, DamagedItems


@click.group()
def damaged() -> None:
    """List, save or delete stored data that cannot be read."""


@damaged.command("list")
@data_option
@json_option
def list_all(data_dir: Path | None, *, as_json: bool) -> None:
    """List the stored data that cannot be read; it is left out everywhere else."""
    with _damaged_items(data_dir) as items:
        found = items.list()
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "kind": one.kind.value,
                    "subject": one.subject,
                    "metric_id": one.metric_id,
                    "from_ms": one.from_ms,
                    "until_ms": one.until_ms,
                    "reason": one.reason,
                }
                for one in found
            ]
        )
        return
    for one in found:
        click.echo(f"{one.id:>6}  {one.in_words()}")
    if not found:
        click.echo("There is no damaged data.")


@damaged.command()
@click.argument("number", type=int)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def save(number: int, file: Path, data_dir: Path | None) -> None:
    """Write the unchanged bytes of the item NUMBER to FILE."""
    with _damaged_items(data_dir) as items:
        _one(items, number)
        file.touch(mode=0o600)
        file.write_bytes(items.blob(number))
    click.echo(f"{number} is in {file}.")


@damaged.command()
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Delete all damaged data.")
@data_option
def forget(numbers: tuple[int, ...], data_dir: Path | None, *, is_all: bool) -> None:
    """Delete the items NUMBERS for good; they are no longer reported."""
    if not numbers and not is_all:
        raise click.UsageError("Give the numbers that `anomify damaged list` shows, or --all.")
    with _damaged_items(data_dir) as items:
        ids = [one.id for one in items.list()] if is_all else list(numbers)
        known = {one.id for one in items.list()}
        for number in set(ids) - known:
            _one(items, number)
        items.forget(ids)
    click.echo(f"Deleted {len(ids)}.")


def _one(items: DamagedItems, number: int) -> DamagedItem:
    found = next((one for one in items.list() if one.id == number), None)
    if found is None:
        raise NotFound(f"There is no damaged item {number}; `anomify damaged list` shows them.")
    return found


@contextmanager
def _damaged_items(data_dir: Path | None) -> Iterator[DamagedItems]:
    with opened_database(data_dir) as (settings, database):
        opened = open_point_database(database, settings.data_dir)
        try:
            yield DamagedItems(opened)
        finally:
            opened.close()
