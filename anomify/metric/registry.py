"""Which metric a name is: known ones from memory, new ones made once, whoever asks first."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.clock import now
from anomify.db import Database, batches, session, upsert
from anomify.errors import Unavailable
from anomify.metric.deleting import DeletedMetrics
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
from anomify.metric.quota import KEPT_OUT_TIMES, Quota, quota_of
from anomify.org.lock import lock_org
from anomify.org.model import Org
from anomify.org.quota_refusal import note_refusals
from anomify.protocol.batch import MetricIdLookup

# About 300 bytes each, so 300 MB at the most; beyond it the oldest quarter is forgotten.
KNOWN_MAX = 1_000_000
# Orgs times server ids; whoever sends a new server id with every request forgets his own.
SCOPES_MAX = 10_000
# SQLite takes 32,766 variables in a statement.
STATEMENT_ROWS = 500
# Longer than a request should wait for others that register.
LOCK_SECONDS = 5.0
# So few at once that there are threads left for those who send what is known, or read.
WAITING_MAX = 16
ROOM_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5
# The id, in a preview, of a metric that would be made.
UNMADE = -1
UNPAID = "a bill is overdue, so no new metrics are taken until the org has paid it"
_NOBODY: dict[bytes, int] = {}

Scope = tuple[int, str | None]
# Of an org: tells which rule keeps a metric of this name out of judging and quota, if any does.
ExcluderOf = Callable[[int], Callable[[str], int | None]]


class OverQuota(str):
    """The reason for a name that is refused because the org has, or has paid for, no more room."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Registered:
    """The ids of what was asked for, and the reason for each that has none; by key."""

    ids: dict[bytes, int]
    refused: dict[bytes, str]
    # What those are called whose own name another series has.
    apart: dict[bytes, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Row:
    """A metric that is in the database, or will be: what is looked at when it is looked for."""

    # None where it is not made yet.
    id: int | None
    source: bytes | None = None
    takes_other_spelling: bool = False


@dataclass(slots=True)
class _New:
    """A metric to be made."""

    name: str
    source: bytes | None


@dataclass(frozen=True, slots=True)
class _Claim:
    """What is written into a metric from before names were kept as sent, at its next point."""

    metric_id: int
    # Its name as it is sent, where it was stored with other code points.
    name: str | None
    source: bytes | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which metric each key is, and what has to be written for it; by hash of name or by key."""

    rows: dict[bytes, _Row]
    place: dict[bytes, bytes] = field(default_factory=dict)
    made: dict[bytes, _New] = field(default_factory=dict)
    claims: dict[bytes, _Claim] = field(default_factory=dict)
    refused: dict[bytes, str] = field(default_factory=dict)
    apart: dict[bytes, str] = field(default_factory=dict)

    def unwritten(self) -> list[bytes]:
        """Return the keys for which something has to be written."""
        if not self.made and not self.claims:
            return []
        return [
            key
            for key, hashed in self.place.items()
            if hashed in self.made or hashed in self.claims
        ]

    def ids(self) -> dict[bytes, int]:
        """Return the metric of each key that has one."""
        found = {}
        for key, hashed in self.place.items():
            metric_id = self.rows[hashed].id
            if metric_id is not None:
                found[key] = metric_id
        return found


@dataclass(frozen=True, slots=True)
class _Screened:
    """What becomes of new names, by the hashes of their names."""

    # Those to be made, each with the rule that keeps it out.
    made: dict[bytes, int | None]
    # The reason for each of the others.
    refused: dict[bytes, str]


def _nothing_excluded(_org_id: int) -> Callable[[str], int | None]:
    return lambda _name: None


class Registry:
    """The names of all orgs, as ids. May be shared by threads, and other processes may write too.

    A key is whatever a protocol calls a series; the same key means the same name for as long as
    the org and the server id are the same.
    """

    def __init__(self, database: Database, excluder_of: ExcluderOf = _nothing_excluded) -> None:
        """Know nothing yet; everything is learnt from the database when it is asked for.

        `excluder_of` is asked, inside a unit of work, for the rules that new names are held to.
        """
        self._database = database
        self._excluder_of = excluder_of
        self._scopes: dict[Scope, dict[bytes, int]] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(WAITING_MAX)
        self._gone: set[int] = set()
        self._deleted = DeletedMetrics()

    def known(self, org_id: int, server_id: str | None = None) -> MetricIdLookup:
        """Return the look-up of keys that are known already, without touching the database."""
        return self._scopes.get((org_id, server_id), _NOBODY).get

    def register(
        self,
        org_id: int,
        names: Mapping[bytes, str | DerivedName],
        server_id: str | None = None,
    ) -> Registered:
        """Return the metric of each canonical name, and make those that are new.

        All new ones are made in one unit of work, and each exactly once however many ask at the
        same time. Names over the org's quota are refused, as are new ones that hold an invisible
        character; known ones never are. Of two derived names that are the same, the second is
        called apart. Raises `Unavailable` when the database cannot answer.
        """
        if not names:
            return Registered({}, {})
        if not self._room.acquire(timeout=ROOM_SECONDS):
            raise _unavailable()
        try:
            if not self._lock.acquire(timeout=LOCK_SECONDS):
                raise _unavailable()
            try:
                with _told_as_unavailable():
                    return self._register((org_id, server_id), names)
            finally:
                self._lock.release()
        finally:
            self._room.release()

    def _register(self, scope: Scope, names: Mapping[bytes, str | DerivedName]) -> Registered:
        org_id = scope[0]
        with self._database.unit_of_work(write=False):
            plan = _planned(org_id, names)
        ids, refused, apart = plan.ids(), plan.refused, plan.apart
        unwritten = {key: names[key] for key in plan.unwritten()}
        if unwritten:
            with self._database.unit_of_work():
                # Two requests cannot both take the last place, nor can a rule come in between.
                lock_org(org_id)
                # What the first look said still holds where nobody was quicker.
                if plan.claims or _find_ids(org_id, plan.made):
                    plan = _planned(org_id, unwritten)
                screened = self._screen(org_id, plan.made)
                _write_claims(plan.claims)
                if screened.made:
                    _make(org_id, plan.made, screened.made)
                    for hashed, metric_id in _find_ids(org_id, screened.made).items():
                        plan.rows[hashed].id = metric_id
                over = {
                    key: screened.refused[hashed]
                    for key, hashed in plan.place.items()
                    if hashed in screened.refused
                }
                if over:
                    note_refusals(org_id, (plan.made[key].name for key in screened.refused))
            ids |= plan.ids()
            refused = refused | plan.refused | over
            apart = apart | plan.apart
        self._remember(scope, ids)
        return Registered(ids, refused, apart)

    def _screen(self, org_id: int, new: Mapping[bytes, _New]) -> _Screened:
        """Say which of the metrics that are missing are to be made, first come first served."""
        if not new:
            return _Screened({}, {})
        excluded_by, quota = self._excluder_of(org_id), quota_of(org_id)
        room, room_kept_out = quota.room, quota.room_kept_out
        made: dict[bytes, int | None] = {}
        refused: dict[bytes, str] = {}
        for key, metric in new.items():
            rule = excluded_by(metric.name)
            if rule is None and room is not None:
                room -= 1
                if room < 0:
                    refused[key] = _full(quota)
                    continue
            elif rule is not None and room_kept_out is not None:
                room_kept_out -= 1
                if room_kept_out < 0:
                    refused[key] = _full_of_kept_out(quota)
                    continue
            made[key] = rule
        return _Screened(made, refused)

    def find(
        self,
        org_id: int,
        names: Mapping[bytes, str | DerivedName],
        server_id: str | None = None,
    ) -> dict[bytes, int]:
        """Return the metric of each canonical name that has one; nothing is made."""
        if not names:
            return {}
        with _told_as_unavailable(), self._database.unit_of_work(write=False):
            plan = _planned(org_id, names)
        found = plan.ids()
        claimed = set(plan.unwritten())
        with self._lock:
            # What is still to be claimed may be another's the next time.
            self._remember(
                (org_id, server_id), {key: id_ for key, id_ in found.items() if key not in claimed}
            )
        return found

    def preview(self, org_id: int, names: Mapping[bytes, str | DerivedName]) -> Registered:
        """Say what `register` would do, with `UNMADE` as the id of what it would make."""
        if not names:
            return Registered({}, {})
        with _told_as_unavailable(), self._database.unit_of_work(write=False):
            plan = _planned(org_id, names)
            over = self._screen(org_id, plan.made).refused
        refused = {key: over[name] for key, name in plan.place.items() if name in over}
        made = {key: UNMADE for key in plan.place if key not in refused}
        return Registered(made | plan.ids(), plan.refused | refused, plan.apart)

    def follow_deleted(self) -> None:
        """Forget the ids of metrics that were deleted: their names are free for new ones.

        To be called every second or so, for any process may delete.
        """
        with self._database.unit_of_work(write=False):
            deleted = self._deleted.look()
        if deleted:
            self.forget(set(deleted))

    def forget(self, metric_ids: AbstractSet[int]) -> None:
        """Forget the ids of these metrics for good, whatever they were called."""
        with self._lock:
            self._gone |= metric_ids
            for known in self._scopes.values():
                for key in [key for key, metric_id in known.items() if metric_id in metric_ids]:
                    del known[key]
                    self._count -= 1

    def check(self) -> None:
        """Raise `Unavailable` where metrics cannot be registered just now."""
        with _told_as_unavailable(), self._database.unit_of_work(write=False) as opened:
            opened.execute(select(Org.id).limit(1))

    def _remember(self, scope: Scope, found: Mapping[bytes, int]) -> None:
        known = self._scopes.setdefault(scope, {})
        before = len(known)
        # Who looked before a metric was deleted may come here after it.
        known.update(
            (key, found_id) for key, found_id in found.items() if found_id not in self._gone
        )
        self._count += len(known) - before
        if len(self._scopes) > SCOPES_MAX:
            oldest = next(iter(self._scopes))
            self._count -= len(self._scopes.pop(oldest))
        if self._count > KNOWN_MAX:
            largest = max(self._scopes.values(), key=len)
            for key in list(islice(largest, max(len(largest) // 4, 1))):
                del largest[key]
                self._count -= 1


def _unavailable() -> Unavailable:
    return Unavailable(
        "New metrics cannot be registered at the moment; send the same again shortly.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


@contextmanager
def _told_as_unavailable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as failure:
        raise _unavailable() from failure


def _planned(org_id: int, names: Mapping[bytes, str | DerivedName]) -> _Plan:
    """Look up the metric of each key; of what is not there, say what has to be written."""
    hashes: dict[str, bytes] = {}
    for name in names.values():
        if not isinstance(name, DerivedName):
            hashes[name] = name_hash(name)
            continue
        hashes[name.name] = name_hash(name.name)
        if isinstance(name.apart, str):
            hashes[name.apart] = name_hash(name.apart)
    plan = _Plan(_find_rows(org_id, hashes.values()))
    _find_other_spellings(org_id, plan, names, hashes)
    for key, name in names.items():
        if isinstance(name, DerivedName):
            _plan_derived(plan, key, name, hashes)
        else:
            _plan_plain(plan, key, name, hashes[name])
    return plan


def _find_other_spellings(
    org_id: int,
    plan: _Plan,
    names: Mapping[bytes, str | DerivedName],
    hashes: dict[str, bytes],
) -> None:
    """Let metrics that were stored with other code points take the names that are sent now.

    Until names were kept as sent, they were stored in Unicode's form NFC, whatever was sent. Such
    a metric belongs to the spelling that comes first.
    """
    composed: dict[str, bytes] = {}
    for name in names.values():
        text = name.name if isinstance(name, DerivedName) else name
        if not text.isascii() and hashes[text] not in plan.rows:
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
            plan.rows[hashes[text]] = row
            plan.claims[hashes[text]] = _Claim(row.id, text, row.source)


def _plan_plain(plan: _Plan, key: bytes, name: str, hashed: bytes) -> None:
    row = plan.rows.get(hashed)
    if row is None:
        _plan_new(plan, key, name, hashed, None)
        return
    plan.place[key] = hashed
    if row.takes_other_spelling and row.id is not None and hashed not in plan.claims:
        plan.claims[hashed] = _Claim(row.id, None, row.source)


def _plan_derived(plan: _Plan, key: bytes, name: DerivedName, hashes: Mapping[str, bytes]) -> None:
    usual = hashes[name.name]
    row = plan.rows.get(usual)
    if row is not None and row.source == name.source:
        _plan_plain(plan, key, name.name, usual)
        return
    apart = None if isinstance(name.apart, NameRefused) else plan.rows.get(hashes[name.apart])
    if apart is not None and apart.source in {None, name.source}:
        plan.place[key], plan.apart[key] = hashes[str(name.apart)], str(name.apart)
        return
    if row is None:
        _plan_new(plan, key, name.name, usual, name.source)
    elif row.source is None and row.id is not None:
        row.source = name.source
        claim = plan.claims.get(usual)
        plan.claims[usual] = _Claim(row.id, claim.name if claim else None, name.source)
        plan.place[key] = usual
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
        if key in plan.place:
            plan.apart[key] = name.apart


def _plan_new(plan: _Plan, key: bytes, name: str, hashed: bytes, source: bytes | None) -> None:
    unseen = None if name.isascii() else invisible_character(name)
    if unseen is not None:
        plan.refused[key] = f"the name holds the invisible character {unseen}; send it without"
        return
    plan.rows[hashed] = _Row(None, source)
    plan.made[hashed] = _New(name, source)
    plan.place[key] = hashed


def _find_rows(org_id: int, hashes: Iterable[bytes]) -> dict[bytes, _Row]:
    found: dict[bytes, _Row] = {}
    for some in batches(sorted(set(hashes)), STATEMENT_ROWS):
        rows = session().execute(
            select(
                Metric.name_hash, Metric.id, Metric.source_hash, Metric.takes_other_spelling
            ).where(Metric.org_id == org_id, Metric.name_hash.in_(some))
        )
        for hashed, metric_id, source, is_open in rows:
            found[bytes(hashed)] = _Row(
                metric_id, None if source is None else bytes(source), is_open
            )
    return found


def _find_ids(org_id: int, hashes: Iterable[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for some in batches(sorted(hashes), STATEMENT_ROWS):
        rows = session().execute(
            select(Metric.name_hash, Metric.id).where(
                Metric.org_id == org_id, Metric.name_hash.in_(some)
            )
        )
        found |= {bytes(hashed): metric_id for hashed, metric_id in rows}
    return found


def _write_claims(claims: Mapping[bytes, _Claim]) -> None:
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
    # On the connection, as new ones are made: an installation has each of its metrics here once.
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


def _full(quota: Quota) -> OverQuota:
    if not quota.is_open:
        return OverQuota(UNPAID)
    return OverQuota(
        f"the org's limit of {quota.limit:,} metrics is reached; delete metrics or raise the limit"
    )


def _full_of_kept_out(quota: Quota) -> OverQuota:
    if not quota.is_open:
        return OverQuota(UNPAID)
    most = KEPT_OUT_TIMES * (quota.limit or 0)
    return OverQuota(
        f"the org's limit of {most:,} excluded metrics is reached; delete some, or stop sending"
    )


def _make(org_id: int, new: Mapping[bytes, _New], made: Mapping[bytes, int | None]) -> None:
    """Insert what nobody else has inserted meanwhile.

    The rows go in by the order of their hashes: two requests with the same new names wait for
    each other instead of locking each other out.
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
    # On the connection: one statement, prepared once, instead of one made for so many rows.
    session().connection().execute(to_metrics.on_conflict_do_nothing(), list(rows.values()))
    told_apart = [
        {
            "of_org": org_id,
            "hashed": key,
            "source": new[key].source,
            "composed": composed_hash(new[key].name),
        }
        for key in rows
        if new[key].source is not None or not new[key].name.isascii()
    ]
    if told_apart:
        metrics: Any = Metric.__table__
        session().connection().execute(
            update(metrics)
            .where(metrics.c.org_id == bindparam("of_org"))
            .where(metrics.c.name_hash == bindparam("hashed"))
            .values(source_hash=bindparam("source"), composed_hash=bindparam("composed")),
            told_apart,
        )
