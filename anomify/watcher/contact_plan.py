"""Whom a watcher is to notify: as it is requested, and as it is planned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anomify.contact_point.model import ContactPoint
from anomify.watcher.escalation import EscalationStep


@dataclass(frozen=True, slots=True)
class RequestedContacts:
    """Whom a watcher is to notify; None leaves it as it is, an empty value removes it."""

    contact_point_ids: Sequence[int] | None = None
    escalation: Sequence[EscalationStep] | None = None
    email_user_ids: Sequence[int] | None = None
    sms_user_ids: Sequence[int] | None = None
    # The name of a contact point, or a channel of the connected workspace.
    slack_channel: str | None = None
    slack_mention_user_ids: Sequence[int] | None = None
    teams_webhook: str | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None


@dataclass(frozen=True, slots=True)
class WantedContact:
    """An automatic contact point that a watcher is to have."""

    kind: str
    settings: Mapping[str, str] = field(default_factory=dict)
    user_id: int | None = None


@dataclass(slots=True)
class ContactPlan:
    """What a request changes, checked before anything is stored."""

    # By kind: the automatic contact points, or chosen ones that the request named.
    wanted: dict[str, list[WantedContact | ContactPoint]] = field(default_factory=dict)
    chosen: list[ContactPoint] | None = None
    # By id, the step at which a contact point is notified later.
    later: dict[int, int] | None = None
    escalation_minutes: list[int] | None = None
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlackFields:
    """What the fields of a watcher about Slack show."""

    channel: str
    mention_user_ids: tuple[int, ...]
