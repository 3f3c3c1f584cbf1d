"""A pattern and a pending pattern as the native API describes them."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import datetime_from_ms, now, to_ms, to_timestamp
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.job.model import PENDING
from anomify.match.precision import Precision, precision_of
from anomify.native.window import local_string, timestamp_of
from anomify.org.time_zone import ago, until_in_words
from anomify.pattern.charts import pattern_image_url
from anomify.pattern.figures import (
    PatternSide,
    creator_in_words,
    direction_of,
    height_of,
    match_rate,
    window_in_words,
)
from anomify.pattern.model import CreatorType, Pattern, PatternOrigin, PatternState, Scope, Training
from anomify.pattern.queries import count_would_hide

_NO_MATCHES: Final = Precision()


class WindowName(StrEnum):
    """The windows that a pattern may keep; their lengths are in `trainability.DURATIONS`."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"


class PatternOut(Outputs):
    """A pattern: a behaviour of a metric that was called expected, or unexpected."""

    id: int = Field(description="Its id.")
    parent_id: int | None = Field(
        description="The longer pattern of the same training, or the one that it was learnt from;"
        " disabling that one disables this one, too."
    )
    group_id: int | None = Field(
        description="The same number for all patterns of one training: the id of the first."
    )
    creator_type: CreatorType = Field(
        description="user, also for a token of the org, or machine for the product itself."
    )
    creator_user_id: int | None = Field(description="The user who made it; else null.")
    creator_user_display_name: str = Field(
        description="The name of the user; API for a token, Anomify AI for the product itself.",
        examples=["Alice"],
    )
    metric_id: int = Field(description="Its metric's id.")
    metric_name: str = Field(description="Its metric's name.", examples=["shop.nightly_backup"])
    scope: Scope = Field(
        description="Where it applies: to its own metric, or also to metrics of the same name with"
        " other values of labels."
    )
    duration: int = Field(description="Seconds of the window that it keeps: 86400 is 24 hours.")
    duration_string: str = Field(description="The same in words.", examples=["24 hours"])
    anomaly_id: int | None = Field(
        description="The anomaly that it was made of; null once that is deleted."
    )
    anomaly_timestamp: int | float = Field(description="When that anomaly began, unix seconds.")
    anomaly_value: float = Field(description="The value at the peak of that anomaly.")
    direction: PatternSide = Field(
        description="To which side the value left its expected range; inside for one that did not."
    )
    height: float = Field(
        description="How far from the expected range the value was at most, in the metric's unit. A"
        " deviation that is larger is never explained by the pattern."
    )
    length: int | float = Field(
        description="Seconds from the first to the last point of the deviation. One that is longer"
        " is never explained by the pattern."
    )
    growing: bool = Field(
        description="The deviation still runs: the pattern becomes longer until it has ended."
    )
    created_timestamp: int = Field(description="When it was made, unix seconds.")
    created_string: str = Field(description="The same, in the org's time zone.")
    enabled: bool = Field(description="It is used; false for one that is disabled or proposed.")
    status: PatternState = Field(
        description="active, or disabled by a person. proposed: found by the product itself, and"
        " not used before a person enables it. retired: no longer used, because nothing was like it"
        " for a long time."
    )
    status_timestamp: int = Field(description="Since when it has this status, unix seconds.")
    status_by: str = Field(description="Who or what set the status.")
    status_reason: str = Field(description="Why; may be empty.")
    origin: PatternOrigin = Field(
        description="trained by a person or with a token, learnt by the product itself, or"
        " invalidated: unexpected, because a person has called a match invalid."
    )
    layers: bool = Field(description="Always false: this server has no layers.")
    checks: int = Field(description="How many deviations were compared with it.")
    matches: int = Field(description="How many of them it explained.")
    match_rate: str = Field(description="Their share.", examples=["33%"])
    match_rate_string: str = Field(
        description="The share with the numbers.", examples=["33% (12/36)"]
    )
    last_match_timestamp: int | float | None = Field(
        description="When its last match began, unix seconds; null without any."
    )
    last_match_string: str = Field(description="The same in words.", examples=["2 days ago"])
    valid_matches: int = Field(description="How many matches people have called valid.")
    invalid_matches: int = Field(description="How many matches people have called invalid.")
    outgrown_matches: int = Field(
        description="How many matches became anomalies, because they went on beyond it."
    )
    precision: float | None = Field(
        description="The share of valid matches of those that people have judged, 0 to 1; null"
        " while nobody has judged one."
    )
    would_hide: int = Field(
        description="Of a proposed one, how many past anomalies it would have explained; they are"
        " listed at /pattern/ID/anomalies."
    )
    label: str = Field(
        description="The text that was given with it; echo for the 24 h twin of a longer pattern.",
        examples=["nightly backup"],
    )
    positive: bool = Field(
        description="It was called unexpected: what is like it is never explained by a pattern."
    )
    deletable: bool = Field(description="It can be disabled.")
    graph_url: str = Field(description="A signed link to a PNG of it; it expires.")


