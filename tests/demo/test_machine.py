"""What this machine says about itself."""

import math

from anomify.demo.machine import read_machine
from anomify.metric.name import parse_name


class TestReadMachine:
    def test_knows_processor_memory_disk_and_network(self):
        found = read_machine()
        for part in ("cpu.percent", "memory.used_percent", "disk.used_bytes", "network.bytes_sent"):
            assert any(part in name for name in found), part

    def test_gives_numbers_only_and_names_the_door_takes(self):
        for name, value in read_machine().items():
            assert math.isfinite(value)
            assert parse_name(name) is not None
