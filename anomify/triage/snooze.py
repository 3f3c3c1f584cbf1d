"""Snoozing: an anomaly is hidden until a moment, unless its severity rises before."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, or_

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.recording import SEVERITIES, is_more_severe
from anomify.clock import now
from anomify.errors import Invalid
from anomify.triage.model import Triage

LONGEST: Final = timedelta(days=366)


def check_snooze(until: datetime | None) -> None:
    """Raise `Invalid` for a moment that is over or more than a year away."""
    if until is None or now() < until <= now() + LONGEST:
        return
    raise Invalid(
        "An anomaly is snoozed until a moment of the coming year.",
        fields={"snooze_until": "A moment in the future, at most a year away."},
    )


def snoozed_until(triage: Triage, severity: str) -> datetime | None:
    """Return until when an anomaly of that severity is snoozed; None if it is not."""
    until = triage.snoozed_until
    if until is None or until <= now():
        return None
    if triage.snoozed_severity is not None and is_more_severe(severity, triage.snoozed_severity):
        return None
    return until


def is_snoozed() -> ColumnElement[bool]:
    """Return the condition that an anomaly is snoozed, for queries of anomalies with their spans.

    It holds for the same anomalies as `snoozed_until` returns a moment for.
    """
    has_not_risen = [
        and_(Triage.snoozed_severity == severity, Span.severity.in_(SEVERITIES[: rank + 1]))
        for rank, severity in enumerate(SEVERITIES)
    ]
    return (
        exists()
        .where(
            Triage.anomaly_id == Anomaly.id,
            Triage.snoozed_until > now(),
            or_(Triage.snoozed_severity.is_(None), *has_not_risen),
        )
        .correlate(Anomaly, Span)
    )
