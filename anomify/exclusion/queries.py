"""Queries for exclusion rules and the metrics they exclude; the org is the first argument."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select

from anomify.db import Page, batches, session
from anomify.errors import NotFound
from anomify.exclusion.model import Exclusion, ExclusionChange
from anomify.metric.model import Metric

MOST_EXCLUSIONS = 500
# Rows fetched at once while all names of an org are looked through.
NAMES_AT_ONCE = 5_000


class Named(NamedTuple):
    """A metric's name, and the rule that excludes it, if one does."""

    metric_id: int
    name: str
    excluded_by: int | None


def get_exclusion(org_id: int, exclusion_id: int) -> Exclusion:
    """Return the org's rule. Raises NotFound."""
    found = session().scalar(
        select(Exclusion).where(Exclusion.org_id == org_id, Exclusion.id == exclusion_id)
    )
    if found is None:
        raise NotFound(
            "There is no such exclusion in your org; /exclusion/list lists the ones there are."
        )
    return found


def list_exclusions(org_id: int, *, limit: int = 50, offset: int = 0) -> Page[Exclusion]:
    """List the org's rules, newest first; an expired rule is deleted within a minute."""
    rows = session().scalars(
        select(Exclusion)
        .where(Exclusion.org_id == org_id)
        .order_by(Exclusion.id.desc())
        .limit(min(limit, MOST_EXCLUSIONS))
        .offset(offset)
    )
    return Page(list(rows), count_exclusions(org_id))


def rules_in_force(org_id: int) -> list[Exclusion]:
    """Return the org's rules, oldest first: of several that match a metric the first applies."""
    return list(
        session().scalars(
            select(Exclusion).where(Exclusion.org_id == org_id).order_by(Exclusion.id)
        )
    )


def exclusions_by_id(org_id: int, exclusion_ids: Iterable[int]) -> dict[int, Exclusion]:
    """Return those of the org's rules that have these ids, by id."""
    wanted = set(exclusion_ids)
    if not wanted:
        return {}
    rows = session().scalars(
        select(Exclusion).where(Exclusion.org_id == org_id, Exclusion.id.in_(wanted))
    )
    return {row.id: row for row in rows}


def list_over(at: datetime, most: int) -> list[Exclusion]:
    """Return expired rules of any org, for the worker; those that expired first come first."""
    return list(
        session().scalars(
            select(Exclusion)
            .where(Exclusion.expires_at <= at)
            .order_by(Exclusion.expires_at, Exclusion.id)
            .limit(most)
        )
    )


def count_exclusions(org_id: int) -> int:
    """Count the org's rules."""
    return (
        session().scalar(
            select(func.count()).select_from(Exclusion).where(Exclusion.org_id == org_id)
        )
        or 0
    )


def count_kept_out(org_id: int, exclusion_ids: Iterable[int]) -> dict[int, int]:
    """Count the metrics that each of the rules excludes; a rule with none is missing."""
    rows = session().execute(
        select(Metric.excluded_by, func.count())
        .where(Metric.org_id == org_id, Metric.excluded_by.in_(set(exclusion_ids)))
        .group_by(Metric.excluded_by)
    )
    return {exclusion_id: count for exclusion_id, count in rows if exclusion_id is not None}


def names_of(org_id: int, *, excluded_by: int | None = None) -> Iterator[Named]:
    """Yield the names of all the org's metrics, or of those that one rule excludes."""
    metrics = Metric.__table__.c
    wanted: list[ColumnElement[bool]] = [metrics.org_id == org_id]
    if excluded_by is not None:
        wanted.append(metrics.excluded_by == excluded_by)
    # Without the ORM, which would double the time for so many rows.
    rows = (
        session()
        .connection()
        .execute(
            select(metrics.id, metrics.name, metrics.excluded_by).where(*wanted),
            execution_options={"yield_per": NAMES_AT_ONCE},
        )
    )
    for part in rows.partitions():
        yield from map(Named._make, part)


def changes_so_far() -> tuple[int, int]:
    """Return a value over all orgs that differs once rules have changed, for the worker."""
    orgs, changes = (
        session()
        .execute(select(func.count(), func.coalesce(func.sum(ExclusionChange.count), 0)))
        .one()
    )
    return int(orgs), int(changes)


def exclusions_of_metrics(metric_ids: Sequence[int]) -> dict[int, int]:
    """Return the id of the rule that excludes a metric, for those of the metrics that one excludes.

    For the worker: the metrics may be of any org.
    """
    found: dict[int, int] = {}
    for some in batches(metric_ids):
        rows = session().execute(
            select(Metric.id, Metric.excluded_by).where(
                Metric.id.in_(some), Metric.excluded_by.is_not(None)
            )
        )
        found |= {metric_id: rule for metric_id, rule in rows if rule is not None}
    return found
