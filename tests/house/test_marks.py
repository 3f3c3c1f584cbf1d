"""Tests that need more than Python say what to install; they are never silently left out."""

import re

import pytest

from tests.house.tree import ROOT, python_files
from tests.kit import marks


class Item:
    """As much of a test as the hook looks at."""

    def __init__(self, *wanted: pytest.MarkDecorator) -> None:
        self._marks = [decorator.mark for decorator in wanted]

    def iter_markers(self, name: str) -> list[pytest.Mark]:
        return [mark for mark in self._marks if mark.name == name]

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return next(iter(self.iter_markers(name)), None)


class TestMarks:
    def test_a_missing_package_fails_with_what_to_install(self, monkeypatch):
        monkeypatch.setattr(marks.shutil, "which", lambda _program: None)
        with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
            marks.explain_missing(Item(pytest.mark.debian("chromium")))

    def test_missing_series_fail_with_where_to_put_them(self, monkeypatch, tmp_path):
        monkeypatch.setattr(marks, "SHARED", tmp_path)
        with pytest.raises(pytest.fail.Exception, match="put them at"):
            marks.explain_missing(Item(pytest.mark.shared))

    def test_what_is_there_passes(self, monkeypatch):
        monkeypatch.setattr(marks.shutil, "which", lambda program: f"/usr/bin/{program}")
        assert marks.explain_missing(Item(pytest.mark.debian("chromium"))) is None

    def test_every_package_a_test_needs_is_one_that_make_installs(self):
        makefile = (ROOT / "Makefile").read_text()
        installed = re.search(r"^DEBIAN_PACKAGES := (.*)$", makefile, re.MULTILINE)[1].split()
        assert set(installed) == set(marks.PROGRAMS)
        for path in python_files("tests"):
            for found in re.finditer(r"mark\.debian\(([^)]*)\)", (ROOT / path).read_text()):
                assert set(re.findall(r'"([a-z-]+)"', found[1])) <= set(installed), path
