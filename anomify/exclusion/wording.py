"""The sentence that states which rule excludes a metric, shown with the metric."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from anomify.exclusion.model import Exclusion
from anomify.exclusion.queries import exclusions_by_id
from anomify.metric.status import MetricStatus


def rules_behind(org_id: int, statuses: Sequence[MetricStatus]) -> dict[int, Exclusion]:
    """Return the rule that excludes each of the excluded metrics, by metric id."""
    excluded = [one.metric for one in statuses if one.metric.excluded_by is not None]
    rules = exclusions_by_id(
        org_id, (metric.excluded_by for metric in excluded if metric.excluded_by is not None)
    )
    return {
        metric.id: rules[metric.excluded_by] for metric in excluded if metric.excluded_by in rules
    }


def explained(
    statuses: Sequence[MetricStatus], rules: Mapping[int, Exclusion]
) -> list[MetricStatus]:
    """Return the statuses, where the sentence of an excluded metric names its rule."""
    return [
        replace(one, sentence=_sentence(rules[one.metric.id])) if one.metric.id in rules else one
        for one in statuses
    ]


def _sentence(rule: Exclusion) -> str:
    because = f" ({rule.reason})" if rule.reason else ""
    return (
        f"Excluded by the rule {rule.name}{because}: its points are kept, but not judged,"
        " and it does not count against the quota."
    )
