"""The activity feed of an org: anomalies, posted events, changes and admin alerts in one list."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute

from anomify.admin_alert.kinds import KINDS
from anomify.admin_alert.model import RaisedAlert
from anomify.admin_alert.queries import list_alerts_raised, list_alerts_recovered
from anomify.anomaly.model import Anomaly, Ending, Span
from anomify.anomaly.wording import accepted_in_words, explanation_of
from anomify.audit.model import AuditEntry
from anomify.audit.queries import list_changes
from anomify.clock import datetime_from_ms, to_ms
from anomify.db import Page, session
from anomify.metric.model import Metric
from anomify.metric.status import duration_in_words
from anomify.org.event import TYPES as EVENT_TYPES
from anomify.org.event import list_events
from anomify.org.model import Org

OPENED = "anomaly.opened"
ENDED = "anomaly.ended"
RAISED = "adminalert.raised"
RECOVERED = "adminalert.recovered"
ACTOR_ANOMIFY = "Anomify"
# The part of the audit trail that everybody of an org may see; sign-ins are not included.
CHANGES = (
    *("watcher", "token", "invitation", "exclusion", "metric", "org", "adminalert"),
    *("pattern", "match", "anomaly"),
    *("user.create", "user.signup", "user.delete", "user.role", "user.invite", "billing.plan"),
)
_VERBS = {
    "create": "made",
    "add": "added",
    "update": "changed",
    "delete": "deleted",
    "undelete": "restored",
    "rotate": "replaced",
    "revoke": "revoked",
    "mute": "muted",
    "unmute": "unmuted",
    "signup": "signed up with",
    "invite": "invited",
    "accept": "accepted",
    "settings": "changed the settings of",
    "role": "changed the role of",
    "train": "labelled",
    "untrain": "took back the label of",
    "disable": "disabled",
    "enable": "enabled",
    "propose": "proposed",
    "use": "began to use",
    "decay": "stopped using",
    "retire": "retired",
    "validate": "called right",
    "invalidate": "called wrong",
    "learning": "changed the learning of",
    "status": "changed the status of",
    "assign": "changed who is assigned to",
    "snooze": "changed the snooze of",
    "comment": "commented on",
    "undo": "undid a change of",
}
_NOUNS = {
    "adminalert": "admin alert",
    "user": "",
    "billing": "",
    "anomaly": "anomaly of",
    "pattern": "pattern of",
    "match": "match of",
}


@dataclass(frozen=True, slots=True)
class Activity:
    """One entry of the feed."""

    # Stable: the same in every reply.
    id: str
    type: str
    at: datetime
    actor: str
    text: str
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class _Filter:
    org_id: int
    from_at: datetime
    until_at: datetime
    types: Collection[str]
    # How many entries to read of each source at most.
    most: int

    def wants(self, kind: str) -> bool:
        return not self.types or kind in self.types or kind.partition(".")[0] in self.types


def list_activity(
    org_id: int,
    *,
    from_at: datetime,
    until_at: datetime,
    types: Collection[str] = (),
    limit: int = 50,
    offset: int = 0,
) -> Page[Activity]:
    """List the entries of a time range, the latest first.

    `types` are whole types or their first words, such as `anomaly.opened` or `watcher`; without
    any all entries are listed.
    """
    requested = _Filter(org_id, from_at, until_at, types, limit + offset)
    pages = [source(requested) for source in _SOURCES]
    found = sorted(
        (one for page in pages for one in page.items),
        key=lambda one: (one.at, one.id),
        reverse=True,
    )
    return Page(found[offset : offset + limit], sum(page.total for page in pages))


def _openings(requested: _Filter) -> Page[Activity]:
    if not requested.wants(OPENED):
        return Page([], 0)
    rows, total = _spans(requested, Span.started_ms)
    timezone = session().get_one(Org, requested.org_id).timezone
    return Page(
        [
            Activity(
                f"anomaly-{span.anomaly_id}-opened",
                OPENED,
                datetime_from_ms(span.started_ms),
                ACTOR_ANOMIFY,
                explanation_of(span, timezone),
                name,
            )
            for span, name in rows
        ],
        total,
    )


def _endings(requested: _Filter) -> Page[Activity]:
    if not requested.wants(ENDED):
        return Page([], 0)
    rows, total = _spans(requested, Span.ended_ms)
    timezone = session().get_one(Org, requested.org_id).timezone
    return Page(list(_ending_entries(rows, timezone)), total)


def _ending_entries(rows: list[tuple[Span, str]], timezone: str) -> Iterator[Activity]:
    for span, name in rows:
        ended_ms = span.last_over_ms if span.ended_ms is None else span.ended_ms
        lasted = duration_in_words(ended_ms - span.started_ms)
        match span.ending:
            case Ending.SILENCE:
                text = f"Fell silent while unusual, after {lasted}."
            case Ending.NEW_LEVEL:
                text = f"It {accepted_in_words(span, timezone)}."
            case Ending.PATTERN:
                text = f"As expected, after {lasted}: a pattern explains it."
            case _:
                text = f"Back to normal after {lasted}."
        yield Activity(
            f"anomaly-{span.anomaly_id}-ended",
            ENDED,
            datetime_from_ms(ended_ms),
            ACTOR_ANOMIFY,
            text,
            name,
        )


def _spans(
    requested: _Filter, time: InstrumentedAttribute[Any]
) -> tuple[list[tuple[Span, str]], int]:
    wanted = (
        Anomaly.org_id == requested.org_id,
        time >= to_ms(requested.from_at),
        time < to_ms(requested.until_at),
    )
    statement = (
        select(Span, Metric.name)
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .join(Metric, Metric.id == Span.metric_id)
        .where(*wanted)
        .order_by(time.desc(), Span.anomaly_id.desc())
        .limit(requested.most)
    )
    counted = select(func.count()).select_from(Span).join(Anomaly, Anomaly.id == Span.anomaly_id)
    rows = [(span, name) for span, name in session().execute(statement)]
    return rows, session().scalar(counted.where(*wanted)) or 0


def _events(requested: _Filter) -> Page[Activity]:
    kinds = [kind for kind in EVENT_TYPES if requested.wants(kind)]
    page = list_events(
        requested.org_id,
        from_at=requested.from_at,
        until_at=requested.until_at,
        types=kinds,
        limit=requested.most,
    )
    return Page(
        [
            Activity(f"event-{event.id}", event.type, event.occurred_at, event.actor, event.text)
            for event in page.items
        ],
        page.total,
    )


def _changes(requested: _Filter) -> Page[Activity]:
    page = list_changes(
        requested.org_id,
        actions=CHANGES,
        types=requested.types,
        from_at=requested.from_at,
        until_at=requested.until_at,
        limit=requested.most,
    )
    return Page(
        [
            Activity(
                f"audit-{entry.id}", entry.action, entry.recorded_at, entry.actor, _sentence(entry)
            )
            for entry in page.items
        ],
        page.total,
    )


def _admin_alerts(requested: _Filter) -> Page[Activity]:
    found: list[Activity] = []
    total = 0
    for kind, list_alerts in ((RAISED, list_alerts_raised), (RECOVERED, list_alerts_recovered)):
        if requested.wants(kind):
            page = list_alerts(
                requested.org_id,
                from_at=requested.from_at,
                until_at=requested.until_at,
                limit=requested.most,
            )
            found += [_warning(raised, kind) for raised in page.items]
            total += page.total
    return Page(found, total)


def _warning(raised: RaisedAlert, kind: str) -> Activity:
    name = KINDS[raised.type_id].name
    if kind == RECOVERED and raised.recovered_at is not None:
        text = f"{name}: this is over."
        return Activity(
            f"adminalert-{raised.id}-over", kind, raised.recovered_at, ACTOR_ANOMIFY, text
        )
    return Activity(f"adminalert-{raised.id}", kind, raised.raised_at, ACTOR_ANOMIFY, f"{name}.")


def _sentence(entry: AuditEntry) -> str:
    noun, _, verb = entry.action.partition(".")
    done = _VERBS.get(verb, f"{verb} of".replace("_", " "))
    words = (done, _NOUNS.get(noun, noun.replace("_", " ")), entry.target)
    sentence = " ".join(word for word in words if word)
    return f"{sentence[:1].upper()}{sentence[1:]}."


_SOURCES: tuple[Callable[[_Filter], Page[Activity]], ...] = (
    _openings,
    _endings,
    _events,
    _changes,
    _admin_alerts,
)
