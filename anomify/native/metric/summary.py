"""/metric/.../anomalysummary: counts of the anomalies of one metric over time."""

from typing import Annotated, Literal

from pydantic import Field

from anomify.anomaly.ranking import MetricSummary, summarise
from anomify.auth.subject import subject
from anomify.edge.access import VIEWER
from anomify.edge.contract import Outputs, names
from anomify.match.queries import count_matches_of
from anomify.metric.queries import get_metric
from anomify.native.envelope import NativeBlueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.params import Name, canonical
from anomify.native.window import DAY, HOUR, WindowIn, timestamp_of

blueprint = NativeBlueprint("metric_summary", __name__)

BUCKET_NAMES = {"hour": HOUR, "day": DAY, "week": 7 * DAY}


class BucketOut(Outputs):
    """A stretch of time."""

    timestamp: int | float = Field(description="When it begins, unix seconds.")
    count: int = Field(description="How many anomalies began in it.")


class SummaryOut(Outputs):
    """What a metric had in the window: the anomalies that began in it."""

    total: int = Field(description="How many there were.")
    open: int = Field(description="How many of them still run.")
    trained: int = Field(description="How many of them people called expected.")
    positive: int = Field(description="How many of them people called unexpected.")
    matches: int = Field(
        description="How many deviations beside them were explained by a pattern, so that nobody"
        " was notified."
    )
    by_severity: dict[str, int] = Field(description="How many were low, medium and high.")
    mean_score: float | None = Field(description="The mean of their scores; null without any.")
    first: int | float | None = Field(description="When the first began; null without any.")
    last: int | float | None = Field(description="When the last began; null without any.")
    bucket: int = Field(description="Seconds from one stretch to the next.")
    by_bucket: list[BucketOut] = Field(
        description="Every stretch of the window, oldest first, also those without any. They"
        " begin at whole multiples of their length since 1970, so days are those of UTC."
    )


class OneSummaryOut(Outputs):
    """A metric's anomalies, summed up."""

    summary: SummaryOut = Field(description="The sum.")


class SummaryIn(WindowIn):
    """Which metric, which window, and in which stretches."""

    metric: Name = Field(
        description="The metric's name or id, in the path or as a parameter.",
        json_schema_extra=names("metric"),
    )
    bucket: Literal["hour", "day", "week"] | Annotated[int, Field(ge=60, le=31_536_000)] = Field(
        "day", description="hour, day or week, or a number of seconds from 60 on."
    )


@blueprint.route(
    "/metric/<path:metric>/anomalysummary",
    "/metric/anomalysummary",
    inputs=SummaryIn,
    outputs=OneSummaryOut,
    access=VIEWER,
    otherwise=metric_of_whole_path,
)
def summary(inputs: SummaryIn) -> OneSummaryOut:
    """Count a metric's anomalies by stretches of time: the last thirty days, day by day."""
    org_id = subject().org.id
    metric = get_metric(org_id, canonical(inputs.metric))
    from_ms, until_ms = inputs.window_ms(30 * DAY)
    seconds = inputs.bucket if isinstance(inputs.bucket, int) else BUCKET_NAMES[inputs.bucket]
    found = summarise(
        org_id, metric.id, from_ms=from_ms, until_ms=until_ms, stretch_ms=seconds * 1000
    )
    matches = count_matches_of(org_id, [metric.id], from_ms=from_ms, until_ms=until_ms)
    return OneSummaryOut(summary=_summary_json(found, matches.get(metric.id, 0), seconds))


def _summary_json(found: MetricSummary, matches: int, bucket_seconds: int) -> SummaryOut:
    """Return a summary as the wire has it."""
    return SummaryOut(
        total=found.total,
        open=found.running,
        trained=found.trained,
        positive=found.unexpected,
        matches=matches,
        by_severity=found.by_severity,
        mean_score=None if found.mean_score is None else round(found.mean_score, 4),
        first=None if found.first_ms is None else timestamp_of(found.first_ms),
        last=None if found.last_ms is None else timestamp_of(found.last_ms),
        bucket=bucket_seconds,
        by_bucket=[
            BucketOut(timestamp=timestamp_of(one.from_ms), count=one.anomalies)
            for one in found.stretches
        ],
    )
