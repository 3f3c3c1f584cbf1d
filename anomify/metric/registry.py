"""Map metric names to ids, from memory where possible, and create the metrics of new names."""

import threading
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.db import Database
from anomify.errors import Unavailable
from anomify.metric.deleting import DeletedMetrics
from anomify.metric.name import (
    DerivedName,
)
from anomify.metric.quota import KEPT_OUT_TIMES, Quota, quota_of
from anomify.metric.registration_plan import (
    NewMetric,
    find_metric_ids,
    insert_metrics,
    plan_registration,
    write_claims,
)
from anomify.org.lock import lock_org
from anomify.org.model import Org
from anomify.org.quota_refusal import note_refusals
from anomify.protocol.batch import MetricIdLookup

# Names in memory. At about 300 bytes each, 300 MB; beyond it the oldest quarter is removed.
KNOWN_MAX = 1_000_000
# Pairs of org and server id in memory; beyond it the oldest is removed.
SCOPES_MAX = 10_000
# The longest time that a request waits for the lock.
LOCK_SECONDS = 5.0
# The number of requests that may register new names or wait to. Fewer than there are threads, so
# that requests without new names, and reads, are still served.
WAITING_MAX = 16
WAIT_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5
# The id that `preview` gives for a metric that would be created.
UNMADE = -1
UNPAID = "a bill is overdue, so new metrics are refused until the org has paid it"
_NO_NAMES: dict[bytes, int] = {}

Scope = tuple[int, str | None]
# Takes an org id. The result takes a metric name and returns the id of the exclusion that applies
# to it, or None.
ExcluderOf = Callable[[int], Callable[[str], int | None]]


