"""Builds bodies of Prometheus remote write 1.0 for the benchmarks that send some.

Source: Prometheus documentation, "Prometheus Remote-Write 1.0 specification". It measures nothing.
"""

import random
import struct

import cramjam

SERIES = 10_000
SAMPLES = 2_000
STEP_MS = 1_000


def varint(number):
    """Return a number as a varint of protobuf."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def field_of(number, content):
    """Return a protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def label_bytes(number):
    """Return the encoded labels of one series, similar to those of a node exporter."""
    labels = {
        "__name__": f"http_requests_{number % 50}_total",
        "handler": f"/api/v1/resource/{number % 40}",
        "instance": f"10.0.{number // 250 % 250}.{number % 250}:9100",
        "job": "node",
        "method": "GET" if number % 2 else "POST",
        "shard": str(number),
    }
    return b"".join(
        field_of(1, field_of(1, name.encode()) + field_of(2, value.encode()))
        for name, value in sorted(labels.items())
    )


class Values:
    """Generates the values of each series: waves, counts, constants, random walks, noise."""

    def __init__(self):
        """Draw the first value of every random walk."""
        self._random = random.Random(7)
        self._walks = [self._random.uniform(0, 100) for _ in range(SERIES)]

    def next(self, series, step):
        """Return the value at a step."""
        kind = series % 5
        if kind == 0:
            return round(50 + 40 * ((step + series) % 60) / 60, 2)
        if kind == 1:
            return float(self._random.randrange(12))
        if kind == 2:
            return 1.0
        if kind == 3:
            self._walks[series] += self._random.gauss(0, 1)
            return round(self._walks[series], 3)
        return self._random.random()


def make_bodies(first_ms, timestamps, step_ms=STEP_MS):
    """Return for each timestamp the bodies that hold one sample of every series."""
    labels = [label_bytes(series) for series in range(SERIES)]
    values = Values()
    made = []
    for step in range(timestamps):
        time_field = b"\x10" + varint(first_ms + step * step_ms)
        bodies = []
        for first in range(0, SERIES, SAMPLES):
            parts = []
            for series in range(first, first + SAMPLES):
                value = values.next(series, step)
                # A value of zero is omitted, as in proto3.
                double = b"\x09" + struct.pack("<d", value) if value else b""
                parts.append(field_of(1, labels[series] + field_of(2, double + time_field)))
            bodies.append(bytes(cramjam.snappy.compress_raw(b"".join(parts))))
        made.append(bodies)
    return made
