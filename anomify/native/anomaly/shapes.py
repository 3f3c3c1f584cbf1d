"""An anomaly as the native API describes it."""

import math
from typing import Literal

from pydantic import Field

from anomify.anomaly.charts import anomaly_image_url
from anomify.anomaly.model import Anomaly
from anomify.anomaly.wording import (
    amount_in_words,
    amount_of,
    explanation_of,
    seen_before_in_words,
    since_ms_of,
)
from anomify.auth.subject import subject
from anomify.detection.explanation import value_and_ends
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.native.window import local_string, timestamp_of


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


def one_anomaly_json(found: Anomaly) -> OneAnomalyOut:
    """Return an anomaly and a link to its picture as the wire has them."""
    graph_url = anomaly_image_url(app_state().settings, subject().org, found)
    return OneAnomalyOut(anomaly=anomaly_json(found), anomaly_graph_url=graph_url)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
