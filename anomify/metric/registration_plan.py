"""The plan of a registration: which metrics exist, and what has to be written for the others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select, update

from anomify.clock import now
from anomify.db import batches, session, upsert
from anomify.metric.folding import fold
from anomify.metric.model import Metric
from anomify.metric.name import (
    DerivedName,
    NameRefused,
    composed_hash,
    composed_name,
    invisible_character,
    name_hash,
)

# SQLite allows at most 32,766 variables in a statement.
STATEMENT_ROWS = 500


@dataclass(slots=True)
class FoundMetric:
    """A metric that is in the database or is to be inserted, as far as registration needs it."""

    # None before it is inserted.
    id: int | None
    # The SHA-256 of the series that a derived name was made of; None for other names.
    source: bytes | None = None
    # Stored in Unicode form NFC; takes the name as it is next sent.
    takes_other_spelling: bool = False


@dataclass(slots=True)
class NewMetric:
    """A metric to be inserted."""

    name: str
    source: bytes | None


@dataclass(frozen=True, slots=True)
class NameUpdate:
    """An update of an existing metric: the spelling of its name, its source, or both."""

    metric_id: int
    # The name as it is sent now; None where the stored name stays.
    name: str | None
    source: bytes | None


@dataclass(frozen=True, slots=True)
class RegistrationPlan:
    """The metric of each key, and what has to be written.

    `found`, `new` and `claims` are by the hash of the name, the others by key.
    """

    found: dict[bytes, FoundMetric]
    # The hash of the name under which each key is registered.
    hash_of: dict[bytes, bytes] = field(default_factory=dict)
    new: dict[bytes, NewMetric] = field(default_factory=dict)
    claims: dict[bytes, NameUpdate] = field(default_factory=dict)
    # The reason for each key that gets no metric.
    refused: dict[bytes, str] = field(default_factory=dict)
    # The name of each key whose own name belongs to another series.
    apart: dict[bytes, str] = field(default_factory=dict)

    def keys_to_write(self) -> list[bytes]:
        """Return the keys for whose metrics something has to be written."""
        if not self.new and not self.claims:
            return []
        return [
            key
            for key, hashed in self.hash_of.items()
            if hashed in self.new or hashed in self.claims
        ]

    def ids(self) -> dict[bytes, int]:
        """Return the metric id of each key whose metric exists."""
        found = {}
        for key, hashed in self.hash_of.items():
            metric_id = self.found[hashed].id
            if metric_id is not None:
                found[key] = metric_id
        return found


def plan_registration(org_id: int, names: Mapping[bytes, str | DerivedName]) -> RegistrationPlan:
    """Look up the metric of each key, and plan what has to be written. Reads only."""
    hashes: dict[str, bytes] = {}
    for name in names.values():
        if not isinstance(name, DerivedName):
            hashes[name] = name_hash(name)
            continue
        hashes[name.name] = name_hash(name.name)
        if isinstance(name.apart, str):
            hashes[name.apart] = name_hash(name.apart)
    plan = RegistrationPlan(_find_rows(org_id, hashes.values()))
    _find_other_spellings(org_id, plan, names, hashes)
    for key, name in names.items():
        if isinstance(name, DerivedName):
            _plan_derived(plan, key, name, hashes)
        else:
            _plan_plain(plan, key, name, hashes[name])
    return plan


def _find_other_spellings(
    org_id: int,
    plan: RegistrationPlan,
    names: Mapping[bytes, str | DerivedName],
    hashes: dict[str, bytes],
) -> None:
    """Plan to rename metrics that are stored in Unicode form NFC to the names that are sent now.

    Earlier versions stored every name in form NFC. Such a metric takes the first spelling sent.
    """
    composed: dict[str, bytes] = {}
    for name in names.values():
        text = name.name if isinstance(name, DerivedName) else name
        if not text.isascii() and hashes[text] not in plan.found:
            other = composed_name(text)
            if other not in hashes:
                composed[text] = name_hash(other)
    if not composed:
        return
    found = _find_rows(org_id, composed.values())
    for text, hashed in composed.items():
        row = found.get(hashed)
        if row is not None and row.id is not None and row.takes_other_spelling:
            del found[hashed]
            plan.found[hashes[text]] = row
            plan.claims[hashes[text]] = NameUpdate(row.id, text, row.source)


def _plan_plain(plan: RegistrationPlan, key: bytes, name: str, hashed: bytes) -> None:
    row = plan.found.get(hashed)
    if row is None:
        _plan_new(plan, key, name, hashed, None)
        return
    plan.hash_of[key] = hashed
    if row.takes_other_spelling and row.id is not None and hashed not in plan.claims:
        plan.claims[hashed] = NameUpdate(row.id, None, row.source)


def _plan_derived(
    plan: RegistrationPlan, key: bytes, name: DerivedName, hashes: Mapping[str, bytes]
) -> None:
    usual = hashes[name.name]
    row = plan.found.get(usual)
    if row is not None and row.source == name.source:
        _plan_plain(plan, key, name.name, usual)
        return
    apart = None if isinstance(name.apart, NameRefused) else plan.found.get(hashes[name.apart])
    if apart is not None and apart.source in {None, name.source}:
        plan.hash_of[key], plan.apart[key] = hashes[str(name.apart)], str(name.apart)
        return
    if row is None:
        _plan_new(plan, key, name.name, usual, name.source)
    elif row.source is None and row.id is not None:
        row.source = name.source
        claim = plan.claims.get(usual)
        plan.claims[usual] = NameUpdate(row.id, claim.name if claim else None, name.source)
        plan.hash_of[key] = usual
    elif isinstance(name.apart, NameRefused):
        plan.refused[key] = (
            f"another series has the name {name.name[:100]!r} already, and this one cannot be"
            f" named apart from it: {name.apart.reason}"
        )
    elif apart is not None:
        plan.refused[key] = (
            f"two other series have the names {name.name[:100]!r} and {name.apart[:100]!r}"
            " already; rename a tag"
        )
    else:
        _plan_new(plan, key, name.apart, hashes[name.apart], name.source)
        if key in plan.hash_of:
            plan.apart[key] = name.apart


def _plan_new(
    plan: RegistrationPlan, key: bytes, name: str, hashed: bytes, source: bytes | None
) -> None:
    unseen = None if name.isascii() else invisible_character(name)
    if unseen is not None:
        plan.refused[key] = f"the name holds the invisible character {unseen}; send it without"
        return
    plan.found[hashed] = FoundMetric(None, source)
    plan.new[hashed] = NewMetric(name, source)
    plan.hash_of[key] = hashed


def _find_rows(org_id: int, hashes: Iterable[bytes]) -> dict[bytes, FoundMetric]:
    found: dict[bytes, FoundMetric] = {}
    for some in batches(sorted(set(hashes)), STATEMENT_ROWS):
        rows = session().execute(
            select(
                Metric.name_hash, Metric.id, Metric.source_hash, Metric.takes_other_spelling
            ).where(Metric.org_id == org_id, Metric.name_hash.in_(some))
        )
        for hashed, metric_id, source, is_open in rows:
            found[bytes(hashed)] = FoundMetric(
                metric_id, None if source is None else bytes(source), is_open
            )
    return found


def find_metric_ids(org_id: int, hashes: Iterable[bytes]) -> dict[bytes, int]:
    """Return the ids of the org's metrics with these name hashes, by hash."""
    found: dict[bytes, int] = {}
    for some in batches(sorted(hashes), STATEMENT_ROWS):
        rows = session().execute(
            select(Metric.name_hash, Metric.id).where(
                Metric.org_id == org_id, Metric.name_hash.in_(some)
            )
        )
        found |= {bytes(hashed): metric_id for hashed, metric_id in rows}
    return found


