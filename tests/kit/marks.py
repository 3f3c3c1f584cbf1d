"""Tests that need more than Python: they fail with what to install, or are left out and counted."""

import shutil
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
# How many marked tests were left out; every worker of a run leaves out the same ones.
LEFT_OUT = pytest.StashKey[int]()
# The program that shows that a Debian package is there.
PROGRAMS = {
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "chromium": "chromium",
    "curl": "curl",
    "victoria-metrics": "victoria-metrics",
    "glewlwyd": "glewlwyd",
}


def needs_more(item: pytest.Item) -> bool:
    """Return whether a test is marked as one that Python alone cannot run."""
    return any(item.get_closest_marker(name) for name in ("debian", "shared"))


def explain_missing(item: pytest.Item) -> None:
    """Fail a marked test, in a sentence, when what it needs is not there."""
    for mark in item.iter_markers("debian"):
        missing = [package for package in mark.args if shutil.which(PROGRAMS[package]) is None]
        if missing:
            names = " ".join(missing)
            pytest.fail(
                f"This test needs Debian packages. Install them: apt-get install {names}",
                pytrace=False,
            )
    if item.get_closest_marker("shared") and not (SHARED / "data" / "series").is_dir():
        pytest.fail(
            "This test needs the labelled series that lie beside the project; "
            "put them at ../shared/data.",
            pytrace=False,
        )


def say_what_was_left_out(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many marked tests were left out by `-m`, and how to run them."""
    left_out = config.stash.get(LEFT_OUT, 0)
    if left_out:
        reporter.write_line(
            f"{left_out} tests that need Debian packages or ../shared were left out; "
            "run them with `make test-all`."
        )
