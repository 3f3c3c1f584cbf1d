"""Measures whether messages are lost when receivers fail and the sender is killed.

Run `python benchmarks/deliveries.py [count] [kills] [seed]`. So many messages (1,000) go to a
receiver that answers three requests in ten with 404, 401, 403, 500, 503, 429, a redirect or a
reset, or takes the message and ends the connection without an answer. The process that sends them
is ended by SIGKILL so many times (40) meanwhile; its clock runs twenty times as fast, so that the
pauses between attempts pass. Goals: no message is lost, a repeated one has the id and the content
that it had before, and the messages of an incident arrive in order.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from anomify.db import Base, Database
from tests.kit.delivery_proof import prove

COUNT, KILLS, SEED = 1_000, 40, 1


def main() -> int:
    """Measure and print; return 1 where a goal is missed."""
    given = [int(each) for each in sys.argv[1:]]
    count, kills, seed = [*given, *(COUNT, KILLS, SEED)[len(given) :]]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'meta.db'}")
        database.sealing_key = b"s" * 32
        Base.metadata.create_all(database.engine)
        found = prove(database, Path(folder), count, kills=kills, seed=seed)
        database.dispose()
    print(f"messages:     {found.sent} in {found.seconds:.0f} s, {found.kills} kills")
    print(f"lost:         {len(found.lost)} (goal 0)")
    print(f"out of order: {len(found.out_of_order)} (goal 0)")
    print(f"strange:      {len(found.strange)} (goal 0)")
    print(f"repeated:     {found.repeats}, with the same id")
    return int(bool(found.lost or found.out_of_order or found.strange))


if __name__ == "__main__":
    sys.exit(main())
