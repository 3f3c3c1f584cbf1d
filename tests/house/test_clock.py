"""No test but the journeys reads the real time."""

import ast
import time
from datetime import datetime, timedelta

import pytest

from anomify.clock import now
from tests.house.tree import ROOT, parsed, python_files
from tests.kit.clock import MOMENTS, read_moment

READERS = {"now", "now_ms", "now_timestamp", "utcnow", "today", "time", "time_ns", "past"}
LONG = timedelta(minutes=1)


def runs_at_import(node: ast.AST):
    """Give the calls that are made while a module is imported."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        # Its body runs later; its decorators and defaults run now.
        inner = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    elif isinstance(node, ast.Lambda):
        inner = []
    else:
        inner = ast.iter_child_nodes(node)
        if isinstance(node, ast.Call):
            yield node
    for each in inner:
        yield from runs_at_import(each)


class TestClock:
    def test_is_not_read_while_tests_are_imported(self):
        bad = [
            f"{path}:{call.lineno}"
            for path in python_files("tests")
            if "journey" not in path.parts
            for call in runs_at_import(parsed(path))
            if (getattr(call.func, "id", None) or getattr(call.func, "attr", None)) in READERS
        ]
        assert bad == [], "read the clock in a fixture or a test, where it begins at a fixed moment"

    def test_begins_at_the_moment_that_is_set(self, request: pytest.FixtureRequest):
        text = request.node.callspec.params["clock_begins"] if len(MOMENTS) > 1 else MOMENTS[0]
        moment = read_moment(text)
        assert timedelta() <= now() - moment < LONG
        assert timedelta() <= datetime.fromtimestamp(time.time(), moment.tzinfo) - moment < LONG

    def test_is_in_the_zone_that_is_set(self, request: pytest.FixtureRequest):
        text = request.node.callspec.params["clock_begins"] if len(MOMENTS) > 1 else MOMENTS[0]
        moment = read_moment(text)
        assert datetime.fromtimestamp(moment.timestamp()).astimezone().utcoffset() == (
            moment.utcoffset()
        )


class TestClockTests:
    def test_name_files_that_exist(self):
        makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
        [listed] = [line for line in makefile.splitlines() if line.startswith("CLOCK_TESTS :=")]
        paths = listed.split(":=")[1].split()
        assert paths
        assert [path for path in paths if not (ROOT / path).exists()] == []
