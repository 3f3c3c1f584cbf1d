"""The results of screening a candidate, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Excluded:
    """The metric is excluded by the rule with the id `by`: nothing is recorded."""

    by: int


@dataclass(frozen=True, slots=True)
class Anomalous:
    """Nothing explains the candidate: it is recorded and announced."""


ScreenResult = Excluded | Anomalous
