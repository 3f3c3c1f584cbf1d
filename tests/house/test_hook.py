"""The commit hook checks the files of a commit, as they are staged, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

GOOD = '"""A module."""\n'
UNFORMATTED = '"""A module."""\n\nVALUE = {  "a":1 }\n'
UNUSED = '"""A module."""\n\nimport os\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with the project's hook and configuration."""
    shutil.copytree(ROOT / ".githooks", tmp_path / ".githooks")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "anomify").mkdir()
    (tmp_path / "anomify" / "__init__.py").write_text(GOOD)
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "core.hooksPath", ".githooks")
    git(tmp_path, "config", "user.name", "Alice")
    git(tmp_path, "config", "user.email", "alice@acme.example")
    git(tmp_path, "add", "-A")
    assert git(tmp_path, "commit", "-qm", "start").returncode == 0
    return tmp_path


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**clean, "PATH": tools},
        capture_output=True,
        text=True,
        check=False,
    )


class TestHook:
    def test_refuses_what_is_staged_and_ignores_what_is_not(self, repository):
        module = repository / "anomify" / "sample.py"
        for text, is_taken in ((UNFORMATTED, False), (UNUSED, False), (GOOD, True)):
            module.write_text(text)
            git(repository, "add", "-A")
            result = git(repository, "commit", "-qm", "sample")
            assert (result.returncode == 0) is is_taken, result.stderr + result.stdout
        # The directory's version of a file that is staged differs from what would be committed.
        for staged, beside, is_taken in (
            (UNUSED, GOOD, False),
            (UNFORMATTED, GOOD, False),
            (f"{GOOD}\nVALUE = 1\n", UNUSED, True),
        ):
            module.write_text(staged)
            git(repository, "add", "-A")
            module.write_text(beside)
            result = git(repository, "commit", "-qm", "sample")
            assert (result.returncode == 0) is is_taken, result.stderr + result.stdout

    def test_passes_commits_without_python_and_deletions(self, repository):
        (repository / "notes with spaces.md").write_text("# Notes\n")
        git(repository, "add", "-A")
        assert git(repository, "commit", "-qm", "notes").returncode == 0
        (repository / "anomify" / "__init__.py").unlink()
        git(repository, "add", "-A")
        assert git(repository, "commit", "-qm", "less").returncode == 0
