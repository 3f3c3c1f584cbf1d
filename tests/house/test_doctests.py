"""The examples in the docstrings run, and every function of an engine that others call has one."""

import ast
import doctest
import importlib
import inspect
from pathlib import Path

from tests.house.tree import ROOT, parsed, python_files

ENGINES = {"detection", "rendering", "protocol"}


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def called_from_other_packages() -> dict[str, set[str]]:
    """Return the names that modules of other packages import from each module of an engine."""
    found: dict[str, set[str]] = {}
    for path in python_files("anomify"):
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.ImportFrom) and node.module):
                continue
            parts = node.module.split(".")
            is_engine = parts[:1] == ["anomify"] and len(parts) == 3 and parts[1] in ENGINES
            if is_engine and path.parts[1] != parts[1]:
                found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return found


class TestExamples:
    def test_all_of_them_run(self):
        failed = []
        for path in python_files("anomify"):
            text = (ROOT / path).read_text()
            if ">>> " not in text:
                continue
            module = importlib.import_module(module_name(path))
            result = doctest.testmod(module)
            # Whatever looks like an example and is not collected would never be checked.
            if result.failed or result.attempted < text.count(">>> "):
                failed.append(f"{path}: {result} of {text.count('>>> ')}")
        assert failed == []

    def test_every_engine_function_that_others_call_has_one(self):
        missing = [
            f"{name}.{function}"
            for name, functions in sorted(called_from_other_packages().items())
            for function in sorted(functions)
            if inspect.isroutine(found := getattr(importlib.import_module(name), function))
            and ">>> " not in (found.__doc__ or "")
        ]
        assert missing == []
