"""Rules of this project that no linter checks."""

import ast
import re

import pytest

from tests.house.tree import ROOT, parsed, project_files, python_files

DANGEROUS_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__"}
UNFINISHED = re.compile(
    "|".join(
        ["TO" + "DO", "FIX" + "ME", r"\bX" + "XX\\b", "NotImplemented" + "Error", "mark.sk" + "ip"]
    )
)
IGNORE = re.compile(
    r"# (noqa(: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*)?|type: ignore(\[[a-z\-, ]+\])?)(?P<rest>.*)$"
)


def calls(path):
    return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]


def imported(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


class TestTransactions:
    def test_only_db_commits(self):
        bad = [
            f"{path}:{call.lineno}"
            for path in python_files("anomify")
            for call in calls(path)
            if isinstance(call.func, ast.Attribute)
            and call.func.attr == "commit"
            and str(path) != "anomify/db.py"
        ]
        assert bad == [], "open a unit of work at the edge instead"


class TestDanger:
    def test_nothing_unpickles(self):
        bad = [str(path) for path in python_files() if DANGEROUS_MODULES & set(imported(path))]
        assert bad == []

    def test_nothing_runs_text_as_code(self):
        bad = [
            f"{path}:{call.lineno}"
            for path in python_files("anomify", "app.py")
            for call in calls(path)
            if isinstance(call.func, ast.Name) and call.func.id in DANGEROUS_CALLS
        ]
        assert bad == []


class TestNames:
    def test_every_name_has_one_home(self):
        bad = [
            str(path)
            for path in python_files("anomify")
            if any(
                isinstance(node, ast.Assign)
                and any(
                    isinstance(name, ast.Name) and name.id == "__all__" for name in node.targets
                )
                for node in parsed(path).body
            )
        ]
        assert bad == [], "import a name from its home; nothing is handed on"

    def test_an_init_file_contains_only_a_docstring(self):
        bad = [
            str(path)
            for path in python_files("anomify")
            if path.name == "__init__.py" and len(parsed(path).body) != 1
        ]
        assert bad == []


class TestHonesty:
    def test_nothing_is_left_unfinished(self):
        bad = [
            f"{path}:{number}"
            for path in python_files()
            for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
            if UNFINISHED.search(line)
        ]
        assert bad == []

    def test_every_ignore_gives_its_reason(self):
        bad = []
        for path in python_files():
            for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
                found = IGNORE.search(line)
                if found and not re.search(r"[a-z]{3}", found["rest"]):
                    bad.append(f"{path}:{number}")
        assert bad == [], "say on the same line why the rule does not hold here"

    @pytest.mark.parametrize("word", ["time.sleep(", "asyncio.sleep("])
    def test_no_test_waits_by_sleeping(self, word):
        bad = [
            str(path)
            for path in project_files()
            if path.name.startswith("test_")
            and path.parts[:2] != ("tests", "journey")
            and str(path) != "tests/house/test_code.py"
            and word in (ROOT / path).read_text()
        ]
        assert bad == [], "wait for an event"

    def test_every_test_claims_something(self):
        bad = []
        for path in python_files("tests"):
            for node in ast.walk(parsed(path)):
                if not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_")):
                    continue
                text = ast.unparse(node)
                if not re.search(r"\bassert\b|\braises\(|\bassert_|\bcheck_|\bexpect", text):
                    bad.append(f"{path}:{node.lineno} {node.name}")
        assert bad == []
