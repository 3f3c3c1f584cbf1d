"""How long a newcomer waits, and what an empty product weighs.

Run `python benchmarks/starting.py`. The installed product is started three times in a new directory
each: the time until it says that it is ready (goal: at most 10 s), and twenty seconds later the sum
of the proportional memory of its processes (goal: at most 400 MiB). The anchor is this interpreter
importing Flask, SQLAlchemy and NumPy, which is what any such product has to do at least once.
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
    print(f"weight:       {statistics.median(weighed):6.0f} MiB (goal 400 MiB, sum of PSS)")


def pss_mib(pid: int) -> float:
    """Return the proportional memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
