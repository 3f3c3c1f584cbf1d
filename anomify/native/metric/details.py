"""/metric: one metric with its watchers, counts of anomalies and data quality."""

from flask import request
from pydantic import Field

from anomify.anomaly.ranking import tally
from anomify.auth.subject import subject
from anomify.clock import now, now_ms
from anomify.detection.alarm_history_summary import AlarmHistorySummary
from anomify.detection.threshold import Severity
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.edge.parameters import find_parameter
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError, Invalid, NotFound
from anomify.match.queries import count_matches_of_metric
from anomify.metric.alarm_history import alarm_history_sentence, find_alarm_history
from anomify.metric.name import NameRefused, plain_or_labelled_name
from anomify.metric.quality import sparsity
from anomify.metric.queries import find_metric
from anomify.metric.status import State
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.shapes import (
    MetricIn,
    MetricOut,
    metric_status_named,
    one_metric_json,
)
from anomify.native.window import DAY
from anomify.pattern.queries import count_patterns_of
from anomify.watcher.routing import watchers_of


class WatchedByOut(Outputs):
    """A watcher that the metric belongs to."""

    id: int = Field(description="Its id.")
    name: str = Field(description="Its name.")
    alert: bool = Field(description="Whether it notifies anybody.")
    severity: str = Field(description="The least severity that it notifies about.")


class CountsOut(Outputs):
    """Numbers of a metric's anomalies."""

    anomalies: int = Field(description="All stored anomalies.")
    anomalies_7d: int = Field(description="Those that began in the last seven days.")
    open: int = Field(description="Those that are open now.")
    patterns: int = Field(description="Its patterns that are used.")
    matches: int = Field(description="All its stored matches of patterns.")


class QualityOut(Outputs):
    """The quality of a metric's data."""

    resolution: float | None = Field(description="Seconds from point to point, once known.")
    sparsity: float | None = Field(
        description="Of the points that its last day should have had, how many came, in percent;"
        " null until its resolution is known."
    )
    derivative: bool = Field(description="It is a counter, and its rate a second is judged.")
    stale: bool = Field(description="No data has come for longer than ever before.")


class AlarmHistoryOut(Outputs):
    """How often strong deviations of a metric came, and from which strength one is reported.

    Strengths are explained on /doc/detection.
    """

    low: float = Field(
        description="How many deviations of about the last three weeks were as strong as an alert"
        " of severity low, reported or not; each counts for half after two weeks.",
        examples=[8.2],
    )
    medium: float = Field(description="The same for severity medium.", examples=[4.7])
    high: float = Field(description="The same for severity high.", examples=[0.6])
    usual_from: float = Field(
        description="The strength from which a deviation is reported without such a history.",
        examples=[6.05],
    )
    up_from: float | None = Field(
        description="The strength from which a single point above is reported now; null where none"
        " is, however strong.",
        examples=[7.75],
    )
    down_from: float | None = Field(description="The same for a point below.", examples=[6.05])
    sentence: str = Field(
        description="What that changes, in words; empty where nothing, and while the metric is new."
    )


class DetailsOut(Outputs):
    """One metric with its watchers, counts, alarm history and data quality."""

    metric: MetricOut = Field(description="The metric and its state.")
    watchers: list[WatchedByOut] = Field(description="Watchers whose chips its name contains.")
    counts: CountsOut = Field(description="Numbers of its anomalies.")
    alarm_history: AlarmHistoryOut | None = Field(
        description="How often strong deviations came, as of at most a quarter of an hour ago; null"
        " while it is not judged."
    )
    quality: QualityOut = Field(description="The quality of its data.")


@blueprint.route(
    "/metric/<path:metric>", "/metric", inputs=MetricIn, outputs=DetailsOut, access=VIEWER
)
def metric(inputs: MetricIn) -> DetailsOut:
    """Show one metric: its state, its watchers, and the quality of its data."""
    org_id, status = subject().org.id, metric_status_named(inputs.metric)
    shown = one_metric_json(status)
    metric_id = status.metric.id
    had = tally(org_id, metric_id, since_ms=now_ms() - 7 * DAY * 1000)
    return DetailsOut(
        metric=shown,
        watchers=[
            WatchedByOut(
                id=watcher.id,
                name=watcher.name,
                alert=watcher.is_alerting,
                severity=watcher.severity,
            )
            for watcher in watchers_of(org_id, status.metric.name)
        ],
        counts=CountsOut(
            anomalies=had.total,
            anomalies_7d=had.lately,
            open=had.running,
            patterns=count_patterns_of(org_id, [metric_id]).get(metric_id, 0),
            matches=count_matches_of_metric(org_id, metric_id),
        ),
        alarm_history=_alarm_history(
            find_alarm_history(status, now()), is_young=shown.young_until is not None
        ),
        quality=QualityOut(
            resolution=shown.resolution,
            sparsity=sparsity(app_state().points, status, now_ms()),
            derivative=shown.is_counter,
            stale=status.state is State.STALE,
        ),
    )


def _alarm_history(
    history: AlarmHistorySummary | None, *, is_young: bool
) -> AlarmHistoryOut | None:
    if history is None:
        return None
    low, medium, high = (round(history.seen[severity], 1) for severity in Severity)
    return AlarmHistoryOut(
        low=low,
        medium=medium,
        high=high,
        usual_from=history.usual_from,
        up_from=None if history.up_from is None else round(history.up_from, 2),
        down_from=None if history.down_from is None else round(history.down_from, 2),
        sentence="" if is_young else alarm_history_sentence(history),
    )


def metric_of_whole_path(error: AnomifyError) -> DetailsOut:
    """Show the metric that the whole path names: x/graph, where no x has a graph to show.

    An address below /metric ends in a word such as graph, and so may a name. If there is a metric
    of the name before the word, the word selects a route of it; else it is the end of a name, and
    the address is of that metric. A word alone, without the parameter `metric`, is a name, too.
    Raises the error again if no metric has that name.
    """
    has_name = bool(request.view_args)
    if not isinstance(error, NotFound if has_name else Invalid) or find_parameter("metric"):
        raise error
    with transaction(write=False):
        name = plain_or_labelled_name(request.path.removeprefix("/metric/"))
        known = None if isinstance(name, NameRefused) else find_metric(subject().org.id, name)
        if known is None:
            raise error
        return metric(MetricIn(metric=known.name))
