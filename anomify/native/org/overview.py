"""/org/summary and /org/graph: the numbers of the Overview."""

from typing import Annotated, Literal

from pydantic import Field

from anomify.anomaly.overview import (
    Figure,
    anomalies_over_time,
    first_anomaly_ms,
    judged_over_time,
    overview_of,
)
from anomify.auth.subject import subject
from anomify.clock import now, now_ms
from anomify.edge.access import VIEWER
from anomify.edge.contract import Outputs
from anomify.match.overview import (
    learning_overview_of,
    matches_over_time,
    patterns_over_time,
)
from anomify.match.queries import list_spared
from anomify.match.wording import explanation_of as explained_by
from anomify.native.envelope import NativeBlueprint
from anomify.native.window import DAY, HOUR, WindowIn, local_string, timestamp_of
from anomify.org.refused_items import list_refused
from anomify.watcher.queries import count_alerting

blueprint = NativeBlueprint("org_overview", __name__)

BUCKET_NAMES = {"hour": HOUR, "day": DAY, "week": 7 * DAY}
# An org whose first anomaly is still to come is shown so much of nothing.
EMPTY_SECONDS = 7 * DAY


class FigureOut(Outputs):
    """A number of the period beside that of the period before."""

    value: int = Field(description="In the period.")
    previous: int = Field(description="In the period of the same length before it.")
    change_percent: float | None = Field(
        description="By how much it has changed; null where there was nothing before."
    )


class RefusedItemsOut(Outputs):
    """Items that were sent and not stored, for one kind of reason."""

    route: str = Field(
        description="The way they came: flux, telegraf, prometheus, flux_prometheus or"
        " page_events.",
        examples=["telegraf"],
    )
    kind: str = Field(
        description="The kind of reason: quota, future, too_old, nan, infinite, bad_name,"
        " name_too_long, duplicate_label, bad_labels, histogram or unreadable; or the code of the"
        " error where a whole request was refused.",
        examples=["quota"],
    )
    items: int = Field(description="How many, in whole hours from the one the period begins in.")
    last_timestamp: int | float = Field(description="When the last one came, unix seconds.")
    metric: str = Field(description="What the last one was called, as far as it could be read.")
    reason: str = Field(description="Why the last one was not stored, in a sentence.")


class SparedOut(Outputs):
    """A match: an alarm that was spared."""

    match_id: int = Field(description="The match's id.")
    metric_id: int = Field(description="Its metric's id.")
    metric: str = Field(description="Its metric's name.", examples=["shop.nightly_backup"])
    timestamp: int | float = Field(description="When it began, unix seconds.")
    timestamp_string: str = Field(description="When it began, in the org's time zone.")
    pattern_id: int = Field(description="The pattern that explains it.")
    explanation: str = Field(
        description="Why it is no anomaly, in a sentence.",
        examples=["Like “nightly backup”, marked as expected by Alice: 97 % similar, as high."],
    )
    validated: Literal[0, 1, 2] = Field(
        description="What people said of it: 0 nothing yet, 1 valid, 2 invalid."
    )


class OverviewOut(Outputs):
    """What the org's metrics had."""

    from_timestamp: int | float = Field(
        serialization_alias="from", description="When the period begins, unix seconds."
    )
    until_timestamp: int | float = Field(serialization_alias="until", description="When it ends.")
    analysed_events: FigureOut = Field(
        description="Points that were judged, in whole hours from the one the period begins in."
    )
    anomalies: FigureOut = Field(description="Anomalies that began.")
    patterns_trained: FigureOut = Field(description="Patterns that were made.")
    matches: FigureOut = Field(
        description="Deviations that a pattern explained, so that nobody was notified."
    )
    anomalies_reduced_by: float | None = Field(
        description="The share of these matches in all that would have been anomalies, in percent;"
        " null where there would have been none."
    )
    total_patterns: int = Field(description="How many patterns are used now.")
    spared_per_week: float = Field(description="How many alarms a week these matches spared.")
    spared: list[SparedOut] = Field(
        description="The newest of these matches, at most fifty; /matches lists all."
    )
    metrics: int = Field(description="How many metrics there are now.")
    live_metrics: int = Field(description="How many of them report now.")
    enabled_alerts: int = Field(description="How many watchers notify people.")
    refused: list[RefusedItemsOut] = Field(
        description="Items that were sent and refused, by route and kind; the most recent first."
    )


class SummaryOut(Outputs):
    """The cards of the Overview."""

    summary: OverviewOut = Field(description="The numbers.")


