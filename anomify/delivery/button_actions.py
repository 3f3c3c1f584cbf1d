"""Do what a person asked for by a button of a message: expected, acknowledge, mute for an hour."""

from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import get_anomaly
from anomify.channel.message import Action
from anomify.clock import now
from anomify.contact_point.button import ANOMALY, INCIDENT
from anomify.errors import Conflict, Denied, NotFound
from anomify.incident.queries import get_incident, spans_to_show
from anomify.metric.store import PointStore
from anomify.org.queries import get_org
from anomify.pattern.made_patterns import Trainer
from anomify.pattern.training import TrainingRequest, train
from anomify.silence.editing import SilenceFields, create_silence
from anomify.silence.window import quiet_reasons
from anomify.triage.actor import Actor
from anomify.triage.change import ANOMALIES_MAX, TriageChange, change_anomalies
from anomify.triage.status import Status
from anomify.user.model import User
from anomify.user.queries import find_user_by_email
from anomify.user.role import is_above

LEAST_ROLE: Final = "editor"
MUTED_FOR: Final = timedelta(hours=1)
# The most metrics of an incident that a button mutes, with a silence each.
MUTED_AT_ONCE_MAX: Final = 20


def allowed_user(org_id: int, email: str) -> User:
    """Return the user of the org with this address. Raises `Denied` if nobody may do this."""
    user = find_user_by_email(email.lower()) if email else None
    if user is None or user.org_id != org_id:
        raise Denied(
            "You are not known as a user of Anomify. Ask an admin to invite you with the e-mail"
            " address that you have here, or enter your member id in your Anomify account."
        )
    if is_above(LEAST_ROLE, user.role):
        raise Denied(f"Your role in Anomify is {user.role}; this needs the role {LEAST_ROLE}.")
    return user


def act(user: User, action: Action, subject: str, points: PointStore, base_url: str) -> str:
    """Do what the button says in the name of the user, and return a sentence about it.

    Raises an error with a sentence for the person where it cannot be done.
    """
    anomalies = _anomalies_of(user.org_id, subject)
    if action is Action.ACKNOWLEDGE:
        return _acknowledge(user, anomalies, base_url)
    if action is Action.EXPECTED:
        return _expected(user, anomalies[0], points)
    metrics = list(dict.fromkeys(anomaly.span.metric.name for anomaly in anomalies))
    if len(metrics) > MUTED_AT_ONCE_MAX:
        raise Conflict(
            f"These are {len(metrics)} metrics; make a silence for them on the page of silences."
        )
    return " ".join([_mute(user, name) for name in metrics])


def _anomalies_of(org_id: int, subject: str) -> list[Anomaly]:
    """Return the anomaly that a button names, or those of its incident that go on."""
    kind, number = subject[:1], int(subject[1:])
    if kind == ANOMALY:
        return [get_anomaly(org_id, number)]
    if kind != INCIDENT:
        raise NotFound("This button is of another version of the product.")
    spans = spans_to_show(get_incident(org_id, number), ANOMALIES_MAX)
    running = [span.anomaly for span in spans if span.is_open]
    if not running:
        raise Conflict("All of this is over.")
    return running


def _acknowledge(user: User, anomalies: list[Anomaly], base_url: str) -> str:
    changed = change_anomalies(
        get_org(user.org_id),
        {anomaly.id: TriageChange(status=Status.ACKNOWLEDGED) for anomaly in anomalies},
        Actor(user.name, user.id, is_admin=user.is_admin),
        base_url,
    )
    name = anomalies[0].span.metric.name
    if len(anomalies) > 1:
        name = f"{name} and {len(anomalies) - 1:,} more"
    if not changed.anomaly_ids:
        return f"{name} was acknowledged before."
    return f"{user.name} acknowledged {name}."


def _expected(user: User, anomaly: Anomaly, points: PointStore) -> str:
    train(
        get_org(user.org_id),
        anomaly,
        TrainingRequest(expected=True),
        points,
        Trainer(user.name, user.id),
    )
    return (
        f"{user.name} said that {anomaly.span.metric.name} was expected. The same is not reported"
        " again."
    )


def _mute(user: User, name: str) -> str:
    org, at = get_org(user.org_id), now()
    decision = quiet_reasons(org, at).of(name)
    # Pressed twice, or Slack repeated the request.
    if decision is not None and decision.until >= at + MUTED_FOR - timedelta(minutes=5):
        return f"{name} is muted already."
    ends_at = at + MUTED_FOR
    create_silence(
        org,
        SilenceFields(metric=name, comment="Muted by the button of a message.", ends_at=ends_at),
        user.name,
    )
    until = ends_at.astimezone(ZoneInfo(org.timezone))
    return f"{user.name} muted {name} until {until:%H:%M %Z}."
