"""How often a pattern was right: its matches, and what people said of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, select

from anomify.db import among, session
from anomify.match.model import Match, Validated


@dataclass(frozen=True, slots=True)
class Precision:
    """The quality of one pattern.

    `matches` are all that it explained, `outgrown` those of them that became anomalies after all,
    `valid` and `invalid` what people said. `last_ms` is when the last one began.
    """

    matches: int = 0
    valid: int = 0
    invalid: int = 0
    outgrown: int = 0
    last_ms: int | None = None

    @property
    def precision(self) -> float | None:
        """Return the share of the matches with a validation that are valid; None without any."""
        said = self.valid + self.invalid
        return self.valid / said if said else None


def precision_of(org_id: int, pattern_ids: Iterable[int]) -> dict[int, Precision]:
    """Return the quality of each of these patterns of the org; one without a match is missing."""
    rows = session().execute(
        select(
            Match.pattern_id,
            func.count(),
            _counted(Match.validated == Validated.VALID),
            _counted(Match.validated == Validated.INVALID),
            _counted(Match.outgrown_by_anomaly_id.is_not(None)),
            func.max(Match.started_ms),
        )
        .where(Match.org_id == org_id, among(Match.pattern_id, pattern_ids))
        .group_by(Match.pattern_id)
    )
    return {row[0]: Precision(*row[1:]) for row in rows}


def _counted(is_true: ColumnElement[bool]) -> ColumnElement[int]:
    """Return how many rows of a group meet a condition."""
    return func.sum(case((is_true, 1), else_=0))
