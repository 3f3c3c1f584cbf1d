"""A pattern for a page: the patterns of one training as one row with the figures of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from anomify.auth.subject import subject
from anomify.clock import to_ms
from anomify.dashboard.layout import local_moment
from anomify.dashboard.match_row import spark_of
from anomify.dashboard.page_blueprint import address
from anomify.dashboard.pattern_link import name_of, pattern_url
from anomify.dashboard.sparkline import Sparkline
from anomify.dashboard.wording import Moment, value_and_expected, within_sentence
from anomify.match.precision import Precision, precision_of
from anomify.metric.status import duration_in_words
from anomify.pattern.figures import creator_in_words, window_in_words
from anomify.pattern.groups import group_of, members_of
from anomify.pattern.model import CreatorType, Pattern, PatternState, Scope
from anomify.pattern.queries import get_series
from anomify.series import Judgements, Series
from anomify.storage.codec import decode_series

STATES_IN_WORDS: Final = {
    PatternState.ACTIVE: "In use",
    PatternState.PROPOSED: "Proposed",
    PatternState.DISABLED: "Disabled",
    PatternState.RETIRED: "Retired",
}


@dataclass(frozen=True, slots=True)
class PatternRow:
    """The patterns of one training, formatted for a page."""

    id: int
    name: str
    metric: str
    is_unexpected: bool
    is_machine: bool
    is_growing: bool
    is_family: bool
    by: str
    made: Moment
    # What happened: when, how long, up to which value.
    began: Moment
    lasted: str
    value: str
    expected: str
    # Such as: 24 hours and 7 days.
    windows: str
    matches: int
    outgrown: int
    valid: int
    invalid: int
    # The share of valid matches among those that people judged; empty while there are none.
    precision: str
    last_match: Moment | None
    state: PatternState
    state_words: str
    state_by: str
    state_at: Moment
    state_reason: str
    spark: Sparkline
    url: str
    metric_url: str
    # The metric's page with the pattern drawn where it was.
    chart_url: str

    @property
    def is_used(self) -> bool:
        """Return whether any of them is in use."""
        return self.state == PatternState.ACTIVE


def pattern_rows(patterns: Sequence[Pattern]) -> list[PatternRow]:
    """Return a row for the training of each of these patterns, whose metrics are loaded."""
    org_id = subject().org.id
    groups = members_of(org_id, patterns)
    known = precision_of(org_id, [one.id for members in groups.values() for one in members])
    rows = []
    for pattern in patterns:
        members = groups.get(group_of(pattern), [pattern])
        figures = [known[one.id] for one in members if one.id in known]
        rows.append(_row(pattern, members, figures))
    return rows


def _row(pattern: Pattern, members: Sequence[Pattern], figures: Sequence[Precision]) -> PatternRow:
    # One of several windows may be disabled by itself: the training is in use with the others.
    shown = next((one for one in members if one.state == PatternState.ACTIVE), pattern)
    total = _sum(figures)
    name = pattern.metric.name
    value, expected = value_and_expected(
        pattern.value, pattern.expected_lower, pattern.expected_upper
    )
    window = window_of_excursion(pattern)
    return PatternRow(
        id=pattern.id,
        name=name_of(members[0] if members else pattern),
        metric=name,
        is_unexpected=pattern.positive,
        is_machine=pattern.creator_type == CreatorType.MACHINE,
        is_growing=any(one.is_growing for one in members),
        is_family=pattern.scope == Scope.FAMILY,
        by=creator_in_words(pattern),
        made=within_sentence(local_moment(to_ms(pattern.created_at))),
        began=local_moment(pattern.started_ms),
        lasted=_lasted(pattern),
        value=value,
        expected=expected,
        windows=_windows(members),
        matches=total.matches,
        outgrown=total.outgrown,
        valid=total.valid,
        invalid=total.invalid,
        precision="" if total.precision is None else f"{100 * total.precision:.0f} %",
        last_match=None if total.last_ms is None else within_sentence(local_moment(total.last_ms)),
        state=PatternState(shown.state),
        state_words=STATES_IN_WORDS[PatternState(shown.state)],
        state_by=shown.state_by,
        state_at=within_sentence(local_moment(to_ms(shown.state_at))),
        state_reason=shown.state_reason,
        spark=_spark(pattern),
        url=pattern_url(pattern.id),
        metric_url=address("/ui/metric", name=name),
        chart_url=address(
            "/ui/metric",
            name=name,
            **{"from": window[0] // 1000, "until": -(-window[1] // 1000)},
            pattern=pattern.id,
        ),
    )


def window_of_excursion(pattern: Pattern) -> tuple[int, int]:
    """Return the window in which the excursion of a pattern is shown, unix milliseconds."""
    length = max(pattern.last_ms - pattern.started_ms, pattern.step_ms)
    before = max(60 * pattern.step_ms, length)
    return max(pattern.started_ms - before, 0), pattern.last_ms + max(length // 3, pattern.step_ms)


def _spark(pattern: Pattern) -> Sparkline:
    points = decode_series(get_series(pattern).excursion_points)
    judged = Series(points.times, points.values, Judgements.none(len(points)))
    times = points.times
    first = int(times[0]) if len(times) else pattern.started_ms
    last = int(times[-1]) if len(times) else pattern.last_ms
    return spark_of(
        judged, (first, max(last, pattern.last_ms)), (pattern.started_ms, pattern.last_ms)
    )


def _sum(figures: Sequence[Precision]) -> Precision:
    return Precision(
        matches=sum(one.matches for one in figures),
        valid=sum(one.valid for one in figures),
        invalid=sum(one.invalid for one in figures),
        outgrown=sum(one.outgrown for one in figures),
        last_ms=max((one.last_ms for one in figures if one.last_ms is not None), default=None),
    )


def _windows(members: Sequence[Pattern]) -> str:
    lengths = sorted({one.duration_seconds for one in members})
    *others, last = (window_in_words(seconds) for seconds in lengths)
    return f"{', '.join(others)} and {last}" if others else last


def _lasted(pattern: Pattern) -> str:
    if pattern.last_ms <= pattern.started_ms:
        return "one point"
    return duration_in_words(pattern.last_ms - pattern.started_ms)
