"""A process that only sends messages, whose clock may run faster; it ends when it is killed.

Run `python -m tests.kit.deliverer_process DATABASE_URL DATA_DIR KEY BEGAN SPEED`.
"""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anomify.config import Settings
from anomify.db import Database
from anomify.worker.deliver import Deliverer
from tests.kit.outbox import PNG

LOOPBACK = ("127.0.0.0/8",)


@dataclass(frozen=True)
class FastClock:
    """A clock that was right at a moment and runs faster since."""

    began: float
    speed: float

    def __call__(self) -> datetime:
        passed = time.time() - self.began
        return datetime.fromtimestamp(self.began + passed * self.speed, UTC)


def start(database_url: str, settings: Settings, clock: FastClock) -> subprocess.Popen[bytes]:
    """Start such a process."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.kit.deliverer_process", database_url),
            *(str(settings.data_dir), key_of(settings)),
            *(str(clock.began), str(clock.speed)),
        ],
        cwd=Path(__file__).parent.parent.parent,
    )


def key_of(settings: Settings) -> str:
    return "" if settings.secret_key is None else settings.secret_key.get_secret_value()


def main() -> None:
    url, folder, key, began, speed = sys.argv[1:]
    settings = Settings(data_dir=Path(folder), secret_key=key, egress_allow=LOOPBACK)
    database = Database(url)
    database.sealing_key = b"s" * 32
    clock = FastClock(float(began), float(speed))
    Deliverer(database, settings, lambda _: PNG, clock=clock).run_until(threading.Event())


if __name__ == "__main__":
    main()
