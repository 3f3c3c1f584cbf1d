"""The patterns that may explain the excursions of one metric, and what they explain. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from anomify.detection.excursion import Excursion
from anomify.detection.mismatch import Mismatch, MismatchReason
from anomify.detection.pattern_limits import ALERT_SLACK, MINUTES_APART
from anomify.detection.pattern_match import Explanation, Patterns, minutes_apart
from anomify.pattern.alignment import TOLERANCE_MS, list_earlier_onsets, longest_ms
from anomify.pattern.points import without_earlier
from anomify.pattern.veto import Veto, are_same
from anomify.pattern.wording import NamedPattern
from anomify.series import Float64s, Int64s

_EXCEEDS: Final = (MismatchReason.LARGER, MismatchReason.LONGER)


@dataclass(frozen=True, slots=True)
class UsablePattern:
    """A pattern with its excursion and what is stated of it in sentences."""

    id: int
    excursion: Excursion
    name: NamedPattern
    is_growing: bool
    # Since when it is used.
    used_since: datetime
    # The product has found it, and no person has accepted it.
    is_found: bool = False


class PatternsInReach:
    """The patterns that may explain the excursions of one metric; immutable."""

    def __init__(
        self,
        expected: Sequence[UsablePattern],
        unexpected: Sequence[UsablePattern],
        zone: ZoneInfo,
        invalid_ids: Collection[int] = (),
        prepared: Patterns | None = None,
    ) -> None:
        """Prepare the patterns for the engine; times of day are those of the zone.

        `invalid_ids` are those of the unexpected excursions that were matches called invalid, and
        `prepared` are the patterns for the engine, where they are prepared already.
        """
        self.expected = tuple(expected)
        self._unexpected = tuple(unexpected)
        self.zone = zone
        self._places = {pattern.id: place for place, pattern in enumerate(self.expected)}
        if prepared is None:
            prepared = Patterns(
                [pattern.excursion for pattern in self.expected],
                [pattern.excursion for pattern in self._unexpected],
            )
        self._patterns = prepared
        self._each: dict[int, Patterns] = {}
        self._vetoes = {
            pattern.id: Veto(pattern.id, pattern.excursion, pattern.id in invalid_ids)
            for pattern in self._unexpected
        }
        self._without: dict[frozenset[int], Patterns] = {}
        self._told_apart: dict[tuple[int, int], MismatchReason | None] = {}
        self.size = len(self.expected) + len(unexpected)

    @cached_property
    def without_unexpected(self) -> "PatternsInReach":
        """Return the expected patterns alone: what they explain if nothing contradicts."""
        if not self._unexpected:
            return self
        alone = self._patterns.with_unexpected(())
        return PatternsInReach(self.expected, (), self.zone, prepared=alone)

    @cached_property
    def _as_if_expected(self) -> "PatternsInReach":
        """Return the unexpected patterns alone, as if they were expected."""
        return PatternsInReach(self._unexpected, (), self.zone)

    def explain(self, current: Excursion) -> tuple[UsablePattern, Explanation] | None:
        """Return the nearest pattern that explains an excursion; None where none does."""
        current = without_earlier(current)
        found = self._find(current)
        if found is None or self._is_vetoed(found, current):
            return None
        return self.expected[found.index], found

    def explain_late(
        self, found: Excursion, times: Int64s, values: Float64s, after_ms: int
    ) -> tuple[UsablePattern, Explanation, Excursion] | None:
        """Return what explains an excursion that began before it was found, and that excursion.

        `times` and `values` are the points up to its first point, and `looked_back_ms` before it.
        """
        excursions = [pattern.excursion for pattern in self.expected]
        for place, earlier in list_earlier_onsets(
            excursions, found, times, values, self.zone, after_ms
        ):
            current = without_earlier(earlier)
            # One pattern is compared faster than all of them; most onsets are none.
            if self._alone(place).mismatch(0, current) is not None:
                continue
            explanation = self._find(current)
            if (
                explanation is not None
                and explanation.kind != "usual"
                and not self._is_vetoed(explanation, current)
            ):
                return self.expected[explanation.index], explanation, current
        return None

    def is_late_unexpected(
        self, found: Excursion, times: Int64s, values: Float64s, after_ms: int
    ) -> bool:
        """Return whether what was found is the rest of an excursion like an unexpected one.

        The arguments are those of `explain_late`.
        """
        if not self._unexpected:
            return False
        late = self._as_if_expected.explain_late(found, times, values, after_ms)
        return late is not None and self._vetoes[late[0].id].is_against(late[2])

    def count_as_strong(self, alert: float) -> int:
        """Return how many patterns that people made are as strong as an alert, or stronger."""
        return sum(
            pattern.excursion.alert >= alert - ALERT_SLACK
            for pattern in self.expected
            if not pattern.is_found
        )

    def looked_back_ms(self, after_ms: int) -> int:
        """Return how long before a point an excursion that it belongs to may have begun."""
        each = (*self.expected, *self._unexpected)
        lengths = (longest_ms(pattern.excursion, after_ms) for pattern in each)
        return max(lengths, default=0) + 2 * TOLERANCE_MS

    def _find(self, current: Excursion) -> Explanation | None:
        found = self._patterns.explain(current)
        return self._find_apart(current) if found is None and self._unexpected else found

    def _find_apart(self, current: Excursion) -> Explanation | None:
        """Return the pattern that explains an excursion by shape, where size and length decide.

        The job that has once run for twice as long begins as it does every night: an unexpected
        excursion at the time of the pattern that differs in size or length is not nearer by shape.
        """
        found = self.without_unexpected._patterns.explain(current)  # noqa: SLF001 -- its own class
        if found is None or found.kind != "shape":
            return None
        left_out = frozenset(
            veto.pattern_id
            for veto in self._vetoes.values()
            if self._is_apart(veto, found.index, current)
        )
        if not left_out:
            return None
        if left_out not in self._without:
            others = [one.excursion for one in self._unexpected if one.id not in left_out]
            self._without = {left_out: self._patterns.with_unexpected(others)}
        return self._without[left_out].explain(current)

    def _is_apart(self, veto: Veto, place: int, current: Excursion) -> bool:
        """Return whether an unexpected excursion differs from that pattern in size or length.

        So does, in effect, an invalid match whose like was trained as expected later.
        """
        usual, unexpected = self.expected[place].excursion, veto.excursion
        if minutes_apart(usual.local_seconds, unexpected.local_seconds) > MINUTES_APART:
            return False
        reason = self._differs_by(veto, place)
        if reason is not None:
            return reason in _EXCEEDS
        is_outdated = veto.is_of_match and veto.pattern_id < self.expected[place].id
        return is_outdated or not veto.is_against(current)

    def _differs_by(self, veto: Veto, place: int) -> MismatchReason | None:
        """Return why a pattern does not explain an unexpected excursion; None if it would."""
        key = veto.pattern_id, place
        if key not in self._told_apart:
            pattern_id = self.expected[place].id
            mismatch = self.without_unexpected.mismatch(pattern_id, veto.excursion)
            self._told_apart[key] = None if mismatch is None else mismatch.reason
        return self._told_apart[key]

    def _is_vetoed(self, found: Explanation, current: Excursion) -> bool:
        """Return whether what is like this was called unexpected, so that it is told."""
        return any(
            veto.is_against(current) and self._counts(veto, found.index, current)
            for veto in self._vetoes.values()
        )

    def _counts(self, veto: Veto, place: int, current: Excursion) -> bool:
        """Return whether an unexpected excursion contradicts that pattern; see `veto`."""
        pattern = self.expected[place]
        if veto.is_of_match:
            return veto.pattern_id > pattern.id
        if are_same(pattern.excursion, current):
            return False
        reason = self._differs_by(veto, place)
        if reason is MismatchReason.LARGER:
            return veto.is_nearer(current, pattern.excursion)
        return reason is None

    def _alone(self, place: int) -> Patterns:
        if place not in self._each:
            self._each[place] = Patterns([self.expected[place].excursion])
        return self._each[place]

    def find(self, pattern_id: int) -> UsablePattern | None:
        """Return one of the patterns; None where it is not in reach any more."""
        place = self._places.get(pattern_id)
        return None if place is None else self.expected[place]

    def mismatch(self, pattern_id: int, current: Excursion) -> Mismatch | None:
        """Return why a pattern does not explain an excursion any more; None if it does.

        The excursion that a growing pattern was trained from may become longer.
        """
        current = without_earlier(current)
        pattern = self.expected[self._places[pattern_id]]
        found = self._patterns.mismatch(self._places[pattern_id], current)
        if found is not None and found.reason is MismatchReason.LIKE_UNEXPECTED:
            found = None if self._find_apart(current) is not None else found
        if found is None and self._unexpected:
            explanation = self._find(current)
            if explanation is not None and self._is_vetoed(explanation, current):
                return Mismatch(MismatchReason.LIKE_UNEXPECTED, 1.0, 0.0)
        if found is None or found.reason is not MismatchReason.LONGER:
            return found
        is_own = pattern.is_growing and pattern.excursion.started_ms == current.started_ms
        return None if is_own else found

    def compare(self, pattern_id: int, current: Excursion) -> Explanation | None:
        """Return how like one pattern an excursion is; None where that does not explain it."""
        pattern = self.find(pattern_id)
        return (
            None
            if pattern is None
            else self._alone(self._places[pattern_id]).explain(without_earlier(current))
        )
