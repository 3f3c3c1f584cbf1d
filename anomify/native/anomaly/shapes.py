"""An anomaly as the native API describes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from pydantic import Field

from anomify.anomaly.charts import anomaly_image_url
from anomify.anomaly.model import Anomaly, Ending
from anomify.anomaly.wording import (
    amount_in_words,
    amount_of,
    explanation_of,
    seen_before_in_words,
    since_ms_of,
)
from anomify.auth.subject import subject
from anomify.clock import datetime_from_ms, now, to_timestamp
from anomify.detection.explanation import value_and_ends
from anomify.edge.app_state import app_state
from anomify.edge.contract import Outputs
from anomify.incident.queries import incident_ids_of
from anomify.metric.queries import find_progress
from anomify.native.shape.pattern import (
    PendingPatternOut,
    WindowName,
    pending_json,
)
from anomify.native.shape.points import finite
from anomify.native.window import local_string, timestamp_of
from anomify.org.time_zone import until_in_words
from anomify.pattern.figures import window_in_words
from anomify.pattern.model import Pattern, PatternOrigin, Training
from anomify.pattern.queries import patterns_by_anomaly, pending_by_anomaly
from anomify.pattern.trainability import Trainability, trainability
from anomify.pattern.training_status import (
    month_ready_ms,
    training_reason,
    training_status,
)
from anomify.triage.queries import TriageDescription, described
from anomify.triage.status import Status


class TrainingWindowOut(Outputs):
    """Whether a pattern of one length can be made of an anomaly."""

    name: WindowName = Field(description="What to send as a duration.")
    duration: int = Field(description="Its length in seconds.")
    duration_string: str = Field(description="The same in words.", examples=["24 hours"])
    trainable: bool = Field(description="It can be made now, or is made once it is ready.")
    reason: str = Field(description="Why it cannot be made; empty if it can.")
    ready_timestamp: int | float | None = Field(
        description="Until when it waits; null for one that is made at once."
    )


class TrainingOut(Outputs):
    """Whether a person can still say that an anomaly was expected, and until when."""

    trainable: bool = Field(description="/anomaly/train takes it now.")
    trainable_status: str = Field(
        description="trainable, trained, or why not: expired (it ended over 14 days ago), no_data,"
        " too_short or gaps.",
        examples=["trainable"],
    )
    reason: str = Field(description="The same in a sentence; empty if it is trainable.")
    trainable_until_timestamp: int | float = Field(description="Until when, unix seconds.")
    thirty_day_trainable_from_timestamp: int | float = Field(
        serialization_alias="30_day_trainable_from_timestamp",
        description="From when on a pattern of 30 days can be made: an hour after the event.",
    )
    thirty_day_trainable_in: str = Field(
        serialization_alias="30_day_trainable_in",
        description="The same in words.",
        examples=["in 42 minutes"],
    )
    windows: list[TrainingWindowOut] = Field(
        description="What can be made of it, by length. In lists only its age counts; of a single"
        " anomaly the stored points do, too."
    )


class AnomalyPatternOut(Outputs):
    """A pattern that was made of an anomaly, in short; /pattern/ID has all of it."""

    id: int = Field(description="Its id.")
    duration: int = Field(description="Seconds of the window that it keeps.")
    duration_string: str = Field(description="The same in words.", examples=["24 hours"])
    label: str = Field(description="The text that was given with it.")
    origin: PatternOrigin = Field(description="trained or learnt.")
    enabled: bool = Field(description="It is used.")
    positive: bool = Field(description="It was called unexpected.")


class UserStubOut(Outputs):
    """A user of the org, in short."""

    id: int = Field(description="The user's id.")
    name: str = Field(description="The user's name.")


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
    status: Status = Field(
        description="What people decided: active, acknowledged; or archived: resolved, duplicate,"
        " invalid, discarded."
    )
    archived: bool = Field(description="Nobody has to look at it any more.")
    assignees: list[UserStubOut] = Field(description="The users who are assigned to it.")
    snoozed_until_timestamp: int | None = Field(
        description="Until when it is hidden and nobody is reminded, unix seconds; null if it is"
        " not, or if its severity has risen since."
    )
    acknowledged_by: str | None = Field(description="Who acknowledged it, while it is so.")
    acknowledged_timestamp: int | None = Field(description="When that was, unix seconds.")
    duplicate_of: int | None = Field(description="The id of the anomaly that it duplicates.")
    comments_count: int = Field(description="How many comments it has.")
    ended_by: Ending | None = Field(
        description="How it ended: recovered, it is back to normal; new_level, it is not, but its"
        " new level is taken as normal; pattern, one explained it; silence, the metric stopped"
        " reporting. Null while it is open."
    )
    accepted_level: float | None = Field(
        description="The new level, where that is taken as normal; else null."
    )
    accepted_since_timestamp: int | float | None = Field(
        description="Since when the metric had been at the new level; null if it had moved about."
    )
    ended_by_silence: bool = Field(description="It ended because the metric stopped reporting.")
    incident_id: int | None = Field(
        description="The incident that it belongs to; null where it was found too late to be told."
    )
    muted: bool = Field(description="Nobody was notified, because the org was muted.")
    expected: bool | None = Field(
        description="What people said of it: true is expected, false is unexpected, null nothing."
    )
    positive: bool = Field(description="People said that it was unexpected.")
    label: str = Field(description="The text that was given with that; may be empty.")
    labelled_timestamp: int | None = Field(description="When they said so, unix seconds.")
    labelled_by: str | None = Field(description="Who said so; API for a token.")
    ended_by_pattern_id: int | None = Field(
        description="The pattern that explained it while it ran, and so ended it; else null."
    )
    outgrown_reason: str | None = Field(
        description="Where a pattern explained its beginning: in which way it went beyond that."
        " Where one would explain it: that it is also like what was marked as unexpected.",
        examples=["Like the nightly backup that was called expected, but twice as long."],
    )
    training: TrainingOut = Field(description="Whether it can be trained, and until when.")
    patterns: list[AnomalyPatternOut] = Field(description="The patterns that were made of it.")
    pending_patterns: list[PendingPatternOut] = Field(
        description="The patterns that are still to be made of it."
    )


class OneAnomalyOut(Outputs):
    """One anomaly and a picture of it."""

    anomaly: AnomalyOut = Field(description="The anomaly.")
    anomaly_graph_url: str = Field(description="A signed link to a PNG; it expires.")


class AnomaliesOut(Outputs):
    """A page of anomalies."""

    anomalies: list[AnomalyOut] = Field(description="The anomalies.")
    total: int = Field(description="How many there are in all.")


def anomalies_json(found: Sequence[Anomaly]) -> list[AnomalyOut]:
    """Return the org's anomalies as lists have them: whether points suffice is not looked up."""
    learnt = _Learnt.of(found)
    return [_anomaly_json(anomaly, trainability(anomaly), learnt) for anomaly in found]


