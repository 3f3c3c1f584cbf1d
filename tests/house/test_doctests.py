"""The examples in the docstrings run."""

import doctest
import importlib
from pathlib import Path

from tests.house.tree import ROOT, python_files


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


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
