"""A row of each kind with honest defaults, and the cast of every test about who may see what."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import numpy as np
from argon2 import PasswordHasher

from anomify.anomaly.model import Anomaly, Span
from anomify.clock import now
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.settings import store_settings
from anomify.db import Base, sealing_key, session
from anomify.delivery.model import Delivery, Notification
from anomify.incident.model import Incident, IncidentMember
from anomify.match.model import Match
from anomify.metric.model import Metric
from anomify.metric.name import composed_hash, name_hash
from anomify.org.model import Org, Token
from anomify.org.token import create_token
from anomify.outbound.address_guard import host_of
from anomify.pattern.model import Pattern, PatternSeries
from anomify.series import Judgements, Series
from anomify.silence.model import Silence
from anomify.storage.codec import encode_series
from anomify.user.model import User
from anomify.user.session import open_user_session
from anomify.watcher.model import Watcher, WatcherContact

PASSWORD = "a long enough phrase"
# As little work as the library allows. Every test but those of hashing itself uses it, and so does
# the product in them; see conftest.py.
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD_HASH = CHEAP_HASHER.hash(PASSWORD)
_numbers = count(1)


Row = TypeVar("Row", bound=Base)


def _kept(row: Row) -> Row:
    session().add(row)
    session().flush()
    return row


def make_org(name: str = "Acme", **more: Any) -> Org:
    return _kept(Org(name=name, created_at=now(), **more))


def make_user(org: Org, name: str = "Alice", role: str = "owner", **more: Any) -> User:
    email = more.pop("email", f"{name.lower()}{next(_numbers)}@{org.name.lower()}.example")
    return _kept(
        User(
            org_id=org.id,
            name=name,
            email=email,
            role=role,
            created_at=now(),
            **{"password_hash": PASSWORD_HASH, **more},
        )
    )


def make_session(user: User) -> str:
    return open_user_session(user, "test browser", "192.0.2.1")


def make_token(org: Org, *scopes: str, name: str = "robot", **more: Any) -> tuple[Token, str]:
    return create_token(org, name, scopes or ("read",), "Alice", **more)


def make_metric(org: Org, name: str = "cpu.load", **more: Any) -> Metric:
    return _kept(
        Metric(
            org_id=org.id,
            name=name,
            name_hash=name_hash(name),
            composed_hash=composed_hash(name),
            **{"created_at": now(), **more},
        )
    )


def make_anomaly(
    metric: Metric,
    started_at: datetime | None = None,
    *,
    minutes: int | None = 5,
    severity: str = "high",
    anomaly_id: int | None = None,
    **more: Any,
) -> Anomaly:
    """One that lasted so long, or still runs when `minutes` is None."""
    started = started_at or datetime(2026, 11, 20, 12, tzinfo=UTC)
    started_ms = int(started.timestamp() * 1000)
    ended_ms = None if minutes is None else started_ms + minutes * 60_000
    anomaly = Anomaly(
        id=anomaly_id,
        uuid=str(uuid.uuid4()),
        org_id=metric.org_id,
        opened_at=started,
        recorded_at=started,
    )
    anomaly.span = Span(
        metric_id=metric.id,
        started_ms=started_ms,
        last_over_ms=ended_ms or started_ms,
        ended_ms=ended_ms,
        is_open=ended_ms is None,
        peak_ms=started_ms,
        severity=severity,
        **{
            "value": 97.5,
            "expected_lower": 10.0,
            "expected_upper": 40.0,
            "score": 0.9,
            "alert": 5.0,
            "evidence": "value",
            "explanation": "97.5 is far above the 10 to 40 that are usual.",
            **more,
        },
    )
    return _kept(anomaly)


def make_pattern(metric: Metric, anomaly: Anomaly | None = None, **more: Any) -> Pattern:
    """One of an hour that is 20 above its range, with a day of points before it."""
    moment = now()
    started_ms = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
    pattern = Pattern(
        org_id=metric.org_id,
        metric_id=metric.id,
        metric=metric,
        anomaly_id=None if anomaly is None else anomaly.id,
        **{
            "created_by": "Alice",
            "created_at": moment,
            "duration_seconds": 86_400,
            "label": "Nightly job",
            "state_at": moment,
            "state_by": "Alice",
            "started_ms": started_ms,
            "last_ms": started_ms + 60 * 60_000,
            "expected_lower": 90.0,
            "expected_upper": 110.0,
            "value": 130.0,
            "evidence": "above",
            "alert": 9.0,
            "step_ms": 60_000,
            **more,
        },
    )
    _kept(pattern)
    pattern.group_id = pattern.group_id or pattern.id
    times = pattern.started_ms + 60_000 * np.arange(-1440, 66, dtype=np.int64)
    inside = (times >= pattern.started_ms) & (times <= pattern.last_ms)
    values = np.where(inside, pattern.value, 100.0)
    window = Series(times, values, Judgements.none(len(times)))
    excursion = window.of(np.arange(1440 - 60, 1440 + 66))
    _kept(
        PatternSeries(
            pattern_id=pattern.id,
            excursion_points=encode_series(excursion),
            context=60,
            window_points=encode_series(window),
            window_step_ms=60_000,
        )
    )
    return pattern


def make_match(
    pattern: Pattern, started_at: datetime | None = None, *, minutes: int | None = 60, **more: Any
) -> Match:
    """One that lasted so long, or still runs when `minutes` is None."""
    started = started_at or datetime(2026, 11, 21, 12, tzinfo=UTC)
    started_ms = int(started.timestamp() * 1000)
    ended_ms = None if minutes is None else started_ms + minutes * 60_000
    return _kept(
        Match(
            org_id=pattern.org_id,
            metric_id=pattern.metric_id,
            pattern_id=pattern.id,
            recorded_at=started,
            started_ms=started_ms,
            last_ms=ended_ms or started_ms,
            ended_ms=ended_ms,
            is_open=ended_ms is None,
            peak_ms=started_ms,
            **{
                "kind": "shape",
                "onset_lower": 90.0,
                "onset_upper": 110.0,
                "value": 129.0,
                "expected_lower": 90.0,
                "expected_upper": 110.0,
                "score": 0.9,
                "alert": 8.5,
                "severity": "high",
                "evidence": "above",
                "explanation": "129 is far above the 90 to 110 that are usual.",
                "distance": 0.1,
                "similarity": 93.0,
                "height_ratio": 0.95,
                "length_ratio": 1.0,
                "minutes_apart": 0.0,
                "motif_index": 0,
                "motif_size": 120,
                "area_percent_diff": 4.0,
                **more,
            },
        )
    )


def make_watcher(org: Org, *chips: str, name: str = "Load", **more: Any) -> Watcher:
    """Return a watcher, linked to the contact points that its fields stand for."""
    watcher = _kept(
        Watcher(
            org_id=org.id,
            name=name,
            chips=list(chips) or ["cpu"],
            **{"is_alerting": True, "created_by": "Alice", "created_at": now(), **more},
        )
    )
    for user_id in more.get("email_user_ids", ()):
        if session().get(User, user_id) is not None:
            made = make_contact_point(
                org, "email", user_id=user_id, lane="@mail", is_automatic=True
            )
            link_contact(watcher, made)
    if url := more.get("webhook_url"):
        sealed = more.get("webhook_secret_sealed")
        link_contact(
            watcher,
            make_contact_point(
                org,
                "webhook",
                lane=host_of(url),
                is_automatic=True,
                settings_open={"url": url, **({"secret_sealed": sealed} if sealed else {})},
                stopped_at=more.get("webhook_stopped_at"),
                former_secret_sealed=more.get("former_secret_sealed"),
                former_secret_until=more.get("former_secret_until"),
            ),
        )
    return watcher


def make_contact_point(
    org: Org, kind: str = "webhook", key: bytes | None = None, **more: Any
) -> ContactPoint:
    """Return a contact point; `values` are its settings, sealed with `key` or the database's."""
    values = more.pop("values", {})
    made = ContactPoint(
        org_id=org.id,
        kind=kind,
        **{
            "name": f"{kind} {next(_numbers)}",
            "lane": kind,
            "created_by": "Alice",
            "created_at": now(),
            **more,
        },
    )
    if values:
        store_settings(made, values, key or sealing_key())
    return _kept(made)


