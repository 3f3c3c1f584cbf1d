"""A real Prometheus writes to the product, which is killed and started again in between.

`make prometheus-demo MINUTES=5` does the same for longer, and says what it counted.
"""

import math
import os
import time

import pytest

from anomify.metric.name import canonical_name
from tests.kit.prometheus import scraping
from tests.kit.server import Server, running

MINUTES = float(os.environ.get("PROMETHEUS_MINUTES", "0.7"))
# The product is away for so long: Prometheus keeps what it cannot send.
AWAY_SECONDS = 4
SERIES_MIN = 200


@pytest.mark.slow
@pytest.mark.debian("prometheus", "prometheus-node-exporter")
class TestRemoteWrite:
    def test_every_sample_it_sent_is_readable(self, tmp_path):
        began = time.time()
        with running(Server(tmp_path / "data")) as server:
            token = server.create_org()
            with scraping(tmp_path / "prometheus", server.url, token) as prometheus:
                time.sleep(MINUTES * 30)
                server.kill()
                time.sleep(AWAY_SECONDS)
                server.start()
                time.sleep(MINUTES * 30)
                until = time.time()
                prometheus.wait_until_sent(until)
                sampled = prometheus.samples(until, f"{math.ceil(until - began)}s")
                refused = prometheus.counted("prometheus_remote_storage_samples_failed_total")
                dropped = prometheus.counted("prometheus_remote_storage_samples_dropped_total")
            assert (refused, dropped) == (0, 0)
            assert len(sampled) >= SERIES_MIN
            counted = 0
            for labels, samples in sampled:
                name = canonical_name(labels.items())
                expected = {
                    round(timestamp * 1000): float(value)
                    for timestamp, value in samples
                    if math.isfinite(float(value))
                }
                stored = {
                    round(timestamp * 1000): value
                    for timestamp, value in server.points(token, name, began, until + 1)
                }
                missing = {at: value for at, value in expected.items() if stored.get(at) != value}
                assert not missing, f"{name} lacks {len(missing)} of {len(expected)} samples"
                counted += len(expected)
            assert server.stop() == 0
        print(
            f"{len(sampled):,} series, {counted:,} samples in {until - began:.0f} s "
            f"with one SIGKILL and {AWAY_SECONDS} s away: all are readable."
        )