class OnePatternOut(Outputs):
    """One pattern."""

    pattern: PatternOut = Field(description="The pattern.")


class PatternsOut(Outputs):
    """A page of patterns."""

    patterns: list[PatternOut] = Field(description="The patterns.")
    total: int = Field(description="How many there are in all.")


class PendingPatternOut(Outputs):
    """A pattern that was requested and is not made yet."""

    id: int = Field(description="Its id among the pending ones.")
    anomaly_id: int = Field(description="The anomaly that it is to be made of.")
    metric_id: int = Field(description="Its metric's id.")
    metric_name: str = Field(description="Its metric's name.")
    duration: int = Field(description="Seconds of the window that it is to keep.")
    duration_string: str = Field(description="The same in words.", examples=["30 days"])
    label: str = Field(description="The text that was given with it.")
    requested_by: str = Field(description="Who requested it; API for a token.")
    requested_timestamp: int = Field(description="When, unix seconds.")
    ready_timestamp: int | float = Field(description="When it is made at the earliest.")
    ready_in: str = Field(description="The same in words.", examples=["in 42 minutes"])
    status: Literal["waiting", "failed"] = Field(
        description="waiting, or failed where it cannot be made."
    )
    reason: str = Field(description="What it waits for, or why it failed, in a sentence.")


class PendingOut(Outputs):
    """The patterns that are still to be made."""

    pending: list[PendingPatternOut] = Field(description="The newest request first.")
    total: int = Field(description="How many there are in all.")


def patterns_json(patterns: Sequence[Pattern]) -> list[PatternOut]:
    """Return the org's patterns as the wire has them; their metrics have to be loaded."""
    org_id, ids = subject().org.id, [pattern.id for pattern in patterns]
    known, hidden = precision_of(org_id, ids), count_would_hide(org_id, ids)
    return [
        _pattern_json(pattern, known.get(pattern.id, _NO_MATCHES), hidden.get(pattern.id, 0))
        for pattern in patterns
    ]


def _pattern_json(pattern: Pattern, known: Precision, would_hide: int) -> PatternOut:
    org = subject().org
    rate = match_rate(known.matches, max(pattern.checks, known.matches))
    last_ms = known.last_ms
    return PatternOut(
        id=pattern.id,
        parent_id=pattern.parent_id,
        group_id=pattern.group_id,
        creator_type=CreatorType(pattern.creator_type),
        creator_user_id=pattern.creator_user_id,
        creator_user_display_name=creator_in_words(pattern),
        metric_id=pattern.metric_id,
        metric_name=pattern.metric.name,
        scope=Scope(pattern.scope),
        duration=pattern.duration_seconds,
        duration_string=window_in_words(pattern.duration_seconds),
        anomaly_id=pattern.anomaly_id,
        anomaly_timestamp=timestamp_of(pattern.started_ms),
        anomaly_value=pattern.value,
        direction=direction_of(pattern),
        height=height_of(pattern),
        length=timestamp_of(pattern.last_ms - pattern.started_ms),
        growing=pattern.is_growing,
        created_timestamp=to_timestamp(pattern.created_at),
        created_string=local_string(to_ms(pattern.created_at), org.timezone),
        enabled=pattern.enabled,
        status=PatternState(pattern.state),
        status_timestamp=to_timestamp(pattern.state_at),
        status_by=pattern.state_by,
        status_reason=pattern.state_reason,
        origin=PatternOrigin(pattern.origin),
        layers=False,
        checks=max(pattern.checks, known.matches),
        matches=known.matches,
        match_rate=rate.short,
        match_rate_string=rate.long,
        last_match_timestamp=None if last_ms is None else timestamp_of(last_ms),
        last_match_string="never" if last_ms is None else ago(datetime_from_ms(last_ms), now()),
        valid_matches=known.valid,
        invalid_matches=known.invalid,
        outgrown_matches=known.outgrown,
        precision=known.precision,
        would_hide=would_hide,
        label=pattern.label,
        positive=pattern.positive,
        deletable=pattern.state in {PatternState.ACTIVE, PatternState.PROPOSED},
        graph_url=pattern_image_url(app_state().settings, org, pattern),
    )


def pending_json(trainings: Sequence[Training]) -> list[PendingPatternOut]:
    """Return pending patterns as the wire has them; their metrics have to be loaded."""
    return [
        PendingPatternOut(
            id=training.id,
            anomaly_id=training.anomaly_id,
            metric_id=training.metric_id,
            metric_name=training.metric.name,
            duration=training.duration_seconds,
            duration_string=window_in_words(training.duration_seconds),
            label=training.label,
            requested_by=training.requested_by,
            requested_timestamp=to_timestamp(training.created_at),
            ready_timestamp=to_timestamp(training.due_at),
            ready_in=until_in_words(training.due_at, now()),
            status="waiting" if training.state == PENDING else "failed",
            reason=training.last_error or "Its points are not old enough yet.",
        )
        for training in trainings
    ]