def link_contact(watcher: Watcher, contact_point: ContactPoint, step: int = 0) -> WatcherContact:
    return _kept(
        WatcherContact(watcher_id=watcher.id, contact_point_id=contact_point.id, step=step)
    )


def make_incident(*anomalies: Anomaly, **more: Any) -> Incident:
    """Return an incident of these anomalies, which are flushed."""
    first = anomalies[0]
    incident = _kept(
        Incident(
            uuid=str(uuid.uuid4()),
            org_id=first.org_id,
            **{
                "severity": first.span.severity,
                "began_ms": first.span.started_ms,
                "opened_at": now(),
                "changed_at": now(),
                "first_anomaly_id": first.id,
                "anomaly_count": len(anomalies),
                "is_open": any(anomaly.span.is_open for anomaly in anomalies),
                **more,
            },
        )
    )
    for anomaly in anomalies:
        _kept(IncidentMember(anomaly_id=anomaly.id, incident_id=incident.id, joined_at=now()))
    return incident


def make_delivery(watcher: Watcher, anomaly: Anomaly, **more: Any) -> Delivery:
    """Return a message of a watcher about an anomaly, whose incident is made if it has none."""
    moment = now()
    session().flush()
    member = session().get(IncidentMember, anomaly.id)
    incident_id = make_incident(anomaly).id if member is None else member.incident_id
    if "contact_point_id" not in more:
        org = session().get_one(Org, watcher.org_id)
        more["contact_point_id"] = make_contact_point(org, more.get("channel", "email")).id
    told = _kept(
        Notification(
            org_id=watcher.org_id,
            incident_id=incident_id,
            watcher_id=watcher.id,
            contact_point_id=more["contact_point_id"],
            is_told_open=True,
            sequence=1,
            told_at=moment,
            opening_told_at=moment,
        )
    )
    return _kept(
        Delivery(
            org_id=watcher.org_id,
            watcher_id=watcher.id,
            incident_id=incident_id,
            notification_id=told.id,
            sequence=1,
            metric_id=anomaly.span.metric_id,
            **{
                "id": str(uuid.uuid4()),
                "transition": "opened",
                "channel": "email",
                "recipient": "Bob",
                "lane": "email",
                "facts": {},
                "created_at": moment,
                "due_at": moment - timedelta(seconds=1),
                **more,
            },
        )
    )


