"""A match as the native API describes it."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from anomify.auth.subject import subject
from anomify.detection.explanation import value_and_ends
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.match.charts import match_image_url, motif_image_url
from anomify.match.model import Match
from anomify.match.wording import explanation_of
from anomify.native.shape.pattern import PatternOut, patterns_json
from anomify.native.shape.points import finite
from anomify.native.window import local_string, timestamp_of


class MotifOut(Outputs):
    """The part of the pattern that the points were compared with."""

    index: int = Field(description="Where it begins among the pattern's points, from 0.")
    size: int = Field(description="How many points it has.")
    distance: float = Field(description="The z-normalised distance of both stretches.")
    area_percent_diff: float | None = Field(
        description="By how many percent the area between value and expected range is larger than"
        " that of the pattern; below 0 where it is smaller."
    )


class MatchOut(Outputs):
    """A match: a deviation that would have been an anomaly, and was explained by a pattern."""

    id: int = Field(description="Its id.")
    metric_id: int = Field(description="Its metric's id.")
    metric: str = Field(description="Its metric's name.", examples=["shop.nightly_backup"])
    timestamp: int | float = Field(description="When it began, unix seconds.")
    timestamp_string: str = Field(description="When it began, in the org's time zone.")
    until_timestamp: int | float | None = Field(description="When it ended; null while it runs.")
    value: float = Field(description="The value at its peak, farthest outside of the range.")
    peak_timestamp: int | float = Field(description="The time of the peak, unix seconds.")
    expected_range_lower: float | None = Field(
        description="Lower end of the expected range at the peak; null if there was none."
    )
    expected_range_upper: float | None = Field(
        description="Upper end of the expected range at the peak; null if there was none."
    )
    expected_range_lower_string: str = Field(description="The same for people.")
    expected_range_upper_string: str = Field(description="The same for people.")
    score: float = Field(description="The score that the anomaly would have had.")
    severity: str = Field(
        description="The severity that the anomaly would have had: low, medium or high."
    )
    kind: str = Field(
        description="What was alike: the shape from the begin on (shape), a part of the pattern"
        " (motif), or the kind, size and time of the deviation (usual)."
    )
    similarity: float = Field(description="How alike both are, 0 to 100 percent.")
    distance: float = Field(description="The z-normalised distance of both shapes; 0 is equal.")
    height_ratio: float | None = Field(
        description="How far it left the range, as a share of how far the pattern did."
    )
    length_ratio: float | None = Field(description="Its length as a share of the pattern's.")
    minutes_apart: float | None = Field(
        description="How far the times of day of both are apart, in the org's time zone."
    )
    explanation: str = Field(
        description="Why it is no anomaly, in a sentence.",
        examples=["Like “nightly backup”, marked as expected by Alice: 97 % similar, 4 % smaller."],
    )
    motif: MotifOut | None = Field(
        description="The part of the pattern that it was compared with; null where the kind is"
        " usual."
    )
    pattern: PatternOut = Field(description="The pattern that explains it.")
    anomaly_id: int | None = Field(
        description="The anomaly that was closed because the pattern explains it; null for a match"
        " that was none before."
    )
    validated: Literal[0, 1, 2] = Field(
        description="What people said of it: 0 nothing yet, 1 valid, 2 invalid."
    )
    validated_by: str | None = Field(description="Who said so; null if nobody did.")
    outgrown_by_anomaly_id: int | None = Field(
        description="The anomaly that it became, because it went on beyond its pattern; else null."
    )
    outgrown_reason: str | None = Field(
        description="In which way it went beyond its pattern, in a sentence.",
        examples=["Like the nightly backup that was called expected, but twice as long."],
    )
    graph_url: str = Field(
        description="A signed link to a PNG: the metric with the pattern over it; it expires."
    )
    motif_graph_url: str | None = Field(
        description="A signed link to a close-up of the part that was compared; null without a"
        " motif."
    )


class OneMatchOut(Outputs):
    """One match."""

    match: MatchOut = Field(description="The match.")


class MatchesOut(Outputs):
    """A page of matches."""

    matches: list[MatchOut] = Field(description="The matches, newest first.")
    total: int = Field(description="How many there are in all.")


def matches_json(matches: Sequence[Match]) -> list[MatchOut]:
    """Return the org's matches as the wire has them; patterns and metrics have to be loaded."""
    patterns = {match.pattern_id: match.pattern for match in matches}
    shown = {pattern.id: pattern for pattern in patterns_json(list(patterns.values()))}
    return [_match_json(match, shown[match.pattern_id]) for match in matches]


def _match_json(match: Match, pattern: PatternOut) -> MatchOut:
    org, settings = subject().org, app_state().settings
    _, *ends = value_and_ends(match.value, match.expected_lower, match.expected_upper)
    return MatchOut(
        id=match.id,
        metric_id=match.metric_id,
        metric=match.metric.name,
        timestamp=timestamp_of(match.started_ms),
        timestamp_string=local_string(match.started_ms, org.timezone),
        until_timestamp=None if match.ended_ms is None else timestamp_of(match.ended_ms),
        value=match.value,
        peak_timestamp=timestamp_of(match.peak_ms),
        expected_range_lower=finite(match.expected_lower),
        expected_range_upper=finite(match.expected_upper),
        expected_range_lower_string=ends[0],
        expected_range_upper_string=ends[1],
        score=round(match.score, 4),
        severity=match.severity,
        kind=match.kind,
        similarity=round(match.similarity, 1),
        distance=round(match.distance, 4),
        height_ratio=match.height_ratio,
        length_ratio=match.length_ratio,
        minutes_apart=match.minutes_apart,
        explanation=explanation_of(match, org.timezone),
        motif=_motif_json(match),
        pattern=pattern,
        anomaly_id=match.anomaly_id,
        validated=match.validated,
        validated_by=match.validated_by or None,
        outgrown_by_anomaly_id=match.outgrown_by_anomaly_id,
        outgrown_reason=match.outgrown_reason,
        graph_url=match_image_url(settings, org, match),
        motif_graph_url=motif_image_url(settings, org, match),
    )


def _motif_json(match: Match) -> MotifOut | None:
    if match.motif_index is None or match.motif_size is None:
        return None
    return MotifOut(
        index=match.motif_index,
        size=match.motif_size,
        distance=round(match.distance, 4),
        area_percent_diff=match.area_percent_diff,
    )
