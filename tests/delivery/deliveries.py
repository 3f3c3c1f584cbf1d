"""Watchers, anomalies and deliveries for the tests of the outbox."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from anomify.anomaly.model import Anomaly, Span
from anomify.channel.message import Receipt
from anomify.channel.signature import new_secret
from anomify.clock import now
from anomify.db import session
from anomify.delivery.model import Delivery
from anomify.delivery.notify import notify_due
from anomify.delivery.outbox import Claim, claim, settle
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.org.sealing import seal
from anomify.pipeline.announce import announcing
from anomify.watcher.model import Watcher
from tests.factories import make_anomaly, make_metric, make_org, make_watcher

KEY = b"k" * 32
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
URL = "https://hooks.example/in"
FAILED = Receipt(is_delivered=False, problem="The receiver answered 500.")
GONE = Receipt(is_delivered=False, problem="Gone.", is_permanent=True, is_gone=True)


def make_webhook_watcher(org: Org, *chips: str, url: str = URL, **more: Any) -> Watcher:
    """Return a watcher with a webhook."""
    sealed = seal(KEY, org.id, new_secret())
    return make_watcher(org, *chips, webhook_url=url, webhook_secret_sealed=sealed, **more)


def make_open_anomaly(metric: Metric, began: datetime | None = None, **more: Any) -> Anomaly:
    """Return an anomaly that goes on."""
    return make_anomaly(metric, NOON if began is None else began, minutes=None, **more)


def tell_opened(*anomalies: Anomaly, at: datetime | None = None) -> int:
    """Announce that these anomalies opened; return how many messages are new."""
    return _announce(anomalies, at, have_opened=True)


def tell_ended(*anomalies: Anomaly, at: datetime | None = None) -> int:
    """Announce that these anomalies ended; return how many messages are new."""
    return _announce(anomalies, at, have_opened=False)


def look_again(at: datetime | None = None) -> int:
    """Decide on what is due; return how many messages are new."""
    before = len(rows())
    notify_due(at or now())
    return len(rows()) - before


def _announce(anomalies: Sequence[Anomaly], at: datetime | None, *, have_opened: bool) -> int:
    before = len(rows())
    with announcing(at or now()) as notifier:
        for anomaly in anomalies:
            span = session().get_one(Span, anomaly.id)
            if have_opened:
                notifier.opened(span)
            else:
                notifier.recovered(span)
    return len(rows()) - before


def opened_once(**more: Any) -> Anomaly:
    """Return an anomaly with one enqueued opened message, to a webhook."""
    org = make_org()
    make_webhook_watcher(org, **more)
    anomaly = make_anomaly(make_metric(org), minutes=None)
    assert tell_opened(anomaly) == 1
    return anomaly


def metric_of(anomaly: Anomaly) -> Metric:
    return session().get_one(Metric, anomaly.span.metric_id)


def end(anomaly: Anomaly) -> None:
    anomaly.span.is_open = False
    anomaly.span.ended_ms = anomaly.span.last_over_ms + 60_000


def rows() -> list[Delivery]:
    session().flush()
    return list(
        session().scalars(
            select(Delivery).order_by(Delivery.created_at, Delivery.sequence, Delivery.id)
        )
    )


def claim_all(at: datetime = NOON, most: int = 100, **busy: int) -> list[Claim]:
    return claim(at, most, busy, KEY)


def settle_claim(claimed: Claim, receipt: Receipt, at: datetime = NOON) -> Delivery:
    settle(claimed.id, claimed.leased_until, receipt, at, chance=0.5)
    return session().get_one(Delivery, claimed.id)