@dataclass(frozen=True)
class Cast:
    """Alice's org Acme with Bob and Dave in it, and Charlie of Globex, who sees nothing of Acme."""

    acme: Org
    globex: Org
    alice: User
    bob: User
    dave: User
    charlie: User
    # Ids of sessions that are open, by name.
    sessions: dict[str, str]

    def headers(self, name: str) -> dict[str, str]:
        return {"X-Session-Id": self.sessions[name]}


def make_cast() -> Cast:
    acme, globex = make_org("Acme"), make_org("Globex")
    people = {
        "alice": make_user(acme, "Alice", "owner", email="alice@acme.example"),
        "bob": make_user(acme, "Bob", "editor", email="bob@acme.example"),
        "dave": make_user(acme, "Dave", "viewer", email="dave@acme.example"),
        "charlie": make_user(globex, "Charlie", "owner", email="charlie@globex.example"),
    }
    sessions = {name: make_session(user) for name, user in people.items()}
    return Cast(acme, globex, **people, sessions=sessions)


def make_silence(org: Org, *, kind: str = "silence", hours: float = 2, **more: Any) -> Silence:
    """Make one that began an hour ago and is about everything, unless more is given."""
    begins_at = more.pop("begins_at", now() - timedelta(hours=1))
    return _kept(
        Silence(
            org_id=org.id,
            kind=kind,
            begins_at=begins_at,
            **{
                "ends_at": begins_at + timedelta(hours=hours),
                "timezone": org.timezone,
                "created_by": "Alice",
                "created_at": begins_at,
                **more,
            },
        )
    )
