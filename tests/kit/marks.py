"""Tests that need more than Python: they fail with what to install, or are left out and counted."""

import shutil
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
# The program that shows that a Debian package is there.
PROGRAMS = {
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "chromium": "chromium",
    "victoria-metrics": "victoria-metrics",
}


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


def leave_out_summary(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many marked tests were left out by `-m`, and how to run them."""
    left_out = len(reporter.stats.get("deselected", []))
    if left_out and "debian" in (config.option.markexpr or ""):
        reporter.write_line(
            f"{left_out} tests that need Debian packages or ../shared were left out; "
            "run them with `make test-all`."
        )
