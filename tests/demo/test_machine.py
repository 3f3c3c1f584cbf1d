"""The metrics of this machine."""

import math

from anomify.demo.machine import read_machine
from anomify.metric.name import parse_name


class TestReadMachine:
    def test_includes_processor_memory_disk_and_network(self):
        found = read_machine()
        for part in ("cpu.percent", "memory.used_percent", "disk.used_bytes", "network.bytes_sent"):
            assert any(part in name for name in found), part

    def test_returns_only_numbers_with_valid_names(self):
        for name, value in read_machine().items():
            assert math.isfinite(value)
            assert parse_name(name) is not None
