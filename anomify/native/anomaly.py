"""/anomalies, /anomaly: lists of anomalies, and single ones."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from anomify.anomaly.charts import anomaly_image_url
from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import Running, get_anomaly, get_anomaly_at, list_anomalies
from anomify.anomaly.wording import (
    amount_in_words,
    amount_of,
    explanation_of,
    seen_before_in_words,
    since_ms_of,
)
from anomify.auth.require import read_only
from anomify.auth.seeing import note_seen
from anomify.auth.subject import subject
from anomify.db import Page
from anomify.detection.explanation import value_and_ends
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.transaction import transaction
from anomify.metric.queries import get_metric
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Chips, Name, RowId, canonical
from anomify.native.window import (
    DAY,
    PageIn,
    Timestamp,
    WindowIn,
    local_string,
    timestamp_of,
)
from anomify.watcher.queries import get_watcher

blueprint = NativeBlueprint("anomaly", __name__)


class AnomalyOut(Outputs):
    """An anomaly: a case, and the stretch of a metric that is its evidence."""

    id: int = Field(description="Its id.")
    uuid: str = Field(description="An id that no other installation has.")
    metric_id: int = Field(description="Its metric's id.")
    metric: str = Field(description="Its metric's name.")
    value: float = Field(
        description="The value at the peak of the anomaly, farthest outside of the range."
    )
    timestamp: int | float = Field(description="When it began.")
    timestamp_string: str = Field(description="When it began, in the org's time zone.")
    until_timestamp: int | float | None = Field(description="When it ended; null while it runs.")
    peak_timestamp: int | float = Field(description="The time of the peak, unix seconds.")
    score: float = Field(description="0 to 1; 0.5 is where anomalies begin.")
    severity: Literal["low", "medium", "high"] = Field(
        description="How rarely its highest alert is a false one."
    )
    expected_range_lower: float | None = Field(
        description="Lower end of the expected range at the peak; null if there was none."
    )
    expected_range_upper: float | None = Field(
        description="Upper end of the expected range at the peak; null if there was none."
    )
    expected_range_lower_string: str = Field(description="The same for people.")
    expected_range_upper_string: str = Field(description="The same for people.")
    evidence: str = Field(
        description="The strongest kind of evidence: above or below (the expected range), jump,"
        " noisier, shifted, drifting, novel, flat, or silent (no data has come).",
        examples=["above"],
    )
    explanation: str = Field(
        description="The value at the peak, its expected range and what is unusual about it, and"
        " from when to when.",
        examples=[
            "412 is above the expected 20 to 80. Unusual since 2026-11-28 13:05 UTC, most at 13:20."
        ],
    )
    amount: float | None = Field(
        description="By how much, at the peak: the distance from the range, the height of a jump,"
        " the distance of the level from the usual one, how many times as noisy, or seconds"
        " unchanged or silent.",
        examples=[331.8],
    )
    amount_string: str = Field(description="The same in words.", examples=["332 above the range"])
    since_timestamp: int | float = Field(
        description="Since when it has been so; for an unchanged value, before the anomaly began."
    )
    seen_before: int = Field(
        description="How many anomalies of the same evidence the metric had before.", examples=[3]
    )
    seen_before_timestamp: int | float | None = Field(description="When the last of them began.")
    seen_before_string: str = Field(
        description="The same in words.",
        examples=["Similar was seen 3 times before, the last time 6 days earlier."],
    )
    status: str = Field(description="The status that users have set.")
    ended_by_silence: bool = Field(description="It ended because the metric stopped reporting.")
    muted: bool = Field(description="Nobody was notified, because the org was muted.")


class OneAnomalyOut(Outputs):
    """One anomaly and a picture of it."""

    anomaly: AnomalyOut = Field(description="The anomaly.")
    anomaly_graph_url: str = Field(description="A signed link to a PNG; it expires.")


class AnomaliesOut(Outputs):
    """A page of anomalies."""

    anomalies: list[AnomalyOut] = Field(description="The anomalies.")
    total: int = Field(description="How many there are in all.")


class AnomaliesIn(WindowIn, PageIn):
    """The filters of a list of anomalies."""

    metric: Name | None = Field(
        None, description="The name or id of one metric.", json_schema_extra=names("metric")
    )
    chips: Chips = Field(default=[], description="Words that the metric's name must hold.")
    status: Running = Field(Running.ALL, description="all, open or ended.")
    severity: Literal["low", "medium", "high"] = Field("low", description="The least severity.")
    min_score: float = Field(0.0, ge=0, le=1, description="The least score.")
    order: Literal["newest", "oldest"] = Field("newest", description="Which come first.")


class SoughtIn(AnomaliesIn):
    """Which anomalies of the org."""

    watcher_id: RowId | None = Field(
        None,
        description="Only those of the metrics that this watcher is about.",
        json_schema_extra=names("watcher"),
    )

    @property
    def shows_newest(self) -> bool:
        """Return whether the list begins with the newest anomalies of all."""
        narrowing = self.model_fields_set - {"from_timestamp", "limit"}
        plain = type(self).model_construct()
        return all(getattr(self, name) == getattr(plain, name) for name in narrowing)


class AnomalyIn(Inputs):
    """Which anomaly."""

    anomaly_id: RowId = Field(description="The anomaly's id.", json_schema_extra=names("anomaly"))


class LookupIn(Inputs):
    """Which anomaly, by metric and moment."""

    metric: Name = Field(description="The metric's name or id.", json_schema_extra=names("metric"))
    timestamp: Timestamp = Field(description="A moment at which it was running, unix seconds.")


@blueprint.route(
    "/anomalies",
    inputs=SoughtIn,
    outputs=AnomaliesOut,
    access=VIEWER,
    has_own_transactions=True,
)
def anomalies(inputs: SoughtIn) -> AnomaliesOut:
    """List the anomalies of a window, of the last seven days by default.

    An anomaly is in the window if it ran at any time of it. A signed-in user who lists the newest
    of all has seen them: /user/ping counts those that come later.
    """
    org = subject().org
    with transaction(write=False):
        metric = get_metric(org.id, canonical(inputs.metric)) if inputs.metric is not None else None
        chips = [] if inputs.watcher_id is None else get_watcher(org.id, inputs.watcher_id).chips
        page = _page(inputs, metric.id if metric else None, 7 * DAY, chips)
        listed = _listed(page)
    if inputs.shows_newest:
        note_seen(page.items)
    return listed


@blueprint.route("/anomaly/lookup", inputs=LookupIn, outputs=OneAnomalyOut, access=VIEWER)
def lookup(inputs: LookupIn) -> OneAnomalyOut:
    """Find the anomaly of a metric that was running at a moment, or within a minute of it.

    People of a demo org find anomalies by their ids.
    """
    org = subject().org
    if org.is_demo:
        raise read_only()
    metric = get_metric(org.id, canonical(inputs.metric))
    return _one(get_anomaly_at(org.id, metric.id, round(inputs.timestamp * 1000)))


@blueprint.route(
    "/anomaly/<int:anomaly_id>", inputs=AnomalyIn, outputs=OneAnomalyOut, access=VIEWER
)
def anomaly(inputs: AnomalyIn) -> OneAnomalyOut:
    """Show one anomaly."""
    return _one(get_anomaly(subject().org.id, inputs.anomaly_id))


def anomalies_out(inputs: AnomaliesIn, metric_id: int, default_seconds: int) -> AnomaliesOut:
    """Return the requested page of a metric's anomalies."""
    return _listed(_page(inputs, metric_id, default_seconds))


