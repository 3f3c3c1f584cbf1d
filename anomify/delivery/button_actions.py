"""Do what a person asked for by a button of a message: expected, acknowledge, mute for an hour."""

from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import get_anomaly
from anomify.channel.message import Action
from anomify.clock import now
from anomify.contact_point.button import ANOMALY
from anomify.errors import Denied, NotFound
from anomify.metric.store import PointStore
from anomify.org.queries import get_org
from anomify.pattern.made_patterns import Trainer
from anomify.pattern.training import TrainingRequest, train
from anomify.silence.editing import SilenceFields, create_silence
from anomify.silence.window import quiet_reasons
from anomify.triage.actor import Actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.triage.status import Status
from anomify.user.model import User
from anomify.user.queries import find_user_by_email
from anomify.user.role import is_above

LEAST_ROLE: Final = "editor"
MUTED_FOR: Final = timedelta(hours=1)


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
    anomaly = _anomaly_of(user.org_id, subject)
    if action is Action.ACKNOWLEDGE:
        return _acknowledge(user, anomaly, base_url)
    if action is Action.EXPECTED:
        return _expected(user, anomaly, points)
    return _mute(user, anomaly)


def _anomaly_of(org_id: int, subject: str) -> Anomaly:
    if not subject.startswith(ANOMALY):
        raise NotFound("This button is of another version of the product.")
    return get_anomaly(org_id, int(subject.removeprefix(ANOMALY)))


def _acknowledge(user: User, anomaly: Anomaly, base_url: str) -> str:
    changed = change_anomalies(
        get_org(user.org_id),
        {anomaly.id: TriageChange(status=Status.ACKNOWLEDGED)},
        Actor(user.name, user.id, is_admin=user.is_admin),
        base_url,
    )
    name = anomaly.span.metric.name
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


def _mute(user: User, anomaly: Anomaly) -> str:
    org, at, name = get_org(user.org_id), now(), anomaly.span.metric.name
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
