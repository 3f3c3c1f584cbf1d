"""Large bodies take turns, and those that wait leave threads for everybody else."""

import json

from anomify.ingest import wire
from tests.kit.clock import LONG_AGO_SECONDS


def body(name: str, size_bytes: int) -> str:
    item = {"metric": name, "timestamp": LONG_AGO_SECONDS, "value": 1}
    return json.dumps({"metrics": [item]}) + " " * size_bytes


class TestLargeBodies:
    def test_beyond_those_in_line_are_refused_for_now_and_small_ones_are_taken(self, api):
        large = body("large", wire.LARGE_BODY_BYTES)
        path = "/flux/metric_data_post"
        for _ in range(wire.LARGE_BODIES_MAX):
            assert wire._large_bodies.acquire(blocking=False)
        try:
            refused = api.post(path, large)
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert "send the same again" in refused.json["message"]
            assert api.post(path, body("small", 0)).status_code == 204
        finally:
            wire._large_bodies.release(wire.LARGE_BODIES_MAX)
        # None of these keeps its place in the line, the refused one neither.
        for _ in range(wire.LARGE_BODIES_MAX + 1):
            assert api.post(path, large).status_code == 204
        assert api.names() == ["large", "small"]