def _page(
    inputs: AnomaliesIn, metric_id: int | None, default_seconds: int, chips: Sequence[str] = ()
) -> Page[Anomaly]:
    org = subject().org
    from_ms, until_ms = inputs.window_ms(default_seconds)
    return list_anomalies(
        org.id,
        metric_id=metric_id,
        from_ms=from_ms,
        until_ms=until_ms,
        running=inputs.status,
        least_severity=inputs.severity,
        words=[*inputs.chips, *chips],
        least_score=inputs.min_score,
        oldest_first=inputs.order == "oldest",
        limit=inputs.limit,
        offset=inputs.offset,
    )


def _listed(page: Page[Anomaly]) -> AnomaliesOut:
    return AnomaliesOut(anomalies=[anomaly_json(found) for found in page.items], total=page.total)


def anomaly_json(found: Anomaly) -> AnomalyOut:
    """Return an anomaly as the wire has it."""
    span = found.span
    lower, upper = _finite(span.expected_lower), _finite(span.expected_upper)
    _, *ends = value_and_ends(span.value, span.expected_lower, span.expected_upper)
    return AnomalyOut(
        id=found.id,
        uuid=found.uuid,
        metric_id=span.metric_id,
        metric=span.metric.name,
        value=span.value,
        timestamp=timestamp_of(span.started_ms),
        timestamp_string=local_string(span.started_ms, subject().org.timezone),
        until_timestamp=None if span.ended_ms is None else timestamp_of(span.ended_ms),
        peak_timestamp=timestamp_of(span.peak_ms),
        score=round(span.score, 4),
        severity=span.severity,
        expected_range_lower=lower,
        expected_range_upper=upper,
        expected_range_lower_string=ends[0],
        expected_range_upper_string=ends[1],
        evidence=span.evidence,
        explanation=explanation_of(span, subject().org.timezone),
        amount=amount_of(span),
        amount_string=amount_in_words(span),
        since_timestamp=timestamp_of(since_ms_of(span)),
        seen_before=span.similar_before,
        seen_before_timestamp=None if span.similar_ms is None else timestamp_of(span.similar_ms),
        seen_before_string=seen_before_in_words(span),
        status=found.status,
        ended_by_silence=span.ended_by_silence,
        muted=found.muted_at is not None,
    )


def _one(found: Anomaly) -> OneAnomalyOut:
    graph_url = anomaly_image_url(app_state().settings, subject().org, found)
    return OneAnomalyOut(anomaly=anomaly_json(found), anomaly_graph_url=graph_url)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
