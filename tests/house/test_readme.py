"""The documents are true: map, settings, commands, gate, links and paths match the code."""

import re
import shlex

import click

from anomify.cli.main import COMMANDS, anomify
from anomify.config import Settings
from tests.house.tree import ROOT, first_line, project_files, python_files

README = (ROOT / "README.md").read_text()
OPERATE = (ROOT / "docs" / "operate.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
README_LINES_MAX = 130
DOCUMENTS = [
    path
    for path in project_files()
    if path.suffix == ".md"
    and (
        len(path.parts) == 1 or path.parts[0] == "docs" or path.parts == ("benchmarks", "README.md")
    )
    and path.name != "CHANGELOG.md"
]
# A path in a document, such as `native/metric/`, `tests/kit/smtpsink.py` or `pyproject.toml`.
# What has a placeholder in it (`<kind>`, `...`) is no path.
SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*(/|\.(py|md|toml|html|js|css|csv|lock))")
# What the product makes or reads where it is installed.
MADE_ELSEWHERE = {"anomify.toml"}


def packages() -> dict[str, str]:
    """Return every package and module directly in `anomify/` with its docstring's first line."""
    found = {}
    for path in python_files("anomify"):
        if len(path.parts) == 3 and path.name == "__init__.py":
            found[f"{path.parts[1]}/"] = first_line(path)
        elif len(path.parts) == 2 and path.name != "__init__.py":
            found[path.name] = first_line(path)
    return found


def section_of(document: str, heading: str) -> str:
    return document.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def table_under(document: str, heading: str) -> dict[str, str]:
    rows = re.finditer(r"^\| `([^`]+)` \| (.+?) \|$", section_of(document, heading), re.MULTILINE)
    return {row[1]: row[2].strip() for row in rows}


def heading_anchors(document: str) -> set[str]:
    """Return the anchors that a reader of Markdown gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def command_lines(document: str) -> list[list[str]]:
    """Return the words of every `make` and `anomify` command in blocks and in spans."""
    joined = document.replace("\\\n", " ")
    blocks = re.findall(r"^    (\S.*)$", joined, re.MULTILINE)
    for fenced in re.findall(r"```sh\n(.*?)```", joined, re.DOTALL):
        blocks += fenced.splitlines()
    found = []
    for line in [*blocks, *SPAN.findall(joined)]:
        words = shlex.split(line, comments=True) if re.match(r"[\w./=:@-]+ ", line) else [line]
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words and words[0].removeprefix(".venv/bin/") in {"make", "anomify"}:
            found.append([words[0].removeprefix(".venv/bin/"), *words[1:]])
    return found


def check_anomify_command(words: list[str]) -> None:
    """Fail unless the command, its subcommand and its options exist."""
    command: click.Command = anomify
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        child = command.get_command(context, words[0])
        assert child is not None, f"there is no command `anomify {words[0]}`"
        command, words = child, words[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in options | {"--help"}, f"{word} is no option"


class TestMap:
    def test_has_the_docstring_of_every_package(self):
        true = packages()
        lines = "\n".join(f"| `{name}` | {sentence} |" for name, sentence in true.items())
        written = table_under(README, "Code map")
        assert written == true, f"the map of the README should be:\n{lines}"


class TestLayers:
    def test_name_every_package_once(self):
        architecture = (ROOT / "docs" / "architecture.md").read_text()
        rows = re.findall(
            r"^\| [^|]+ \| (`[^|]+) \|", section_of(architecture, "Layers"), re.MULTILINE
        )
        named = [name for row in rows for name in SPAN.findall(row)]
        assert sorted(named) == sorted(re.sub(r"/$|\.py$", "", name) for name in packages())


class TestSettings:
    def test_has_every_setting_with_its_description(self):
        true = {key: field.description for key, field in Settings.model_fields.items()}
        lines = "\n".join(f"| `{key}` | {description} |" for key, description in true.items())
        written = table_under(OPERATE, "Settings")
        assert written == true, f"the settings in docs/operate.md should be:\n{lines}"


class TestCommands:
    def test_has_every_command_with_its_help(self):
        assert table_under(README, "Commands") == {
            f"anomify {name}": sentence for name, sentence in COMMANDS.items()
        }

    def test_of_all_documents_exist_with_their_options(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        checked = 0
        for document in DOCUMENTS:
            for program, *words in command_lines((ROOT / document).read_text()):
                checked += 1
                if program == "make":
                    named = [word for word in words if "=" not in word]
                    assert set(named) <= targets, f"{document}: make {' '.join(named)}"
                else:
                    check_anomify_command(words)
        assert checked > 20


class TestGate:
    def test_is_the_same_in_the_makefile_contributing_and_ci(self):
        makefile = (ROOT / "Makefile").read_text()
        recipe = makefile.split("\ncheck:", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
        gate = [line.strip().removeprefix("$(BIN)/") for line in recipe]
        section = section_of(CONTRIBUTING, "The gate")
        for command in gate:
            assert f"    {command}\n" in section, f"CONTRIBUTING.md lacks `{command}`"
        assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
        assert re.search(r"^test: check", makefile, re.MULTILINE)


class TestPromises:
    def test_each_names_a_test(self):
        rows = re.findall(
            r"^\| (?!promise|---)(.+?) \| .+ \| (.+) \|$",
            section_of(OPERATE, "What you may rely on"),
            re.MULTILINE,
        )
        assert len(rows) >= 16
        for promise, tests in rows:
            named = SPAN.findall(tests)
            assert [span for span in named if span.startswith(("tests/", "benchmarks/"))], promise


class TestReadme:
    def test_is_short(self):
        assert len(README.splitlines()) <= README_LINES_MAX

    def test_shows_the_lines_that_the_start_prints(self):
        # tests/journey/test_up.py starts the product and reads both.
        for line in (
            "Anomify is ready: ",
            "Open this link to create the first user (it works once): ",
        ):
            assert f"    {line}http://127.0.0.1:8080" in README
            assert line in (ROOT / "anomify" / "cli" / "up.py").read_text()


class TestLinksAndPaths:
    def test_of_every_document_exist(self):
        files = {str(path) for path in project_files()}
        folders = {
            f"{parent}/"
            for path in project_files()
            for parent in path.parents
            if str(parent) != "."
        }
        wrong = []
        for document in DOCUMENTS:
            text = (ROOT / document).read_text()
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                path, _, anchor = target.partition("#")
                linked = (ROOT / document).parent / path if path else ROOT / document
                if "://" in target:
                    continue
                is_there = linked.exists() and (
                    not anchor or anchor in heading_anchors(linked.read_text())
                )
                if not is_there:
                    wrong.append(f"{document}: {target}")
            for span in SPAN.findall(text):
                if not PATH.fullmatch(span) or span in MADE_ELSEWHERE:
                    continue
                # In prose a path may begin in the package or beside the document.
                beside = f"{document.parent}/{span}"
                if not {span, f"anomify/{span}", beside} & (files | folders):
                    wrong.append(f"{document}: `{span}`")
        assert not wrong, "\n".join(wrong)
