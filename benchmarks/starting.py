"""Measures the time until an empty product is ready, and its memory.

Run `python benchmarks/starting.py`. The installed product is started three times in a new directory
each. Measured are the time until it reports that it is ready (goal: at most 10 s) and, twenty
seconds later, the sum of the proportional memory (PSS) of its processes (goal: at most 400 MiB).
The anchor is the time in which this interpreter imports Flask, SQLAlchemy and NumPy.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.kit.server import Server, running

ROUNDS = 3
SETTLED_SECONDS = 20
ANCHOR = "import flask, sqlalchemy, sqlalchemy.orm, numpy"


def main() -> None:
    """Measure and print."""
    waited, weighed, anchors = [], [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", ANCHOR], check=True)
        anchors.append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as directory:
            began = time.perf_counter()
            with running(Server(Path(directory) / "data")) as server:
                waited.append(time.perf_counter() - began)
                time.sleep(SETTLED_SECONDS)
                weighed.append(sum(pss_mib(process.pid) for process in server.family()))
    print(f"until ready:  {statistics.median(waited):6.2f} s   (goal 10 s)")
    print(f"anchor:       {statistics.median(anchors):6.2f} s   ({ANCHOR})")
    print(f"memory:       {statistics.median(weighed):6.0f} MiB (goal 400 MiB, sum of PSS)")


def pss_mib(pid: int) -> float:
    """Return the proportional set size of a process in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
