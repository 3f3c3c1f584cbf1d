"""A match for a page: why it is no anomaly, its figures as text, its sparkline, and links."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from anomify.anomaly.charts import window_of
from anomify.auth.subject import subject, user_subject
from anomify.clock import now_ms
from anomify.dashboard.layout import local_moment
from anomify.dashboard.page_blueprint import address
from anomify.dashboard.pattern_link import name_of, pattern_url
from anomify.dashboard.sparkline import Sparkline, SparkPoint, sparkline
from anomify.dashboard.wording import Moment, value_and_expected
from anomify.edge.app_state import app_state
from anomify.match.model import Match, Validated
from anomify.match.wording import differences_of, explanation_of
from anomify.metric.model import Progress
from anomify.metric.queries import find_progress
from anomify.metric.reading import rate_of
from anomify.metric.status import duration_in_words
from anomify.series import Series

MATCH_PATH: Final = "/ui/match"
# So many of the points around a match are drawn; one that lasts for weeks has more.
POINTS_MAX: Final = 4_000


@dataclass(frozen=True, slots=True)
class MatchRow:
    """One match, formatted for a page."""

    id: int
    metric: str
    severity: str
    is_open: bool
    started: Moment
    lasted: str
    value: str
    expected: str
    why: str
    # The same without what the pattern is called: 97 % similar, as long.
    alike: str
    similarity: str
    pattern: str
    pattern_url: str
    # valid or invalid, as a person called it, or empty; and who did.
    validated: str
    validated_by: str
    outgrown: str
    # The anomaly that it became, and the one that was closed because of it.
    outgrown_url: str | None
    anomaly_url: str | None
    has_motif: bool
    spark: Sparkline | None
    url: str
    # The metric's page with the window around the match.
    chart_url: str


def match_rows(matches: Sequence[Match], *, has_sparks: bool = True) -> list[MatchRow]:
    """Return the rows of the org's matches, whose metrics and patterns are loaded.

    Sparklines need the points around each match: they are left out where none are shown.
    """
    progresses = find_progress(subject().org.id, [match.metric_id for match in matches])
    return [_row(match, progresses.get(match.metric_id), has_spark=has_sparks) for match in matches]


def match_url(match_id: int) -> str:
    """Return the address of the page of a match."""
    return f"{MATCH_PATH}/{match_id}"


def spark_of(series: Series, window: tuple[int, int], span: tuple[int, int]) -> Sparkline:
    """Return the sparkline of a series with this stretch of time shaded; all are unix ms."""
    known = series.judgements
    rows = zip(
        series.times.tolist(),
        series.values.tolist(),
        known.lowers.tolist(),
        known.uppers.tolist(),
        strict=True,
    )
    return sparkline([SparkPoint(*row) for row in rows], window, span)


def window_of_match(match: Match, progress: Progress | None) -> tuple[int, int]:
    """Return the window in which a match is shown, unix milliseconds."""
    step_ms = progress.resolution_ms if progress else None
    last_ms = now_ms() if match.is_open else match.last_ms
    return window_of(match.started_ms, last_ms, step_ms, now_ms())


def _row(match: Match, progress: Progress | None, *, has_spark: bool) -> MatchRow:
    name = match.metric.name
    value, expected = value_and_expected(match.value, match.expected_lower, match.expected_upper)
    from_ms, until_ms = window_of_match(match, progress)
    return MatchRow(
        id=match.id,
        metric=name,
        severity=match.severity,
        is_open=match.is_open,
        started=local_moment(match.started_ms),
        lasted=_lasted(match),
        value=value,
        expected=expected,
        why=explanation_of(match, user_subject().org.timezone),
        alike=", ".join((f"{match.similarity:.0f} % similar", *differences_of(match))),
        similarity=f"{match.similarity:.0f} %",
        pattern=name_of(match.pattern),
        pattern_url=pattern_url(match.pattern_id),
        validated={Validated.VALID: "valid", Validated.INVALID: "invalid"}.get(
            Validated(match.validated), ""
        ),
        validated_by=match.validated_by,
        outgrown=match.outgrown_reason or "",
        outgrown_url=_event_url(name, match.outgrown_by_anomaly_id),
        anomaly_url=_event_url(name, match.anomaly_id),
        has_motif=match.motif_index is not None and match.motif_size is not None,
        spark=_spark(match, progress, (from_ms, until_ms)) if has_spark else None,
        url=match_url(match.id),
        chart_url=address(
            "/ui/metric",
            name=name,
            **{"from": from_ms // 1000, "until": -(-until_ms // 1000)},
            match=match.id,
        ),
    )


def _spark(match: Match, progress: Progress | None, window: tuple[int, int]) -> Sparkline:
    from_ms, until_ms = window
    step_ms = max(progress.resolution_ms, 1) if progress else 60_000
    from_ms = max(from_ms, until_ms - POINTS_MAX * step_ms)
    series = app_state().points.read(match.metric_id, from_ms, until_ms)
    if progress and progress.is_counter:
        series = rate_of(series)
    last_ms = until_ms if match.is_open else match.last_ms
    return spark_of(series, (from_ms, until_ms), (match.started_ms, last_ms))


def _event_url(name: str, anomaly_id: int | None) -> str | None:
    return None if anomaly_id is None else address("/ui/metric", name=name, event=anomaly_id)


def _lasted(match: Match) -> str:
    last_ms = now_ms() if match.is_open else match.last_ms
    if last_ms <= match.started_ms:
        return "one point"
    return duration_in_words(last_ms - match.started_ms)
