"""The examples for sending metrics: they are filled in, and the server accepts what they send."""

import json
import re
import tomllib
from pathlib import Path

from anomify.dashboard.send_instructions import EXAMPLE_METRIC, send_instructions
from anomify.protocol.flux import ITEMS_MAX, parse_post

FOUND = {way.id: way.text for way in send_instructions("https://metrics.example", "anm_secret")}


class TestWays:
    def test_each_contains_the_url_and_the_key(self):
        for text in FOUND.values():
            assert "https://metrics.example/" in text
            assert "anm_secret" in text
            assert "{" + "url}" not in text

    def test_what_curl_sends_is_one_datapoint(self):
        body = re.search(r"-d '(.*)'$", FOUND["curl"])[1].replace("'$(date +%s)'", "1790812800")
        post = parse_post(body.encode())
        assert [(point.metric, point.value) for point in post.live] == [(EXAMPLE_METRIC, 21.5)]

    def test_the_telegraf_example_is_valid_toml(self):
        [output] = tomllib.loads(FOUND["telegraf"])["outputs"]["http"]
        assert output["headers"]["telegraf"] == "true"
        assert output["data_format"] == "json"
        assert output["metric_batch_size"] * 100 <= ITEMS_MAX
        assert set(output["non_retryable_statuscodes"]) == {400, 413, 415}

    def test_the_guide_has_the_same_telegraf_settings(self):
        guide = Path("templates/doc/guide/flux.html").read_text()
        pasted = tomllib.loads(
            re.search(r"(\[\[outputs\.http\]\].*?)\{% endraw", guide, re.DOTALL)[1]
        )
        [result], [output] = (
            pasted["outputs"]["http"],
            tomllib.loads(FOUND["telegraf"])["outputs"]["http"],
        )
        for settings in (result, output):
            del settings["url"], settings["headers"]["Authorization"]
        assert result == output

    def test_python_runs_and_sends_one_datapoint(self):
        compile(FOUND["python"], "example", "exec")
        point = {"metric": EXAMPLE_METRIC, "timestamp": 1_790_812_800, "value": 21.5}
        assert len(parse_post(json.dumps(point).encode()).live) == 1
        assert '"value": value}' in FOUND["python"]

    def test_the_prometheus_example_has_the_expected_keys(self):
        lines = FOUND["prometheus"].splitlines()
        assert lines[0] == "remote_write:"
        assert lines[1].strip() == "- url: https://metrics.example/api/v1/write"
