"""What people say of matches: a pattern was right to explain it, or was not."""

from zoneinfo import ZoneInfo

from sqlalchemy import select

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict
from anomify.match.model import Match, Validated
from anomify.metric.model import Progress
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.pattern.lineage import set_state
from anomify.pattern.made_patterns import READ_AFTER_MS, PatternFields, Trainer, make_patterns
from anomify.pattern.model import MACHINE, CreatorType, Pattern, PatternOrigin, PatternState, Scope
from anomify.pattern.points import Onset, context_ms, evidence_of, excursion_in, judged_series
from anomify.pattern.trainability import DAY_SECONDS


def validate_match(match: Match, trainer: Trainer) -> None:
    """Store that the pattern was right. Raises Conflict where that is said already.

    The unexpected pattern of a match that was called invalid before is not used any longer.
    """
    _set(match, Validated.VALID, trainer, "match.validate")
    made = session().scalars(
        select(Pattern).where(
            Pattern.metric_id == match.metric_id,
            Pattern.started_ms == match.started_ms,
            Pattern.origin == PatternOrigin.INVALIDATED,
            Pattern.state == PatternState.ACTIVE,
        )
    )
    for pattern in made:
        set_state(
            pattern,
            PatternState.DISABLED,
            by=trainer.name,
            at=now(),
            reason="The match was called valid after all.",
        )


def invalidate_match(
    org: Org, match: Match, points: PointStore, trainer: Trainer
) -> Pattern | None:
    """Store that the match should have been an anomaly, so that its like is not explained again.

    Returns the pattern of its excursion that is marked as unexpected; None where its points are
    not stored any more. A pattern that the product has found by itself is not used any longer.
    Pattern and metric of the match must be loaded. Raises Conflict where that is said already.
    """
    _set(match, Validated.INVALID, trainer, "match.invalidate")
    pattern = match.pattern
    if pattern.creator_type == CreatorType.MACHINE and pattern.state == PatternState.ACTIVE:
        set_state(
            pattern,
            PatternState.DISABLED,
            by=MACHINE,
            at=now(),
            reason="A person called a match invalid.",
        )
    progress = session().get(Progress, match.metric_id)
    if progress is None:
        return None
    from_ms = match.started_ms - max(DAY_SECONDS * 1000, context_ms(progress.resolution_ms))
    series = judged_series(
        points.read(match.metric_id, from_ms, match.last_ms + READ_AFTER_MS),
        is_counter=progress.is_counter,
    )
    onset = Onset(
        match.started_ms,
        match.onset_lower,
        match.onset_upper,
        evidence_of(match.evidence),
        match.alert,
        match.last_ms,
    )
    excursion = excursion_in(series, onset, progress.resolution_ms, ZoneInfo(org.timezone))
    if excursion is None:
        return None
    fields = PatternFields(
        org_id=org.id,
        metric=match.metric,
        anomaly_id=None,
        positive=True,
        label="",
        scope=Scope.METRIC,
        trainer=trainer,
        origin=PatternOrigin.INVALIDATED,
    )
    return make_patterns(fields, excursion, series, [DAY_SECONDS])[0]


def _set(match: Match, validated: Validated, trainer: Trainer, action: str) -> None:
    # Two people who answer at once are told apart: the second one sees what the first one said.
    session().refresh(match, ["validated"], with_for_update=True)
    if match.validated == validated:
        raise Conflict("That is said of this match already.", code="already_validated")
    before = Validated(match.validated)
    match.validated = validated
    match.validated_by = trainer.name
    match.validated_at = now()
    record_audit(
        match.org_id,
        actor=trainer.name,
        action=action,
        target=match.metric.name,
        before={"validated": before.name.lower()},
        after={"match": match.id, "pattern": match.pattern_id, "validated": validated.name.lower()},
    )