def one_anomaly_json(found: Anomaly) -> OneAnomalyOut:
    """Return an anomaly and a link to its picture as the wire has them."""
    org_id, metric_id = subject().org.id, found.span.metric_id
    progress = find_progress(org_id, [metric_id]).get(metric_id)
    able = trainability(found, progress, app_state().points)
    shown = _anomaly_json(found, able, _Learnt.of([found]))
    graph_url = anomaly_image_url(app_state().settings, subject().org, found)
    return OneAnomalyOut(anomaly=shown, anomaly_graph_url=graph_url)


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What was made of some anomalies, their triage and their incidents, by their ids."""

    patterns: dict[int, list[Pattern]]
    pending: dict[int, list[Training]]
    triage: dict[int, TriageDescription]
    incidents: dict[int, int]

    @classmethod
    def of(cls, anomalies: Sequence[Anomaly]) -> Self:
        """Look it up for all of these anomalies at once."""
        org_id, ids = subject().org.id, [anomaly.id for anomaly in anomalies]
        return cls(
            patterns_by_anomaly(org_id, ids),
            pending_by_anomaly(org_id, ids),
            described(ids),
            incident_ids_of(ids),
        )


def _anomaly_json(found: Anomaly, able: Trainability, learnt: _Learnt) -> AnomalyOut:
    span = found.span
    lower, upper = finite(span.expected_lower), finite(span.expected_upper)
    triage = learnt.triage[found.id]
    state = triage.state
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
        status=state.status,
        archived=state.status.is_archived,
        assignees=[UserStubOut(id=user_id, name=name) for user_id, name in triage.assignees],
        snoozed_until_timestamp=_seconds(state.snoozed_until),
        acknowledged_by=state.acknowledged_by,
        acknowledged_timestamp=_seconds(state.acknowledged_at),
        duplicate_of=state.duplicate_of,
        comments_count=triage.comments,
        ended_by=span.ending,
        accepted_level=span.accepted_level,
        accepted_since_timestamp=(
            None if span.accepted_since_ms is None else timestamp_of(span.accepted_since_ms)
        ),
        ended_by_silence=span.ended_by_silence,
        incident_id=learnt.incidents.get(found.id),
        muted=found.muted_at is not None,
        expected=found.expected,
        positive=found.expected is False,
        label=found.label or "",
        labelled_timestamp=_seconds(found.labelled_at),
        labelled_by=found.labelled_by,
        ended_by_pattern_id=span.ended_by_pattern_id,
        outgrown_reason=span.outgrown_reason,
        training=_training_json(found, able),
        patterns=[_made_json(pattern) for pattern in learnt.patterns.get(found.id, ())],
        pending_patterns=pending_json(learnt.pending.get(found.id, ())),
    )


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else to_timestamp(moment)


def _training_json(found: Anomaly, able: Trainability) -> TrainingOut:
    month_ms = month_ready_ms(able)
    return TrainingOut(
        trainable=able.is_trainable and found.expected is None,
        trainable_status=training_status(found, able),
        reason=training_reason(found, able),
        trainable_until_timestamp=timestamp_of(able.until_ms),
        thirty_day_trainable_from_timestamp=timestamp_of(month_ms),
        thirty_day_trainable_in=until_in_words(datetime_from_ms(month_ms), now()),
        windows=[
            TrainingWindowOut(
                name=WindowName(window.name),
                duration=window.duration_seconds,
                duration_string=window_in_words(window.duration_seconds),
                trainable=window.refusal is None,
                reason=window.reason or "",
                ready_timestamp=None if window.ready_ms is None else timestamp_of(window.ready_ms),
            )
            for window in able.windows
        ],
    )


def _made_json(pattern: Pattern) -> AnomalyPatternOut:
    return AnomalyPatternOut(
        id=pattern.id,
        duration=pattern.duration_seconds,
        duration_string=window_in_words(pattern.duration_seconds),
        label=pattern.label,
        origin=PatternOrigin(pattern.origin),
        enabled=pattern.enabled,
        positive=pattern.positive,
    )
