"""The README is true: its map is what the rooms say, its gate is the gate, its settings exist."""

import re

from anomify.cli.main import COMMANDS
from anomify.config import Settings
from tests.house.tree import ROOT, first_line, python_files

README = (ROOT / "README.md").read_text()


def rooms() -> dict[str, str]:
    """Return every room and module of the top floor with what it says about itself."""
    found = {}
    for path in python_files("anomify"):
        if len(path.parts) == 3 and path.name == "__init__.py":
            found[f"{path.parts[1]}/"] = first_line(path)
        elif len(path.parts) == 2 and path.name != "__init__.py":
            found[path.name] = first_line(path)
    return found


def table_under(heading: str) -> dict[str, str]:
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.finditer(r"^\| `([^`]+)` \| (.+?) \|$", section, re.MULTILINE)
    return {row[1]: row[2].strip() for row in rows}


class TestMap:
    def test_says_of_every_room_what_the_room_says(self):
        written, true = table_under("The map"), rooms()
        lines = "\n".join(f"| `{room}` | {sentence} |" for room, sentence in true.items())
        assert written == true, f"the map of the README should be:\n{lines}"


class TestSettings:
    def test_lists_every_setting_with_its_description(self):
        true = {key: field.description for key, field in Settings.model_fields.items()}
        lines = "\n".join(f"| `{key}` | {description} |" for key, description in true.items())
        assert table_under("Settings") == true, f"the settings of the README should be:\n{lines}"


class TestCommands:
    def test_lists_every_command(self):
        assert table_under("Commands") == {
            f"anomify {name}": sentence for name, sentence in COMMANDS.items()
        }


class TestGate:
    def test_is_the_same_in_the_readme_the_hook_and_ci(self):
        makefile = (ROOT / "Makefile").read_text()
        recipe = makefile.split("\ncheck:", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
        gate = [line.strip().removeprefix("$(BIN)/") for line in recipe]
        section = README.split("## The gate\n", 1)[1].split("\n## ", 1)[0]
        for command in gate:
            assert f"    {command}\n" in section, f"the README's gate misses `{command}`"
        assert "make check" in (ROOT / ".githooks" / "pre-commit").read_text()
        assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
        assert re.search(r"^test: check", makefile, re.MULTILINE)
