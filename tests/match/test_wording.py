"""Matches in words."""

import pytest

from anomify.match.queries import get_match
from anomify.match.wording import explanation_of
from tests.factories import make_match, make_metric, make_org, make_pattern


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"kind": "shape"},
            "Like “Nightly job”, marked as expected by Alice: 93 % similar, 5 % less far outside",
        ),
        (
            {"kind": "usual", "labels": 1},
            "Deviations as strong as this one were called expected once, most like it “Nightly",
        ),
        (
            {"kind": "usual", "labels": 4},
            "Deviations as strong as this one were called expected 4 times,",
        ),
    ],
    ids=["alike", "usual once", "usual often"],
)
def test_states_in_what_it_is_like_its_pattern(unit, more, expected) -> None:
    org = make_org()
    made = make_match(make_pattern(make_metric(org)), **more)
    unit.expunge_all()
    match = get_match(org.id, made.id)
    assert explanation_of(match, "UTC").startswith(expected)
