"""Filters of a list of patterns, and the page that they select."""

from typing import Final, Literal

from pydantic import Field

from anomify.auth.subject import subject
from anomify.native.shape.pattern import PatternsOut, WindowName, patterns_json
from anomify.native.window import PageIn
from anomify.pattern.model import PatternOrigin, PatternState
from anomify.pattern.queries import list_patterns
from anomify.pattern.trainability import DURATIONS

_EVERY_STATE: Final = tuple(PatternState)
_NOT_USED: Final = tuple(state for state in PatternState if state is not PatternState.ACTIVE)


class PatternFilterIn(PageIn):
    """Which patterns, and how many of them."""

    enabled: bool = Field(
        default=True, description="Only those that are used; false for those that are not."
    )
    status: PatternState | Literal["all"] | None = Field(
        None,
        description="Instead of `enabled`: active, disabled, proposed or retired ones, or all.",
    )
    origin: PatternOrigin | None = Field(
        None, description="Only those that were trained, or that the product has learnt."
    )
    positive: bool | None = Field(
        None, description="Only those that were called unexpected, or only the others."
    )
    duration: WindowName | None = Field(
        None, description="Only those with a window of 24h, 7d or 30d."
    )

    @property
    def states(self) -> tuple[PatternState, ...]:
        """Return the states that are requested."""
        if self.status == "all":
            return _EVERY_STATE
        if self.status is not None:
            return (PatternState(self.status),)
        return (PatternState.ACTIVE,) if self.enabled else _NOT_USED


def patterns_out(inputs: PatternFilterIn, metric_id: int | None) -> PatternsOut:
    """Return the requested page of patterns, of one metric or of all."""
    page = list_patterns(
        subject().org.id,
        metric_id=metric_id,
        states=inputs.states,
        origin=inputs.origin,
        positive=inputs.positive,
        duration_seconds=DURATIONS[inputs.duration] if inputs.duration else None,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return PatternsOut(patterns=patterns_json(page.items), total=page.total)
