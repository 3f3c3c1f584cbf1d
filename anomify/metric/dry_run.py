"""The results of dry runs of ingestion, by org and server id, kept for an hour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import delete, select

from anomify.db import session
from anomify.metric.model import DryRun

KEPT_FOR: Final = timedelta(hours=1)
# The most names and refusals kept of one dry run; their total numbers are kept as well.
ITEMS_MAX: Final = 1_000
# Senders choose server ids freely, so their number is limited.
SERVERS_MAX: Final = 100
SERVER_CHARACTERS_MAX: Final = 200


class Dropped(msgspec.Struct, frozen=True):
    """An item that would not be stored, and why."""

    metric: str
    reason: str


class DryRunReport(msgspec.Struct, frozen=True):
    """What a submission would do."""

    # Names of metrics, those that would be new among them.
    accepted: Sequence[str]
    accepted_total: int
    new: Sequence[str]
    dropped: Sequence[Dropped]
    dropped_total: int
    would_exceed_quota: bool


@dataclass(frozen=True, slots=True)
class LastDryRun:
    """The last dry run of a server."""

    server_id: str
    at: datetime
    report: DryRunReport


def save_dry_run(org_id: int, server_id: str | None, report: DryRunReport, at: datetime) -> None:
    """Store the result of a dry run in place of the server's last one."""
    kept = DryRunReport(
        accepted=list(report.accepted[:ITEMS_MAX]),
        accepted_total=report.accepted_total,
        new=list(report.new[:ITEMS_MAX]),
        dropped=list(report.dropped[:ITEMS_MAX]),
        dropped_total=report.dropped_total,
        would_exceed_quota=report.would_exceed_quota,
    )
    stored: Mapping[str, Any] = msgspec.to_builtins(kept)
    session().merge(
        DryRun(
            org_id=org_id,
            server_id=(server_id or "")[:SERVER_CHARACTERS_MAX],
            received_at=at,
            report=stored,
        )
    )
    session().flush()
    latest = (
        select(DryRun.server_id)
        .where(DryRun.org_id == org_id)
        .order_by(DryRun.received_at.desc(), DryRun.server_id)
        .limit(SERVERS_MAX)
    )
    session().execute(
        delete(DryRun).where(
            DryRun.org_id == org_id, DryRun.server_id.not_in(latest.scalar_subquery())
        )
    )


def find_dry_run(org_id: int, at: datetime, *, server_id: str | None = None) -> LastDryRun | None:
    """Return the last dry run of that server, or of any; None after an hour."""
    statement = select(DryRun).where(DryRun.org_id == org_id, DryRun.received_at > at - KEPT_FOR)
    if server_id is not None:
        statement = statement.where(DryRun.server_id == server_id)
    row = session().scalar(statement.order_by(DryRun.received_at.desc()).limit(1))
    if row is None:
        return None
    return LastDryRun(row.server_id, row.received_at, msgspec.convert(row.report, DryRunReport))


def delete_old_dry_runs(at: datetime) -> None:
    """Delete dry runs older than an hour, of every org."""
    session().execute(delete(DryRun).where(DryRun.received_at <= at - KEPT_FOR))