class OverQuota(str):
    """The reason for refusing a name: the quota is used up, or a bill is overdue."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Registered:
    """The metric ids of the registered names, and the reasons for refused ones; all by key."""

    ids: dict[bytes, int]
    refused: dict[bytes, str]
    # The names of series whose own name already belonged to another series.
    apart: dict[bytes, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Screened:
    """Which new metrics are created and which are refused, by the hash of the name."""

    # The id of the exclusion that applies to each created metric, or None.
    made: dict[bytes, int | None]
    # The reason for each refused metric.
    refused: dict[bytes, str]


def _nothing_excluded(_org_id: int) -> Callable[[str], int | None]:
    return lambda _name: None


class Registry:
    """Maps the metric names of all orgs to ids.

    May be shared by threads, and other processes may write to the same database. A key identifies
    a series in a protocol; the same key always means the same name for one org and server id.
    """

    def __init__(self, database: Database, excluder_of: ExcluderOf = _nothing_excluded) -> None:
        """Start with no names in memory; they are read from the database as needed.

        `excluder_of` is called within a unit of work to find the exclusions of new names.
        """
        self._database = database
        self._excluder_of = excluder_of
        self._scopes: dict[Scope, dict[bytes, int]] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._waiters = threading.BoundedSemaphore(WAITING_MAX)
        self._gone: set[int] = set()
        self._deleted = DeletedMetrics()

    def known(self, org_id: int, server_id: str | None = None) -> MetricIdLookup:
        """Return a function that looks up the ids of keys in memory, without using the database."""
        return self._scopes.get((org_id, server_id), _NO_NAMES).get

    def register(
        self,
        org_id: int,
        names: Mapping[bytes, str | DerivedName],
        server_id: str | None = None,
    ) -> Registered:
        """Return the metric id of each canonical name, and create the metrics of new names.

        All new metrics are created in one unit of work, and each exactly once, even if several
        requests register it at the same time. New names are refused if they exceed the org's quota
        or hold an invisible character; existing names never are. If two series have the same
        derived name, the second gets its other name. Raises `Unavailable` if the database cannot
        be used.
        """
        if not names:
            return Registered({}, {})
        if not self._waiters.acquire(timeout=WAIT_SECONDS):
            raise _unavailable()
        try:
            if not self._lock.acquire(timeout=LOCK_SECONDS):
                raise _unavailable()
            try:
                with _database_errors_as_unavailable():
                    return self._register((org_id, server_id), names)
            finally:
                self._lock.release()
        finally:
            self._waiters.release()

    def _register(self, scope: Scope, names: Mapping[bytes, str | DerivedName]) -> Registered:
        org_id = scope[0]
        with self._database.unit_of_work(write=False):
            plan = plan_registration(org_id, names)
        ids, refused, apart = plan.ids(), plan.refused, plan.apart
        unwritten = {key: names[key] for key in plan.keys_to_write()}
        if unwritten:
            with self._database.unit_of_work():
                # Under the lock, two requests cannot both use the last place of the quota, and no
                # exclusion can be added meanwhile.
                lock_org(org_id)
                # The plan is still valid unless another request has created some of the metrics.
                if plan.claims or find_metric_ids(org_id, plan.new):
                    plan = plan_registration(org_id, unwritten)
                screened = self._screen(org_id, plan.new)
                write_claims(plan.claims)
                if screened.made:
                    insert_metrics(org_id, plan.new, screened.made)
                    for hashed, metric_id in find_metric_ids(org_id, screened.made).items():
                        plan.found[hashed].id = metric_id
                over = {
                    key: screened.refused[hashed]
                    for key, hashed in plan.hash_of.items()
                    if hashed in screened.refused
                }
                if over:
                    note_refusals(org_id, (plan.new[key].name for key in screened.refused))
            ids |= plan.ids()
            refused = refused | plan.refused | over
            apart = apart | plan.apart
        self._remember(scope, ids)
        return Registered(ids, refused, apart)

    def _screen(self, org_id: int, new: Mapping[bytes, NewMetric]) -> _Screened:
        """Decide which new metrics are created: the first ones, until the quota is used up."""
        if not new:
            return _Screened({}, {})
        excluded_by, quota = self._excluder_of(org_id), quota_of(org_id)
        remaining, remaining_kept_out = quota.remaining, quota.remaining_kept_out
        made: dict[bytes, int | None] = {}
        refused: dict[bytes, str] = {}
        for key, metric in new.items():
            rule = excluded_by(metric.name)
            if rule is None and remaining is not None:
                remaining -= 1
                if remaining < 0:
                    refused[key] = _reason_full(quota)
                    continue
            elif rule is not None and remaining_kept_out is not None:
                remaining_kept_out -= 1
                if remaining_kept_out < 0:
                    refused[key] = _reason_excluded_reason_full(quota)
                    continue
            made[key] = rule
        return _Screened(made, refused)

    def find(
        self,
        org_id: int,
        names: Mapping[bytes, str | DerivedName],
        server_id: str | None = None,
    ) -> dict[bytes, int]:
        """Return the metric id of each canonical name that has a metric; creates nothing."""
        if not names:
            return {}
        with _database_errors_as_unavailable(), self._database.unit_of_work(write=False):
            plan = plan_registration(org_id, names)
        found = plan.ids()
        claimed = set(plan.keys_to_write())
        with self._lock:
            # Not those with a pending update: another series may get the name before it is written.
            self._remember(
                (org_id, server_id), {key: id_ for key, id_ in found.items() if key not in claimed}
            )
        return found

    def preview(self, org_id: int, names: Mapping[bytes, str | DerivedName]) -> Registered:
        """Return what `register` would, with `UNMADE` as the id of metrics that it would create."""
        if not names:
            return Registered({}, {})
        with _database_errors_as_unavailable(), self._database.unit_of_work(write=False):
            plan = plan_registration(org_id, names)
            over = self._screen(org_id, plan.new).refused
        refused = {key: over[name] for key, name in plan.hash_of.items() if name in over}
        made = {key: UNMADE for key in plan.hash_of if key not in refused}
        return Registered(made | plan.ids(), plan.refused | refused, plan.apart)

    def follow_deleted(self) -> None:
        """Remove deleted metrics from memory, so that their names can be registered again.

        Call it about every second, because any process may delete metrics.
        """
        with self._database.unit_of_work(write=False):
            deleted = self._deleted.find_new()
        if deleted:
            self.forget(set(deleted))

    def forget(self, metric_ids: AbstractSet[int]) -> None:
        """Remove these metric ids from memory and never add them again."""
        with self._lock:
            self._gone |= metric_ids
            for known in self._scopes.values():
                for key in [key for key, metric_id in known.items() if metric_id in metric_ids]:
                    del known[key]
                    self._count -= 1

    def check(self) -> None:
        """Raise `Unavailable` if metrics cannot be registered at the moment."""
        with _database_errors_as_unavailable(), self._database.unit_of_work(write=False) as opened:
            opened.execute(select(Org.id).limit(1))

    def _remember(self, scope: Scope, found: Mapping[bytes, int]) -> None:
        known = self._scopes.setdefault(scope, {})
        before = len(known)
        # A request may have read an id before the metric was deleted and get here after it.
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
        "New metrics cannot be registered at the moment; send the same request again shortly.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


@contextmanager
def _database_errors_as_unavailable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as failure:
        raise _unavailable() from failure


def _reason_full(quota: Quota) -> OverQuota:
    if not quota.is_open:
        return OverQuota(UNPAID)
    return OverQuota(
        f"the org's limit of {quota.limit:,} metrics is reached; delete metrics or raise the limit"
    )


def _reason_excluded_reason_full(quota: Quota) -> OverQuota:
    if not quota.is_open:
        return OverQuota(UNPAID)
    most = KEPT_OUT_TIMES * (quota.limit or 0)
    return OverQuota(
        f"the org's limit of {most:,} excluded metrics is reached; delete some, or stop sending"
    )