class SeriesOut(Outputs):
    """What there was, stretch by stretch."""

    anomalies: list[tuple[int | float, int]] = Field(
        description="When each stretch begins, and how many anomalies began in it; oldest first."
    )
    analysed_events: list[tuple[int | float, int]] = Field(
        description="How many points were judged. They are counted by the hour: in stretches of"
        " less, an hour's are all in the stretch in which it begins."
    )
    matches: list[tuple[int | float, int]] = Field(
        description="How many deviations a pattern explained, so that nobody was notified."
    )
    total_patterns: list[tuple[int | float, int]] = Field(
        description="How many patterns had been made by the end of it."
    )


class GraphOut(Outputs):
    """The chart of the Overview."""

    series: SeriesOut = Field(description="A list of counts for each kind.")
    bucket: int = Field(description="Seconds from one stretch to the next.")


class GraphIn(WindowIn):
    """Which window, and in which stretches."""

    bucket: Literal["hour", "day", "week"] | Annotated[int, Field(ge=60, le=31_536_000)] = Field(
        "day", description="hour, day or week, or a number of seconds from 60 on."
    )


@blueprint.route("/org/summary", inputs=WindowIn, outputs=SummaryOut, access=VIEWER)
def summary(inputs: WindowIn) -> SummaryOut:
    """Summarise anomalies and what patterns spared: the last seven days and the seven before."""
    org_id, timezone = subject().org.id, subject().org.timezone
    from_ms, until_ms = inputs.window_ms(7 * DAY)
    found = overview_of(org_id, from_ms=from_ms, until_ms=until_ms, at=now())
    learning = learning_overview_of(
        org_id, from_ms=from_ms, until_ms=until_ms, anomalies=found.anomalies.now
    )
    return SummaryOut(
        summary=OverviewOut(
            from_timestamp=timestamp_of(from_ms),
            until_timestamp=timestamp_of(until_ms),
            analysed_events=_figure(found.judged),
            anomalies=_figure(found.anomalies),
            patterns_trained=_figure(learning.made),
            matches=_figure(learning.matches),
            anomalies_reduced_by=learning.reduced_percent,
            total_patterns=learning.total,
            spared_per_week=learning.per_week,
            spared=[
                SparedOut(
                    match_id=one.id,
                    metric_id=one.metric_id,
                    metric=one.metric.name,
                    timestamp=timestamp_of(one.started_ms),
                    timestamp_string=local_string(one.started_ms, timezone),
                    pattern_id=one.pattern_id,
                    explanation=explained_by(one, timezone),
                    validated=one.validated,
                )
                for one in list_spared(org_id, from_ms=from_ms, until_ms=until_ms)
            ],
            metrics=found.metrics,
            live_metrics=found.live_metrics,
            enabled_alerts=count_alerting(org_id),
            refused=[
                RefusedItemsOut(
                    route=one.route,
                    kind=one.kind,
                    items=one.items,
                    last_timestamp=timestamp_of(one.last_ms),
                    metric=one.metric,
                    reason=one.reason,
                )
                for one in list_refused(org_id, from_ms, until_ms)
            ],
        )
    )


@blueprint.route("/org/graph", inputs=GraphIn, outputs=GraphOut, access=VIEWER)
def graph(inputs: GraphIn) -> GraphOut:
    """Count anomalies, matches, patterns and judged points: all there ever were, day by day.

    Stretches begin at whole multiples of their length since 1970, so days are those of UTC.
    """
    org_id = subject().org.id
    from_ms, until_ms = inputs.window_ms(EMPTY_SECONDS)
    if inputs.from_timestamp is None:
        from_ms = min(first_anomaly_ms(org_id) or now_ms(), from_ms)
    seconds = inputs.bucket if isinstance(inputs.bucket, int) else BUCKET_NAMES[inputs.bucket]
    window = {"from_ms": from_ms, "until_ms": until_ms, "stretch_ms": seconds * 1000}
    found = anomalies_over_time(org_id, **window)
    judged = judged_over_time(org_id, **window)
    matches = matches_over_time(org_id, **window)
    patterns = patterns_over_time(org_id, **window)
    return GraphOut(
        series=SeriesOut(
            anomalies=[(timestamp_of(one.from_ms), one.anomalies) for one in found],
            analysed_events=_counts(judged),
            matches=_counts(matches),
            total_patterns=_counts(patterns),
        ),
        bucket=seconds,
    )


def _counts(found: list[tuple[int, int]]) -> list[tuple[int | float, int]]:
    return [(timestamp_of(from_ms), count) for from_ms, count in found]


def _figure(figure: Figure) -> FigureOut:
    return FigureOut(value=figure.now, previous=figure.before, change_percent=figure.change_percent)
