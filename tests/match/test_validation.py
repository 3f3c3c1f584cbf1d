"""What people say of matches, and what comes of it in the nights that follow."""

import pytest
from sqlalchemy.orm.attributes import set_committed_value

from anomify.db import session
from anomify.errors import Conflict
from anomify.match.model import Validated
from anomify.match.queries import get_match
from anomify.match.validation import invalidate_match, validate_match
from anomify.org.model import Org
from anomify.pattern.model import PatternOrigin, PatternState
from anomify.pattern.queries import list_patterns
from anomify.worker.analyse import Analyser
from tests.kit.nights import ALICE, JOB, KINDS, LATER, NEXT, Job, Kind, Nights, trained
from tests.kit.plant import Plant

KIND: Kind = KINDS[2]
# Higher than before, so that the engine itself has not learnt it, and within the pattern's limit.
HIGHER = Job(height=JOB.height * 1.05)


def with_invalid_match(plant: Plant) -> tuple[Nights, Analyser, int]:
    nights, analyser = trained(plant, KIND)
    nights.run(LATER, HIGHER)
    nights.judge(analyser, LATER)
    [match] = nights.matches(NEXT)
    plant.points.follow()
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        made = invalidate_match(org, get_match(org.id, match.id), plant.points, ALICE)
        assert made is not None
        assert (made.origin, made.positive) == (PatternOrigin.INVALIDATED, True)
    return nights, analyser, match.id


def test_what_is_like_one_invalid_match_is_told_the_next_time(plant: Plant) -> None:
    nights, analyser, _ = with_invalid_match(plant)
    nights.judge(analyser, LATER + 1, every=20)
    assert len(nights.anomalies(LATER)) == 1
    assert nights.matches(LATER) == []


def test_of_two_who_answer_at_once_the_second_one_sees_the_first(plant: Plant) -> None:
    _, _, match_id = with_invalid_match(plant)
    with plant.database.unit_of_work():
        found = get_match(plant.org_id, match_id)
        # As it was read before the other one had stored the answer.
        set_committed_value(found, "validated", Validated.UNSET)
        org = session().get_one(Org, plant.org_id)
        with pytest.raises(Conflict):
            invalidate_match(org, found, plant.points, ALICE)


def test_a_match_that_is_valid_after_all_is_explained_again(plant: Plant) -> None:
    nights, analyser, match_id = with_invalid_match(plant)
    with plant.database.unit_of_work():
        validate_match(get_match(plant.org_id, match_id), ALICE)
        found = list_patterns(plant.org_id, states=tuple(PatternState)).items
        states = {pattern.origin: pattern.state for pattern in found}
        assert states[PatternOrigin.INVALIDATED] == PatternState.DISABLED
    nights.judge(analyser, LATER + 1, every=20)
    assert nights.anomalies(LATER) == []
    assert len(nights.matches(LATER)) == 1
