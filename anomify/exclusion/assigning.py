"""Store at each metric which rule excludes it: updated when rules change, set for new metrics."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import update

from anomify.db import batches, session, upsert
from anomify.exclusion.model import Exclusion, ExclusionChange
from anomify.exclusion.predicate import ExclusionKind, predicate_of
from anomify.exclusion.queries import Named, names_of, rules_in_force
from anomify.metric.model import Metric

# Returns the id of the rule that excludes a metric of this name, None if none does.
Excluder = Callable[[str], int | None]


def excluder_of(org_id: int, *, without: int | None = None) -> Excluder:
    """Return a function from a name to the org's rule that excludes it; rule `without` is ignored.

    To store its results, hold the org's lock: otherwise the rules may change meanwhile.
    """
    return _first_of([rule for rule in rules_in_force(org_id) if rule.id != without])


def assign(org_id: int, names: Iterable[Named]) -> dict[int, int | None]:
    """Assign to each of these metrics the first rule that matches it, or none.

    Returns what has changed: by metric id, the rule that excludes it now. The worker applies it in
    its next tick. The caller holds the org's lock.
    """
    excluder = excluder_of(org_id)
    changed = {
        named.metric_id: by for named in names if (by := excluder(named.name)) != named.excluded_by
    }
    _store(changed)
    if changed:
        _note_change(org_id)
    return changed


def matched_by(exclusion: Exclusion, names: Iterable[Named]) -> list[Named]:
    """Return those of the metrics that the rule matches, whatever other rules do."""
    predicate = predicate_of(ExclusionKind(exclusion.kind), exclusion.pattern)
    return [named for named in names if predicate(named.name)]


def assign_to(exclusion: Exclusion) -> int:
    """Assign a new rule to the metrics that only it matches; return how many these are.

    The caller holds the org's lock.
    """
    hit = matched_by(exclusion, names_of(exclusion.org_id))
    taken = {named.metric_id: exclusion.id for named in hit if named.excluded_by is None}
    _store(taken)
    # Even if it matches nothing yet: new metrics are looked up only where a change was noted.
    _note_change(exclusion.org_id)
    return len(taken)


def _first_of(rules: Sequence[Exclusion]) -> Excluder:
    predicates = [(rule.id, predicate_of(ExclusionKind(rule.kind), rule.pattern)) for rule in rules]

    def excluded_by(name: str) -> int | None:
        return next((rule_id for rule_id, hits in predicates if hits(name)), None)

    return excluded_by


def _store(changed: Mapping[int, int | None]) -> None:
    by_rule: dict[int | None, list[int]] = {}
    for metric_id, rule_id in changed.items():
        by_rule.setdefault(rule_id, []).append(metric_id)
    for rule_id, metric_ids in by_rule.items():
        for some in batches(metric_ids):
            session().execute(
                update(Metric)
                .where(Metric.id.in_(some))
                .values(excluded_by=rule_id)
                .execution_options(synchronize_session=False)
            )


def _note_change(org_id: int) -> None:
    session().execute(
        upsert(ExclusionChange)
        .values(org_id=org_id, count=1)
        .on_conflict_do_update(index_elements=["org_id"], set_={"count": ExclusionChange.count + 1})
    )
