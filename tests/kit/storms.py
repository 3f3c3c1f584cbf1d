"""Thousands of anomalies of one org that begin within a minute, told as the worker does it."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from anomify.anomaly.model import Anomaly, Span
from anomify.clock import to_ms
from anomify.db import Database, session
from anomify.delivery.facts import Facts
from anomify.delivery.model import Delivery
from anomify.delivery.notify import notify_due
from anomify.metric.model import Metric
from anomify.metric.name import composed_hash, name_hash
from anomify.pipeline.announce import announcing
from tests.factories import make_incident, make_org, make_watcher

SECOND = timedelta(seconds=1)


@dataclass
class Storm:
    """An org whose metrics become unusual, and how long each tick took."""

    database: Database
    org_id: int
    metric_ids: list[int]
    seconds: list[float] = field(default_factory=list)

    def open(self, first: int, last: int, at: datetime) -> list[int]:
        """Open anomalies of these metrics in one tick; return their ids."""
        began = time.perf_counter()
        with self.database.unit_of_work(), announcing(at) as notifier:
            opened = [
                self._anomaly(metric_id, at, number)
                for number, metric_id in enumerate(self.metric_ids[first:last], first)
            ]
            session().add_all(opened)
            session().flush()
            for anomaly in opened:
                notifier.opened(anomaly.span)
            ids = [anomaly.id for anomaly in opened]
        self.seconds.append(time.perf_counter() - began)
        return ids

    def _anomaly(self, metric_id: int, at: datetime, number: int) -> Anomaly:
        started_ms = to_ms(at) - number * 13 % 60_000
        anomaly = Anomaly(
            uuid=str(uuid.UUID(int=metric_id << 64 | number)),
            org_id=self.org_id,
            opened_at=at,
            recorded_at=at,
        )
        anomaly.span = Span(
            metric_id=metric_id,
            started_ms=started_ms,
            last_over_ms=to_ms(at),
            is_open=True,
            peak_ms=started_ms,
            severity="high",
            value=97.5,
            expected_lower=10.0,
            expected_upper=40.0,
            score=0.9,
            alert=float(number % 7),
            evidence="value",
            explanation="97.5 is far above the 10 to 40 that are usual.",
        )
        return anomaly

    def end(self, anomaly_ids: Sequence[int], at: datetime) -> None:
        """End these anomalies in one tick."""
        began = time.perf_counter()
        with self.database.unit_of_work(), announcing(at) as notifier:
            for anomaly_id in anomaly_ids:
                span = session().get_one(Span, anomaly_id)
                span.is_open, span.ended_ms = False, to_ms(at)
                notifier.recovered(span)
        self.seconds.append(time.perf_counter() - began)

    def look(self, at: datetime) -> None:
        """Tell what is due."""
        began = time.perf_counter()
        with self.database.unit_of_work():
            notify_due(at)
        self.seconds.append(time.perf_counter() - began)

    def messages(self) -> list[tuple[str, int]]:
        """Return what was told, and of how many anomalies, in order."""
        with self.database.unit_of_work(write=False):
            rows = session().scalars(
                select(Delivery).order_by(Delivery.created_at, Delivery.sequence)
            )
            return [(row.transition, counted(row)) for row in rows]


def counted(row: Delivery) -> int:
    incident = Facts.from_row(row.facts).incident
    return 0 if incident is None else incident.anomaly_count


def make_storm(
    database: Database, names: Sequence[str], at: datetime, *, past_incidents: int = 0
) -> Storm:
    """Return an org with these metrics, a watcher of all, and so many incidents last week."""
    with database.unit_of_work():
        org = make_org()
        make_watcher(org, "m", webhook_url="https://hooks.example/", severity="high")
        metrics = [
            Metric(
                org_id=org.id,
                name=name,
                name_hash=name_hash(name),
                composed_hash=composed_hash(name),
                created_at=at,
            )
            for name in names
        ]
        session().add_all(metrics)
        session().flush()
        storm = Storm(database, org.id, [metric.id for metric in metrics])
        for number in range(past_incidents):
            began = at - timedelta(days=1) - number * 60 * SECOND
            anomaly = storm._anomaly(storm.metric_ids[number % len(names)], began, 0)
            anomaly.uuid = str(uuid.uuid4())
            anomaly.span.is_open, anomaly.span.ended_ms = False, to_ms(began) + 60_000
            session().add(anomaly)
            session().flush()
            make_incident(anomaly, opened_at=began, changed_at=began, closed_at=began)
    return storm
