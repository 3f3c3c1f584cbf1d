"""/metrics/most...: the metrics with the most anomalies, the latest ones, the latest matches."""

from typing import Annotated

from pydantic import Field

from anomify.anomaly.ranking import Ranked, most_anomalous, most_recently_anomalous
from anomify.auth.subject import subject
from anomify.clock import now_ms
from anomify.db import Page
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs
from anomify.match.queries import list_recently_matched
from anomify.metric.reading import read_sparkline
from anomify.native.envelope import NativeBlueprint
from anomify.native.shape.points import Pairs, pairs_json
from anomify.native.window import DAY, WindowIn, timestamp_of

blueprint = NativeBlueprint("metric_ranking", __name__)

# A sparkline shows the last day, in so many of the points of its metric.
SPARKLINE_SECONDS = DAY
SPARKLINE_POINTS = 60
# Each row's points are read, so a page is shorter than other lists'.
MOST_ROWS = 100


class RankedOut(Outputs):
    """A metric in a ranking."""

    id: int = Field(description="The metric's id.")
    metric: str = Field(description="Its name.", examples=["shop.orders"])
    count: int = Field(description="How many anomalies it had.")
    last_timestamp: int | float = Field(description="When the last of them began, unix seconds.")
    sparkline: Pairs = Field(
        description="Its last day in a few points, each a timestamp and a value, spikes kept."
    )


class RankingOut(Outputs):
    """A page of a ranking."""

    metrics: list[RankedOut] = Field(description="The metrics, in the order of the ranking.")
    total: int = Field(description="How many metrics had anomalies.")


class MatchedMetricOut(Outputs):
    """A metric in the ranking by matches."""

    id: int = Field(description="The metric's id.")
    metric: str = Field(description="Its name.", examples=["shop.nightly_backup"])
    count: int = Field(description="How many matches it had.")
    last_timestamp: int | float = Field(description="When the last of them began, unix seconds.")
    sparkline: Pairs = Field(
        description="Its last day in a few points, each a timestamp and a value, spikes kept."
    )


class MatchedOut(Outputs):
    """A page of the ranking by matches."""

    metrics: list[MatchedMetricOut] = Field(
        description="The metrics, the one with the latest match first."
    )
    total: int = Field(description="How many metrics had matches.")


class RowsIn(Inputs):
    """How much of a ranking."""

    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = Field(
        10, description="How many at the most."
    )
    offset: int = Field(0, ge=0, le=10_000_000, description="How many to pass over first.")


class RankingIn(WindowIn, RowsIn):
    """Which window, and how much of its ranking."""


@blueprint.route("/metrics/mostanomalous", inputs=RankingIn, outputs=RankingOut, access=VIEWER)
def most(inputs: RankingIn) -> RankingOut:
    """Rank metrics by how many anomalies began in a window, the last seven days by default.

    Of two with as many, the one whose last anomaly is newer comes first.
    """
    from_ms, until_ms = inputs.window_ms(7 * DAY)
    return _ranking(
        most_anomalous(
            subject().org.id,
            from_ms=from_ms,
            until_ms=until_ms,
            limit=inputs.limit,
            offset=inputs.offset,
        )
    )


@blueprint.route("/metrics/mostrecentlyanomalous", inputs=RowsIn, outputs=RankingOut, access=VIEWER)
def latest(inputs: RowsIn) -> RankingOut:
    """Rank metrics by when their last anomaly began, the latest first."""
    return _ranking(
        most_recently_anomalous(subject().org.id, limit=inputs.limit, offset=inputs.offset)
    )


@blueprint.route("/metrics/mostrecentlymatched", inputs=RowsIn, outputs=MatchedOut, access=VIEWER)
def latest_matched(inputs: RowsIn) -> MatchedOut:
    """Rank metrics by when their last match of a pattern began, the latest first."""
    page = list_recently_matched(subject().org.id, limit=inputs.limit, offset=inputs.offset)
    return MatchedOut(
        metrics=[
            MatchedMetricOut(
                id=one.metric.id,
                metric=one.metric.name,
                count=one.matches,
                last_timestamp=timestamp_of(one.last_ms),
                sparkline=_sparkline(one.metric.id),
            )
            for one in page.items
        ],
        total=page.total,
    )


def _ranking(page: Page[Ranked]) -> RankingOut:
    return RankingOut(metrics=[_ranked_json(one) for one in page.items], total=page.total)


def _ranked_json(ranked: Ranked) -> RankedOut:
    return RankedOut(
        id=ranked.metric.id,
        metric=ranked.metric.name,
        count=ranked.anomalies,
        last_timestamp=timestamp_of(ranked.last_ms),
        sparkline=_sparkline(ranked.metric.id),
    )


def _sparkline(metric_id: int) -> Pairs:
    until_ms = now_ms() + 1
    from_ms = until_ms - SPARKLINE_SECONDS * 1000
    return pairs_json(
        read_sparkline(app_state().points, metric_id, from_ms, until_ms, SPARKLINE_POINTS)
    )
