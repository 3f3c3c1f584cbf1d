"""Record the verdicts on one metric: open, extend and close its anomaly or its match."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from anomify.anomaly.model import Span
from anomify.anomaly.recording import (
    close_anomaly,
    close_at_new_level,
    extend_anomaly,
    is_farther_outside,
    open_anomaly,
    open_outgrown,
)
from anomify.match.model import Match
from anomify.match.recording import (
    MatchOnset,
    close_match,
    count_checks,
    extend_match,
    note_likeness,
    open_match,
    outgrow_match,
)
from anomify.metric.queries import metric_of_any_org
from anomify.pattern.queries import hold_pattern
from anomify.pipeline.candidates import PointVerdict
from anomify.pipeline.explainer import Explainer
from anomify.pipeline.level_watch import LevelWatch, accepted_after_ms
from anomify.pipeline.verdict import Continues, Ended, Matched, Outgrown


@dataclass(frozen=True, slots=True)
class Opened:
    """An anomaly was opened, or an earlier one reopened."""

    span: Span


@dataclass(frozen=True, slots=True)
class Extended:
    """An open anomaly continues; `last_over_ms` is its last point over the threshold before."""

    span: Span
    has_risen: bool
    last_over_ms: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An anomaly was closed."""

    span: Span


@dataclass(frozen=True, slots=True)
class Explained:
    """A match was opened instead of an anomaly, or an earlier one reopened."""

    match: Match


Change = Opened | Extended | Closed | Explained


def record(
    point_verdicts: Iterable[PointVerdict],
    metric_id: int,
    span: Span | None,
    closing_ms: int,
    *,
    step_ms: int,
    match: Match | None = None,
    explainer: Explainer | None = None,
) -> Iterator[Change]:
    """Record the verdicts on one metric in order of time; yield each change once it is recorded.

    `span` is the metric's open anomaly, if it has one, and `match` its open match. An anomaly
    closes when the metric has been normal for more than `closing_ms`; one at which the value left
    its range also has to be back there, or the engine to have accepted the new level. What a
    pattern explains is a match as long as the pattern does; without `explainer` nothing is
    explained. The next verdict is recorded when the next change is asked for, so a change can be
    announced in the state in which the anomaly was then.
    """
    watch = None if span is None else _watch_of(span)
    for verdict in point_verdicts:
        if match is not None and explainer is not None:
            match explainer.follow(match, verdict):
                case Continues(is_part, matched):
                    _continue(match, verdict, matched, is_part=is_part)
                    continue
                case Outgrown(reason):
                    span, watch = _outgrow(match, verdict, reason, closing_ms)
                    match = None
                    yield Opened(span)
                    continue
                case Ended(explanation):
                    if explanation is not None and match.kind != "usual":
                        note_likeness(match, explanation)
                    close_match(match)
                    match = None
        if span is not None and _has_recovered(span, watch, verdict.time_ms, closing_ms):
            close_anomaly(span)
            yield Closed(span)
            span = watch = None
        if span is not None:
            is_out = watch is not None and watch.take(verdict, step_ms)
            is_over = _extends(span, verdict)
            if watch is not None and watch.is_aftermath(verdict):
                is_over = False
            if is_out or is_over:
                last_over_ms = span.last_over_ms
                has_risen = _extend(span, verdict, is_over=is_over)
                yield Extended(span, has_risen, last_over_ms)
            if watch is not None and is_out and watch.has_settled(verdict.time_ms, step_ms):
                _accept(span, watch, verdict.time_ms, step_ms)
                yield Closed(span)
                span = watch = None
        elif verdict.opens:
            matched = None if explainer is None else explainer.explain(verdict)
            if matched is not None and not hold_pattern(matched.pattern.id):
                matched = None
            if explainer is not None and matched is None:
                count_checks(explainer.counted_ids, None, verdict.time_ms)
            if matched is None or explainer is None:
                span = open_anomaly(metric_of_any_org(metric_id), verdict.observation(), closing_ms)
                watch = LevelWatch.at(verdict)
                if explainer is not None:
                    span.outgrown_reason = explainer.contradiction(verdict)
                yield Opened(span)
            else:
                match = _explain(metric_id, verdict, matched, explainer, closing_ms)
                yield Explained(match)
    if span is not None and watch is not None:
        span.level_watch = watch.stored


def _explain(
    metric_id: int,
    verdict: PointVerdict,
    matched: Matched,
    explainer: Explainer,
    closing_ms: int,
) -> Match:
    observation = verdict.observation()
    earlier = matched.earlier
    if earlier is None:
        left = observation.expected_lower, observation.expected_upper
        onset = MatchOnset(observation, observation.time_ms, *left)
    else:
        onset = MatchOnset(observation, earlier.started_ms, earlier.lower, earlier.upper)
    match, is_new = open_match(
        metric_of_any_org(metric_id),
        onset,
        matched.pattern.id,
        matched.explanation,
        closing_ms,
        labels=matched.labels,
    )
    if is_new:
        count_checks(explainer.counted_ids, matched.pattern.id, match.started_ms)
    return match


def _continue(
    match: Match, verdict: PointVerdict, matched: Matched | None, *, is_part: bool
) -> None:
    if matched is not None and hold_pattern(matched.pattern.id):
        match.pattern_id = matched.pattern.id
        note_likeness(match, matched.explanation, matched.labels)
    if is_part:
        extend_match(match, verdict.observation(), is_over=verdict.extends)


def _outgrow(
    match: Match, verdict: PointVerdict, reason: str, closing_ms: int
) -> tuple[Span, LevelWatch]:
    """Turn a match into an anomaly, from its first point on."""
    metric = metric_of_any_org(match.metric_id)
    left = match.onset_lower, match.onset_upper
    span = open_outgrown(metric, match, match.started_ms, left, reason, closing_ms)
    extend_anomaly(span, verdict.observation())
    outgrow_match(match, span.anomaly_id, reason)
    return span, LevelWatch.of_excursion(match.started_ms, match.value, *left)


def _watch_of(span: Span) -> LevelWatch | None:
    """Return the watch of an open anomaly, None where an older version opened it."""
    if span.level_watch is None or span.onset_lower is None or span.onset_upper is None:
        return None
    return LevelWatch.of_stored(span.onset_lower, span.onset_upper, span.level_watch)


def _has_recovered(span: Span, watch: LevelWatch | None, time_ms: int, closing_ms: int) -> bool:
    if watch is None:
        return time_ms - span.last_over_ms > closing_ms
    return watch.has_recovered(time_ms, span.last_over_ms, closing_ms)


def _extend(span: Span, verdict: PointVerdict, *, is_over: bool) -> bool:
    """Extend an anomaly to this point; return whether its severity has risen."""
    if is_over:
        return extend_anomaly(span, verdict.observation())
    span.last_over_ms = max(span.last_over_ms, verdict.time_ms)
    return False


def _accept(span: Span, watch: LevelWatch, time_ms: int, step_ms: int) -> None:
    """Close an anomaly because the engine has accepted the level of the metric."""
    level = watch.level
    has_stayed = time_ms - level.since_ms > accepted_after_ms(step_ms) / 2
    close_at_new_level(span, level.value, level.since_ms if has_stayed else None)


def _extends(span: Span, verdict: PointVerdict) -> bool:
    """Return whether an open anomaly continues at this point."""
    return verdict.extends or (
        verdict.is_outside and is_farther_outside(span, verdict.observation())
    )
