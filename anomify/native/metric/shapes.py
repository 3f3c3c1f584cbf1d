"""A metric as the native API names it in requests and describes it in replies."""

from collections.abc import Sequence

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now, to_timestamp
from anomify.edge.contract import Inputs, Outputs, names
from anomify.exclusion.model import Exclusion
from anomify.exclusion.wording import explained, rules_behind
from anomify.metric.name import NAME_LABEL, NameRefused, parse_name
from anomify.metric.queries import get_metric_status
from anomify.metric.status import MetricStatus, State, inactive_since_ms
from anomify.metric.young import with_young_sentence, young_until_ms
from anomify.native.params import Name, canonical
from anomify.native.window import timestamp_of


class ExcludedByOut(Outputs):
    """The rule that excludes a metric."""

    id: int = Field(description="Its id, for /exclusion/delete.")
    type: str = Field(description="What kind of rule it is.", examples=["prefix"])
    pattern: str = Field(description="What it looks for.", examples=["staging."])
    reason: str = Field(description="Why it was made; may be empty.")
    expires: int | None = Field(description="When it ends by itself, unix seconds, if ever.")


class MetricOut(Outputs):
    """A metric and its state."""

    id: int = Field(description="Its id.")
    metric: str = Field(description="Its name, with its labels.")
    display_name: str = Field(description="Its name without its labels.")
    labels: dict[str, str] = Field(description="Its labels.")
    created_timestamp: int = Field(description="When its first point arrived, unix seconds.")
    state: State = Field(description="Its state.")
    state_sentence: str = Field(
        description="Why it is judged or not, and while it is new until when, in sentences."
    )
    young_until: int | float | None = Field(
        description="Until when only strong deviations are reported because it is new, unix"
        " seconds: four days from its first point on. null once that is over and while it is not"
        " judged."
    )
    learned_points: int = Field(
        description="How many points have been learnt, at most the number that is needed."
    )
    learning_points: int = Field(
        description="How many points are learnt before the first is judged."
    )
    points: int = Field(description="How many points arrived in order.")
    late_points: int = Field(
        description="How many points came too late to be judged in their turn."
    )
    resolution: float | None = Field(description="Seconds from point to point.")
    is_counter: bool = Field(description="It only increases, so its rate a second is judged.")
    inactive: bool = Field(description="Out of use: it has ended, or been silent for a day.")
    inactive_at: int | float | None = Field(description="Since when, unix seconds.")
    excluded_by: ExcludedByOut | None = Field(
        description="The rule that excludes it from judging and from the quota, if there is one."
    )
    last_timestamp: int | float | None = Field(description="The time of its newest point.")
    last_value: float | None = Field(description="The value of its newest point.")


class MetricIn(Inputs):
    """Which metric."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )


def metric_status_named(name: str) -> MetricStatus:
    """Return the org's metric of that name, however its labels are sorted. Raises `NotFound`."""
    return get_metric_status(subject().org.id, canonical(name), now())


def metrics_json(statuses: Sequence[MetricStatus]) -> list[MetricOut]:
    """Return metrics as the wire has them, those that are excluded with their rules."""
    org_id = subject().org.id
    rules = rules_behind(org_id, statuses)
    return [
        metric_json(status, rules.get(status.metric.id)) for status in explained(statuses, rules)
    ]


def metric_json(status: MetricStatus, rule: Exclusion | None) -> MetricOut:
    """Return a metric as JSON, with the rule that excludes it, if there is one."""
    metric, progress, at = status.metric, status.progress, now()
    inactive_ms, young_ms = inactive_since_ms(status, at), young_until_ms(status, at)
    labels = parse_name(metric.name)
    named = {} if isinstance(labels, NameRefused) else dict(labels)
    return MetricOut(
        id=metric.id,
        metric=metric.name,
        display_name=named.pop(NAME_LABEL, metric.name),
        labels=named,
        created_timestamp=to_timestamp(metric.created_at),
        state=status.state,
        state_sentence=with_young_sentence(status.sentence, young_ms),
        young_until=None if young_ms is None else timestamp_of(young_ms),
        learned_points=status.learned,
        learning_points=status.learning_points,
        points=progress.points_seen if progress else 0,
        late_points=progress.late_points if progress else 0,
        resolution=progress.resolution_ms / 1000 if progress and progress.resolution_ms else None,
        is_counter=is_counter(status),
        inactive=inactive_ms is not None,
        inactive_at=None if inactive_ms is None else timestamp_of(inactive_ms),
        excluded_by=None if rule is None else _excluded_by(rule),
        last_timestamp=timestamp_of(progress.judged_until_ms) if progress else None,
        last_value=progress.last_value if progress else None,
    )


def one_metric_json(status: MetricStatus) -> MetricOut:
    """Return one metric as JSON."""
    (shown,) = metrics_json([status])
    return shown


def _excluded_by(rule: Exclusion) -> ExcludedByOut:
    return ExcludedByOut(
        id=rule.id,
        type=rule.kind,
        pattern=rule.pattern,
        reason=rule.reason,
        expires=None if rule.expires_at is None else to_timestamp(rule.expires_at),
    )


def is_counter(status: MetricStatus) -> bool:
    """Return whether the metric is a counter, whose rate a second is judged."""
    return bool(status.progress and status.progress.is_counter)
