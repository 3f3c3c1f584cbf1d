"""The results of screening a candidate, and of following an explained excursion, as values."""

from dataclasses import dataclass

from anomify.detection.excursion import Excursion
from anomify.detection.pattern_match import Explanation
from anomify.pattern.in_reach import UsablePattern


@dataclass(frozen=True, slots=True)
class Excluded:
    """The metric is excluded by the rule with the id `by`: nothing is recorded."""

    by: int


@dataclass(frozen=True, slots=True)
class Anomalous:
    """No rule excludes the candidate: what patterns do not explain is recorded and announced."""


ScreenResult = Excluded | Anomalous


@dataclass(frozen=True, slots=True)
class Matched:
    """A pattern explains an excursion: a match is recorded instead of an anomaly.

    `earlier` is the excursion where that began before the point at which it was found, and `labels`
    how many as strong were called expected, where it is usual for that.
    """

    pattern: UsablePattern
    explanation: Explanation
    earlier: Excursion | None = None
    labels: int | None = None


@dataclass(frozen=True, slots=True)
class Continues:
    """An explained excursion runs on; `is_part` is whether this point is one of it.

    `matched` is the pattern that explains it now where that is another one.
    """

    is_part: bool
    matched: Matched | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """An explained excursion had ended before this point; `explanation` compares it as a whole."""

    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Outgrown:
    """No pattern explains the excursion any more, for this reason: it is an anomaly."""

    reason: str


Followed = Continues | Ended | Outgrown
