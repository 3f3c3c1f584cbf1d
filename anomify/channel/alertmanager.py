"""Send a message to a Prometheus Alertmanager as an alert, by its API v2."""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from anomify.channel.kind import ChannelKind, Setting, host_lane
from anomify.channel.message import Message, Receipt, Target
from anomify.channel.reply import is_success, receipt_of, retried
from anomify.channel.text import facts_of, headline_of, short
from anomify.clock import now
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import Outbound

ALERTS: Final = "/api/v2/alerts"
# An alert that goes on is sent again this often, and ends by itself after three times as long.
RESEND_SECONDS: Final = 300
ENDS_AFTER: Final = timedelta(seconds=3 * RESEND_SECONDS)
# A test is shown for this long.
TEST_ENDS_AFTER: Final = timedelta(minutes=5)
ALERT_NAME: Final = "AnomifyIncident"
TEST_NAME: Final = "AnomifyTest"
LABEL_MAX_CHARACTERS: Final = 200
ANNOTATION_MAX_CHARACTERS: Final = 4000


class AlertmanagerChannel:
    """Posts alerts. Their labels are their identity, so they stay those of the first message."""

    def __init__(self, outbound: Outbound) -> None:
        """Send through this client."""
        self._outbound = outbound

    def send(self, message: Message, target: Target) -> Receipt:
        """Post the alert; `Receipt.reference` holds its labels for the later messages."""
        is_test = message.type.endswith(".test")
        if not message.conversation and not is_test:
            return Receipt(
                is_delivered=False,
                problem="Alertmanager takes alerts only; send reports to another contact point.",
                is_permanent=True,
            )
        labels = _known_labels(message.first_reference) or labels_of(message, is_test=is_test)
        alert = alert_of(message, labels, now(), is_test=is_test)
        base = target.address or target.settings.get("url", "")
        url = base.rstrip("/").removesuffix(ALERTS) + ALERTS
        headers = {"Content-Type": "application/json"}
        user, password = (target.settings.get(name, "") for name in ("username", "password"))
        if user or password:
            credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        try:
            reply = self._outbound.post(url, msgspec.json.encode([alert]), headers)
        except UpstreamFailed as failure:
            return retried(failure)
        if is_success(reply.status):
            return Receipt(is_delivered=True, reference=msgspec.json.encode(labels).decode())
        detail = reply.body.decode(errors="replace")
        return receipt_of(reply, "Alertmanager", detail=detail, advice=_advice(reply.status))


def labels_of(message: Message, *, is_test: bool) -> dict[str, str]:
    """Return the labels of a new alert, by which Alertmanager routes, groups and silences."""
    labels = {
        "alertname": TEST_NAME if is_test else ALERT_NAME,
        "incident": message.conversation,
        "org": message.org_name,
        "watcher": message.watcher_name,
        "metric": message.about,
        "severity": message.severity,
    }
    short_labels = {name: short(value, LABEL_MAX_CHARACTERS) for name, value in labels.items()}
    # Alertmanager drops empty labels.
    return {name: value for name, value in short_labels.items() if value}


def alert_of(
    message: Message, labels: Mapping[str, str], at: datetime, *, is_test: bool
) -> Mapping[str, Any]:
    """Return the alert: it ends later while it goes on, and in the past when it is over."""
    starts = message.began_at or message.occurred_at
    if is_test:
        ends = at + TEST_ENDS_AFTER
    elif message.is_ongoing:
        ends = at + ENDS_AFTER
    else:
        # One that would end in the future counts as firing until then.
        ends = min(message.ended_at or message.occurred_at, at)
    annotations = {
        "summary": headline_of(message, 300),
        "description": facts_of(message, ANNOTATION_MAX_CHARACTERS),
        "severity": message.severity,
        "image": message.image_url,
    }
    alert: dict[str, Any] = {
        "labels": labels,
        "annotations": {name: value for name, value in annotations.items() if value},
        # An alert that would end before it starts is refused.
        "startsAt": _iso(min(starts, ends)),
        "endsAt": _iso(ends),
    }
    if message.link:
        alert["generatorURL"] = message.link
    return alert


def _known_labels(reference: str) -> Mapping[str, str] | None:
    try:
        return msgspec.json.decode(reference, type=dict[str, str]) or None
    except msgspec.DecodeError:
        return None


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _advice(status: int) -> str:
    if status == 404:  # noqa: PLR2004 -- what HTTP calls not found
        return f"Check its address: {ALERTS} is added to it."
    return ""


KIND = ChannelKind(
    name="alertmanager",
    words="Prometheus Alertmanager",
    about="An alert that keeps firing until it is over; your own routes and silences apply.",
    settings=(
        Setting("url", "Address", hint="Such as https://alertmanager.example:9093", is_url=True),
        Setting("username", "User name", hint="Where it asks for one.", is_required=False),
        Setting("password", "Password", is_secret=True, is_required=False, goes_to_url=True),
    ),
    make=lambda settings: AlertmanagerChannel(Outbound(settings.egress_allow)),
    lane_of=host_lane("url"),
    address_setting="url",
    resend_seconds=RESEND_SECONDS,
    takes_reports=False,
)
