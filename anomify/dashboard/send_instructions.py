"""Instructions for sending metrics, with the server's address and a key filled in."""

from dataclasses import dataclass
from typing import Final

PLACEHOLDER: Final = "YOUR_KEY"
EXAMPLE_METRIC: Final = "example.temperature"

_PROMETHEUS: Final = """\
remote_write:
  - url: {url}/api/v1/write
    authorization:
      credentials: {key}
"""
_CURL: Final = """\
curl {url}/flux/metric_data_post \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"metric": "{metric}", "timestamp": '$(date +%s)', "value": 21.5}}'
"""
_TELEGRAF: Final = """\
[[outputs.http]]
  url = "{url}/flux/metric_data_post"
  timeout = "30s"
  data_format = "json"
  json_timestamp_units = "1s"
  content_encoding = "gzip"
  # A request holds at most 100,000 fields and 32 MiB before it is compressed.
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  # What is refused for good is not sent again; the reason is in Telegraf's log.
  non_retryable_statuscodes = [400, 413, 415]
  [outputs.http.headers]
    Authorization = "Bearer {key}"
    Content-Type = "application/json"
    telegraf = "true"
"""
_PYTHON: Final = """\
import json, time, urllib.request

def send(metric, value):
    point = {{"metric": metric, "timestamp": int(time.time()), "value": value}}
    urllib.request.urlopen(urllib.request.Request(
        "{url}/flux/metric_data_post",
        data=json.dumps(point).encode(),
        headers={{
            "Authorization": "Bearer {key}",
            "Content-Type": "application/json",
        }},
    ))

send("{metric}", 21.5)
"""


@dataclass(frozen=True, slots=True)
class SendInstruction:
    """One way to send metrics."""

    id: str
    title: str
    sentence: str
    text: str


def send_instructions(url: str, key: str) -> tuple[SendInstruction, ...]:
    """Return the instructions for a server at this address, with this key."""

    def filled(template: str) -> str:
        return template.format(url=url, key=key, metric=EXAMPLE_METRIC).rstrip()

    return (
        SendInstruction(
            "prometheus",
            "Prometheus",
            "Add this to prometheus.yml and reload it. Alloy, vmagent and the OpenTelemetry"
            " Collector use the same remote write.",
            filled(_PROMETHEUS),
        ),
        SendInstruction(
            "curl",
            "curl",
            "One point from a shell. Run it a few times, or every minute from cron.",
            filled(_CURL),
        ),
        SendInstruction(
            "telegraf",
            "Telegraf",
            "Add this output to telegraf.conf. Each field becomes a metric named after its host,"
            " its tags and its measurement, such as web_1.cpu0.cpu.usage_idle. Where two series"
            " come to one name, the second gets its tags as labels. Fields that are texts or"
            " booleans are refused, and counted below.",
            filled(_TELEGRAF),
        ),
        SendInstruction(
            "python",
            "Python",
            "Python alone is enough. To send many points at once, send a list of them under"
            ' the key "metrics".',
            filled(_PYTHON),
        ),
    )
