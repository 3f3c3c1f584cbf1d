"""Which metric a name is: known ones from memory, new ones made once, whoever asks first."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.clock import now
from anomify.db import Database, session
from anomify.errors import Unavailable
from anomify.metric.deleting import deleted_ids
from anomify.metric.model import Metric
from anomify.metric.name import name_hash
from anomify.metric.quota import KEPT_OUT_TIMES, Quota, quota_of
from anomify.org.lock import lock_org
from anomify.org.model import Org
from anomify.org.quota_refusal import note_refusals
from anomify.protocol.batch import Known

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


@dataclass(frozen=True, slots=True)
class Registered:
    """The ids of what was asked for, and the reason for each that has none; by key."""

    ids: dict[bytes, int]
    refused: dict[bytes, str]


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
        self._gone: frozenset[int] = frozenset()

    def known(self, org_id: int, server_id: str | None = None) -> Known:
        """Return the look-up of keys that are known already, without touching the database."""
        return self._scopes.get((org_id, server_id), _NOBODY).get

    def register(
        self, org_id: int, names: Mapping[bytes, str], server_id: str | None = None
    ) -> Registered:
        """Return the metric of each canonical name, and make those that are new.

        All new ones are made in one unit of work, and each exactly once however many ask at the
        same time. Names over the org's quota are refused, known ones never are. Raises
        `Unavailable` when the database cannot answer.
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

    def _register(self, scope: Scope, names: Mapping[bytes, str]) -> Registered:
        hashes = {key: name_hash(name) for key, name in names.items()}
        with self._database.unit_of_work(write=False):
            ids = _find_ids(scope[0], hashes.values())
        refused: dict[bytes, str] = {}
        missing = {hashes[key]: name for key, name in names.items() if hashes[key] not in ids}
        if missing:
            with self._database.unit_of_work():
                # Two requests cannot both take the last place, nor can a rule come in between.
                lock_org(scope[0])
                screened = self._screen(scope[0], missing)
                if screened.made:
                    _make(scope[0], missing, screened.made)
                ids |= _find_ids(scope[0], missing)
                refused = screened.refused
                if refused:
                    note_refusals(scope[0], (missing[key] for key in refused))
        found = {key: ids[name] for key, name in hashes.items() if name in ids}
        self._remember(scope, found)
        return Registered(
            found, {key: refused[name] for key, name in hashes.items() if name not in ids}
        )

    def _screen(self, org_id: int, missing: Mapping[bytes, str]) -> _Screened:
        """Say of names that were missing which are to be made, first come first served."""
        appeared = _find_ids(org_id, missing)
        excluded_by, quota = self._excluder_of(org_id), quota_of(org_id)
        room, room_kept_out = quota.room, quota.room_kept_out
        made: dict[bytes, int | None] = {}
        refused = {}
        for key, name in missing.items():
            if key in appeared:
                continue
            rule = excluded_by(name)
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
        self, org_id: int, names: Mapping[bytes, str], server_id: str | None = None
    ) -> dict[bytes, int]:
        """Return the metric of each canonical name that has one; nothing is made."""
        if not names:
            return {}
        hashes = {key: name_hash(name) for key, name in names.items()}
        with _told_as_unavailable(), self._database.unit_of_work(write=False):
            ids = _find_ids(org_id, hashes.values())
        found = {key: ids[name] for key, name in hashes.items() if name in ids}
        with self._lock:
            self._remember((org_id, server_id), found)
        return found

    def preview(self, org_id: int, names: Mapping[bytes, str]) -> Registered:
        """Say what `register` would do, with `UNMADE` as the id of what it would make."""
        ids = self.find(org_id, names)
        missing = {name_hash(name): name for key, name in names.items() if key not in ids}
        if not missing:
            return Registered(ids, {})
        with _told_as_unavailable(), self._database.unit_of_work(write=False):
            over = self._screen(org_id, missing).refused
        hashes = {key: name_hash(name) for key, name in names.items()}
        refused = {key: over[name] for key, name in hashes.items() if name in over}
        made = {key: UNMADE for key in names if key not in ids and key not in refused}
        return Registered(ids | made, refused)

    def follow_deleted(self) -> None:
        """Forget the ids of metrics that were deleted: their names are free for new ones.

        To be called every second or so, for any process may delete.
        """
        with self._database.unit_of_work(write=False):
            deleted = deleted_ids() - self._gone
        if deleted:
            self.forget(deleted)

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


def _find_ids(org_id: int, hashes: Iterable[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for some in _chunks(sorted(set(hashes))):
        rows = session().execute(
            select(Metric.name_hash, Metric.id).where(
                Metric.org_id == org_id, Metric.name_hash.in_(some)
            )
        )
        found |= {bytes(name): metric_id for name, metric_id in rows}
    return found


def _full(quota: Quota) -> str:
    if not quota.is_open:
        return UNPAID
    return (
        f"the org's limit of {quota.limit:,} metrics is reached; delete metrics or raise the limit"
    )


def _full_of_kept_out(quota: Quota) -> str:
    if not quota.is_open:
        return UNPAID
    most = KEPT_OUT_TIMES * (quota.limit or 0)
    return f"the org's limit of {most:,} excluded metrics is reached; delete some, or stop sending"


def _make(org_id: int, names: Mapping[bytes, str], made: Mapping[bytes, int | None]) -> None:
    """Insert what nobody else has inserted meanwhile.

    The rows go in by the order of their hashes: two requests with the same new names wait for
    each other instead of locking each other out.
    """
    dialect = session().get_bind().dialect.name
    to_metrics = sqlite.insert(Metric) if dialect == "sqlite" else postgresql.insert(Metric)
    created_at = now()
    rows = [
        {
            "org_id": org_id,
            "name": names[key],
            "name_hash": key,
            "created_at": created_at,
            "excluded_by": made[key],
        }
        for key in sorted(made)
    ]
    # On the connection: one statement, prepared once, instead of one made for so many rows.
    session().connection().execute(to_metrics.on_conflict_do_nothing(), rows)


def _chunks(hashes: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(hashes), STATEMENT_ROWS):
        yield hashes[start : start + STATEMENT_ROWS]