def write_claims(claims: Mapping[bytes, NameUpdate]) -> None:
    """Write the planned updates of existing metrics."""
    settled = [
        {"of_id": claim.metric_id, "source": claim.source}
        for claim in claims.values()
        if claim.name is None
    ]
    renamed = [
        {
            "of_id": claim.metric_id,
            "source": claim.source,
            "spelled": claim.name,
            "hashed": hashed,
            "composed": composed_hash(claim.name),
            "folded": fold(claim.name),
        }
        for hashed, claim in claims.items()
        if claim.name is not None
    ]
    metrics: Any = Metric.__table__
    change = update(metrics).where(metrics.c.id == bindparam("of_id"))
    change = change.values(takes_other_spelling=False, source_hash=bindparam("source"))
    # On the connection, which is faster: there may be a row for every metric.
    if settled:
        session().connection().execute(change, settled)
    if renamed:
        rename = change.values(
            name=bindparam("spelled"),
            name_hash=bindparam("hashed"),
            composed_hash=bindparam("composed"),
            folded_name=bindparam("folded"),
        )
        session().connection().execute(rename, renamed)


def insert_metrics(
    org_id: int, new: Mapping[bytes, NewMetric], made: Mapping[bytes, int | None]
) -> None:
    """Insert the metrics in `made` that no other request has inserted meanwhile.

    Rows are inserted in order of their hashes, so that two requests with the same new names cannot
    deadlock. The values of `made` are the ids of the exclusion rules that apply.
    """
    to_metrics = upsert(Metric)
    created_at = now()
    rows = {}
    for key in sorted(made):
        metric = new[key]
        rows[key] = {
            "org_id": org_id,
            "name": metric.name,
            "name_hash": key,
            "created_at": created_at,
            "excluded_by": made[key],
        }
    # On the connection: one statement prepared once, not one built for this number of rows.
    session().connection().execute(to_metrics.on_conflict_do_nothing(), list(rows.values()))
    with_hashes = [
        {
            "of_org": org_id,
            "hashed": key,
            "source": new[key].source,
            "composed": composed_hash(new[key].name),
        }
        for key in rows
        if new[key].source is not None or not new[key].name.isascii()
    ]
    if with_hashes:
        metrics: Any = Metric.__table__
        session().connection().execute(
            update(metrics)
            .where(metrics.c.org_id == bindparam("of_org"))
            .where(metrics.c.name_hash == bindparam("hashed"))
            .values(source_hash=bindparam("source"), composed_hash=bindparam("composed")),
            with_hashes,
        )
