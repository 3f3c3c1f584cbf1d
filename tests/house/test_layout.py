"""Where files are and how they are named."""

import re

from tests.house.tree import ROOT, first_line, project_files, python_files

# The first word of an address is its file's name, and senders know this address.
NAMED_BY_ADDRESS = {"anomify/native/misc.py", "tests/native/test_misc.py"}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "service", "manager", "misc"}
ALLOWED_AT_THE_TOP = {
    *("app.py", "pyproject.toml", "requirements.lock", "Makefile"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "AUTHORS.md"),
    *("anomify", "templates", "static", "tests", "migrations", "benchmarks", "docs"),
}
BYTES_MAX = 400 * 1024


class TestFiles:
    def test_the_top_level_has_nothing_but_what_is_listed(self):
        found = {path.parts[0] for path in project_files() if not path.parts[0].startswith(".")}
        assert found <= ALLOWED_AT_THE_TOP

    def test_no_file_or_folder_has_a_meaningless_name(self):
        bad = [
            str(path)
            for path in project_files()
            if BANNED_NAMES & {part.removesuffix(".py") for part in path.parts}
            and str(path) not in NAMED_BY_ADDRESS
        ]
        assert bad == [], "the thing in it has a name of its own; find it"

    def test_nothing_is_large_but_the_lock(self):
        large = [
            str(path)
            for path in project_files()
            # What others wrote is as large as it is; vendor.lock says what may lie there.
            if path.name != "requirements.lock"
            and path.parts[:2] != ("static", "vendor")
            and (ROOT / path).stat().st_size > BYTES_MAX
        ]
        assert large == []

    def test_no_labelled_series_of_others_is_kept_here(self):
        bad = [str(path) for path in project_files() if re.search(r"\.csv(\.gz)?$", path.name)]
        assert [path for path in bad if not path.startswith("tests/data/")] == []

    def test_the_licence_is_apache_2(self):
        text = (ROOT / "LICENSE").read_text()
        assert "Apache License" in text
        assert "Version 2.0, January 2004" in text


class TestModules:
    def test_each_begins_with_a_sentence(self):
        # A test's path says what it tests.
        bad = [
            str(path)
            for path in python_files()
            if not path.name.startswith("test_") and first_line(path)[-1:] not in {".", "?"}
        ]
        assert bad == [], "begin it with a docstring of whole sentences: what is it for?"

    def test_every_package_has_a_module(self):
        packages = {path.parent for path in python_files("anomify")}
        empty = [
            str(package)
            for package in packages
            if [path.name for path in python_files("anomify") if path.parent == package]
            == ["__init__.py"]
        ]
        assert empty == []
