"""Which rule keeps a metric out, in words: what people read where the metric is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from anomify.exclusion.model import Exclusion
from anomify.exclusion.queries import exclusions_by_id
from anomify.metric.status import MetricStatus


def rules_behind(org_id: int, standings: Sequence[MetricStatus]) -> dict[int, Exclusion]:
    """Return, by id of the metric, the rule that keeps each of the excluded ones out."""
    excluded = [one.metric for one in standings if one.metric.excluded_by is not None]
    rules = exclusions_by_id(
        org_id, (metric.excluded_by for metric in excluded if metric.excluded_by is not None)
    )
    return {
        metric.id: rules[metric.excluded_by] for metric in excluded if metric.excluded_by in rules
    }


def explained(
    standings: Sequence[MetricStatus], rules: Mapping[int, Exclusion]
) -> list[MetricStatus]:
    """Return the same standings; the sentences of those that are excluded name their rule."""
    return [
        replace(one, sentence=_sentence(rules[one.metric.id])) if one.metric.id in rules else one
        for one in standings
    ]


def _sentence(rule: Exclusion) -> str:
    because = f" ({rule.reason})" if rule.reason else ""
    return (
        f"Excluded by the rule {rule.name}{because}: its points are kept, but not judged,"
        " and it does not count against the quota."
    )
