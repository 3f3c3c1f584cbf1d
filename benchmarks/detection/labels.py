"""Alarms of labelled series, and what a rule that learns from people's labels hides of them.

The protocol: the alarms of a series come one after the other. A rule first decides, from the labels
of earlier alarms of that series, whether an alarm is hidden. Then a person labels it: expected
where it is false, unexpected where it touches an incident. An alarm is an episode of points over
the threshold, as `protocol.count_alarms` counts them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from detection.protocol import LabelledSeries

from anomify.detection.detector import Verdicts, judge
from anomify.detection.evidence import Evidence
from anomify.detection.excursion import Excursion
from anomify.detection.state import EngineState

MINUTE_WINDOW = 60  # points up to the first alarm point that anchors compare, at one a minute
OTHER_WINDOW = 24
DAY_SECONDS = 86_400
MOST_FOLLOWED = 400  # points over the threshold after an alarm that still belong to its excursion


@dataclass(frozen=True)
class Judged:
    """A series and the verdicts on its points, a row each of those that have a value."""

    series: LabelledSeries
    rows: np.ndarray
    verdicts: Verdicts

    @property
    def alerts(self) -> np.ndarray:
        """Return the alert of every row of the series, 0 where it has no value."""
        alerts = np.zeros(len(self.series.times))
        alerts[self.rows] = self.verdicts.alerts
        return alerts


def judged(series: LabelledSeries) -> Judged:
    """Judge the points of one series by the shipped engine."""
    rows = np.flatnonzero(np.isfinite(series.values))
    slots = np.zeros(len(rows), np.int64)
    verdicts = judge(EngineState.new(1), slots, series.times[rows] * 1000, series.values[rows])
    return Judged(series, rows, verdicts)


@dataclass(frozen=True)
class Alarm:
    """One alarm of a series.

    `incidents` are those that it touches: it is false without any. `asked` is its excursion as far
    as it had run at each point over the threshold, `at_end` at its last one. Where the excursion
    lasts beyond the alarm (an alarm is counted anew each hour), `whole` is all of it. `window` are
    the points up to the first one over the threshold, for the anchors.
    """

    incidents: frozenset[int]
    asked: tuple[Excursion, ...]
    at_end: Excursion
    whole: Excursion
    window: np.ndarray
    first_alert: float

    @property
    def is_false(self) -> bool:
        """Return whether it touches no incident."""
        return not self.incidents

    @property
    def started_ms(self) -> int:
        """Return the time of its first point over the threshold."""
        return int(self.asked[0].times[-1])

    @property
    def hour(self) -> float:
        """Return the hour of the day at which it began."""
        return self.started_ms / 3_600_000 % 24

    def known_at(self, time_ms: int) -> Excursion:
        """Return its excursion as far as it had run before a later time."""
        return self.whole if self.whole.times[-1] < time_ms else self.at_end


def alarms_of(one: Judged, threshold: float) -> list[Alarm]:
    """Return the alarms of a series after probation, oldest first."""
    series, verdicts = one.series, one.verdicts
    times = series.times[one.rows]
    closing = max(3 * series.step, 300)  # seconds after which an anomaly is over
    tolerance = max(2 * series.step, 300)
    starts, ends = (series.times[series.incidents[:, place]] for place in (0, 1))
    over = np.flatnonzero((verdicts.alerts >= threshold) | (verdicts.strengths >= threshold))
    size = MINUTE_WINDOW if series.step == 60 else OTHER_WINDOW
    alarms = []
    onset, last = -1, -1
    for points in _episodes(one, threshold):
        asked = []
        for row in over[(over >= points[0]) & (over <= points[-1])].tolist():
            if last < 0 or times[row] - times[last] > closing:
                if verdicts.alerts[row] < threshold:
                    continue
                onset = peak = row
            if verdicts.alerts[row] > verdicts.alerts[peak]:
                peak = row
            last = row
            asked.append(_excursion(one, onset, row, peak))
        for row in over[over > points[-1]][:MOST_FOLLOWED].tolist():
            if times[row] - times[last] > closing:
                break
            last = row
        touched = [
            place
            for place in range(len(starts))
            if (
                (times[points] >= starts[place] - tolerance)
                & (times[points] <= ends[place] + tolerance)
            ).any()
        ]
        alarms.append(
            Alarm(
                incidents=frozenset(touched),
                asked=tuple(asked),
                at_end=asked[-1],
                whole=_excursion(one, onset, last, peak),
                window=verdicts.values[max(points[0] - size + 1, 0) : points[0] + 1],
                first_alert=float(verdicts.alerts[points[0]]),
            )
        )
    return alarms


def _episodes(one: Judged, threshold: float) -> list[np.ndarray]:
    """Return the points over the threshold of each alarm."""
    series = one.series
    times = series.times[one.rows]
    gap, longest = max(3 * series.step, 1800), max(12 * series.step, 3600)
    episodes: list[list[int]] = []
    is_alarm = (one.verdicts.alerts >= threshold) & (one.rows >= series.first_scored)
    for row in np.flatnonzero(is_alarm).tolist():
        if (
            not episodes
            or times[row] - times[episodes[-1][-1]] > gap
            or times[row] - times[episodes[-1][0]] > longest
        ):
            episodes.append([])
        episodes[-1].append(row)
    return [np.array(episode) for episode in episodes]


def _excursion(one: Judged, onset: int, last: int, peak: int) -> Excursion:
    verdicts = one.verdicts
    times = one.series.times[one.rows[: last + 1]]
    return Excursion.at(
        onset,
        one.series.step * 1000,
        times * 1000,
        verdicts.values[: last + 1],
        float(verdicts.lowers[onset]),
        float(verdicts.uppers[onset]),
        Evidence(int(verdicts.evidence[peak])),
        float(verdicts.alerts[peak]),
        int(times[onset] % DAY_SECONDS),
        int(times[onset] // DAY_SECONDS + 3) % 7,
        last_over_ms=int(times[last]) * 1000,
    )


# --- what a rule hides ---

Rule = Callable[[Alarm, Sequence[Alarm], Sequence[Alarm]], bool]
"""Decides from the alarms labelled expected and unexpected whether an alarm is hidden."""


@dataclass
class Hidden:
    """How many false alarms there were and were hidden, and the same of incidents that were found.

    An incident is hidden if every alarm that touches it is.
    """

    false_alarms: int = 0
    removed: int = 0
    incidents: int = 0
    hidden: int = 0

    @property
    def removed_share(self) -> float:
        """Return the share of false alarms that are hidden, in percent."""
        return 100.0 * self.removed / max(self.false_alarms, 1)

    @property
    def hidden_share(self) -> float:
        """Return the share of found incidents that are hidden, in percent."""
        return 100.0 * self.hidden / max(self.incidents, 1)


def hidden_by(
    rule: Rule,
    groups: Sequence[Sequence[Alarm]],
    labelled: float = 1.0,
    wrong: float = 0.0,
    seed: int = 0,
) -> Hidden:
    """Count what a rule hides where a share of the alarms is labelled, a share of these wrongly.

    `groups` are the alarms of each series.
    """
    rng = np.random.default_rng(seed)
    total = Hidden()
    for alarms in groups:
        expected: list[Alarm] = []
        unexpected: list[Alarm] = []
        found: dict[int, bool] = {}
        for alarm in alarms:
            is_hidden = bool(expected) and rule(alarm, expected, unexpected)
            for incident in alarm.incidents:
                found[incident] = found.get(incident, True) and is_hidden
            total.false_alarms += alarm.is_false
            total.removed += alarm.is_false and is_hidden
            is_labelled, is_wrong = rng.random() < labelled, rng.random() < wrong
            if is_labelled:
                (expected if alarm.is_false != is_wrong else unexpected).append(alarm)
        total.incidents += len(found)
        total.hidden += sum(found.values())
    return total


# --- the rules of the study ---


def vote_rule(alarm: Alarm, expected: Sequence[Alarm], unexpected: Sequence[Alarm]) -> bool:
    """Hide what is nearer to an expected alarm, as strong at its hour, than to unexpected ones."""
    shape = min_max(alarm.window)
    contrary = min((distance(shape, min_max(one.window)) for one in unexpected), default=np.inf)
    for one in expected:
        apart = abs(one.hour - alarm.hour)
        if alarm.first_alert <= one.first_alert + 0.5 and min(apart, 24.0 - apart) <= 2.0:
            found = distance(shape, min_max(one.window))
            if found <= 0.25 and contrary > found:
                return True
    return False


def unguarded_rule(alarm: Alarm, expected: Sequence[Alarm], _unexpected: Sequence[Alarm]) -> bool:
    """Hide what is near an expected alarm by z-normalised distance, without any guard."""
    shape = z_normalised(alarm.window)
    return any(distance(shape, z_normalised(one.window)) <= 0.9 for one in expected)


def min_max(window: np.ndarray) -> np.ndarray:
    """Return a window scaled to 0..1; all 0 where it is constant."""
    size = float(np.ptp(window))
    return (window - window.min()) / size if size > 0.0 else np.zeros(len(window))


def z_normalised(window: np.ndarray) -> np.ndarray:
    """Return a window with mean 0 and standard deviation 1; all 0 where it is constant."""
    size = float(window.std())
    return (window - window.mean()) / size if size > 0.0 else np.zeros(len(window))


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the root mean square of the differences, of the newest points that both have."""
    size = min(len(first), len(second))
    return float(np.sqrt(np.mean((first[-size:] - second[-size:]) ** 2)))
