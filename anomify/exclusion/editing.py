"""Add, preview, delete and expire exclusion rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Invalid, QuotaExceeded
from anomify.exclusion.assigning import assign, assign_to, excluder_of
from anomify.exclusion.model import REASON_CHARACTERS_MAX, Exclusion
from anomify.exclusion.predicate import (
    ExclusionKind,
    canonical_pattern,
    compared_pattern,
    predicate_of,
)
from anomify.exclusion.queries import (
    Named,
    count_exclusions,
    get_exclusion,
    list_over,
    names_of,
    rules_in_force,
)
from anomify.metric.name import has_unseen
from anomify.metric.quota import quota_of
from anomify.org.lock import lock_org

# Every new name is compared with all of them (spec/security.md S7).
EXCLUSIONS_MAX: Final = 200
EXPIRES_WITHIN: Final = timedelta(days=10 * 366)
# Rules that end in one transaction; the others end a minute later.
ENDED_AT_ONCE: Final = 20
# How much longer a rule stays if the metrics it excludes do not fit into the quota.
PUT_OFF: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ExclusionFields:
    """The fields of a rule to be added; without `expires_at` it stays until it is deleted."""

    kind: ExclusionKind
    pattern: str
    reason: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """Which metrics a rule would match now."""

    # The canonical spelling that would be saved.
    pattern: str
    # Some of the names, in alphabetical order.
    sample: list[str]
    hit: int
    # Of those, how many count against the quota now and would no longer.
    freed: int
    # All metrics of the org.
    total: int


def preview_exclusion(
    org_id: int, kind: ExclusionKind, pattern: str, *, sample: int = 50
) -> Preview:
    """Return what a rule would match if it were added now; stores nothing. Raises Invalid."""
    canonical = canonical_pattern(kind, pattern)
    predicate = predicate_of(kind, canonical)
    total = freed = 0
    hit = []
    for _, name, excluded_by in names_of(org_id):
        total += 1
        if predicate(name):
            hit.append(name)
            freed += excluded_by is None
    return Preview(canonical, sorted(hit)[:sample], len(hit), freed, total)


def add_exclusion(org_id: int, requested: ExclusionFields, maker: str) -> tuple[Exclusion, int]:
    """Add a rule; return it and how many metrics it excludes from now on.

    Raises Invalid with the wrong fields, Conflict for a rule that exists already, and QuotaExceeded
    where the org has too many rules.
    """
    pattern = canonical_pattern(requested.kind, requested.pattern)
    compared = compared_pattern(requested.kind, pattern)
    problems = _problems(requested)
    if problems:
        raise Invalid("The exclusion cannot be saved like this.", fields=problems)
    lock_org(org_id)
    for rule in rules_in_force(org_id):
        if (
            rule.kind == requested.kind
            and compared_pattern(requested.kind, rule.pattern) == compared
        ):
            raise Conflict(f"There is an exclusion {rule.name} already.")
    if count_exclusions(org_id) >= EXCLUSIONS_MAX:
        raise QuotaExceeded(f"An org may have {EXCLUSIONS_MAX} exclusions; delete some first.")
    exclusion = Exclusion(
        org_id=org_id,
        kind=requested.kind.value,
        pattern=pattern,
        reason=" ".join(requested.reason.split()),
        created_by=maker,
        created_at=now(),
        expires_at=requested.expires_at,
    )
    session().add(exclusion)
    session().flush()
    kept_out = assign_to(exclusion)
    record_audit(
        org_id,
        actor=maker,
        action="exclusion.add",
        target=exclusion.name,
        after={**_facts(exclusion), "metrics": kept_out},
    )
    return exclusion, kept_out


def delete_exclusion(org_id: int, exclusion_id: int, who: str) -> None:
    """Delete a rule; its metrics are judged again, unless another rule matches them.

    Raises NotFound, and Conflict if these metrics do not fit into the quota.
    """
    lock_org(org_id)
    exclusion = get_exclusion(org_id, exclusion_id)
    returning, over = _returning(exclusion)
    if over:
        raise Conflict(
            f"{returning:,} metrics would count again, {over:,} more than the quota allows."
            " Delete metrics first, or raise the limit."
        )
    _end(exclusion, who, "exclusion.delete")


def end_expired(at: datetime) -> int:
    """Delete the rules of any org that have expired; return how many.

    If its metrics do not fit into the quota, a rule stays an hour longer.
    """
    ended = 0
    for exclusion in list_over(at, ENDED_AT_ONCE):
        lock_org(exclusion.org_id)
        _, over = _returning(exclusion)
        if over:
            exclusion.expires_at = at + PUT_OFF
        else:
            _end(exclusion, "anomify", "exclusion.expire")
            ended += 1
    return ended


def _end(exclusion: Exclusion, who: str, action: str) -> None:
    kept_out = list(names_of(exclusion.org_id, excluded_by=exclusion.id))
    session().delete(exclusion)
    session().flush()
    changed = assign(exclusion.org_id, kept_out)
    returned = sum(by is None for by in changed.values())
    record_audit(
        exclusion.org_id,
        actor=who,
        action=action,
        target=exclusion.name,
        before={**_facts(exclusion), "metrics": returned},
    )


def _returning(exclusion: Exclusion) -> tuple[int, int]:
    """Return how many metrics would count again without the rule, and how many exceed the quota."""
    kept_out: list[Named] = list(names_of(exclusion.org_id, excluded_by=exclusion.id))
    if not kept_out:
        return 0, 0
    others = excluder_of(exclusion.org_id, without=exclusion.id)
    returning = sum(others(named.name) is None for named in kept_out)
    quota = quota_of(exclusion.org_id)
    return returning, max(returning - quota.remaining, 0) if quota.remaining is not None else 0


def _problems(requested: ExclusionFields) -> dict[str, str]:
    problems = {}
    if len(requested.reason) > REASON_CHARACTERS_MAX:
        problems["reason"] = f"A reason has at most {REASON_CHARACTERS_MAX} characters."
    elif has_unseen(" ".join(requested.reason.split())):
        problems["reason"] = "A reason holds no control or direction characters."
    if (
        requested.expires_at is not None
        and not now() < requested.expires_at < now() + EXPIRES_WITHIN
    ):
        problems["expires"] = "A moment within the next ten years is needed."
    return problems


def _facts(exclusion: Exclusion) -> dict[str, object]:
    return {
        "type": exclusion.kind,
        "pattern": exclusion.pattern,
        "reason": exclusion.reason,
        "expires": exclusion.expires_at,
    }
