"""The patterns of a family are prepared once for all its metrics without patterns of their own."""

import pytest

from anomify.pattern.changes import note_change
from anomify.pattern.family import family_hash
from anomify.pattern.matching import KnownPatterns
from anomify.pattern.model import Scope
from tests.factories import make_metric, make_org, make_pattern


@pytest.fixture
def names() -> list[str]:
    return [f'cpu{{host="{letter}"}}' for letter in "abcd"]


def test_metrics_without_own_patterns_share_those_of_their_family(database, names) -> None:
    with database.unit_of_work():
        org, other = make_org("Acme"), make_org("Globex")
        first, second, third, own = (make_metric(org, name) for name in names)
        of_other = make_metric(other, names[0])
        family = {"scope": Scope.FAMILY, "family_hash": family_hash(names[0])}
        make_pattern(first, **family)
        make_pattern(own)
        note_change(org.id)
        known = KnownPatterns()
        known.reload()
        found = known.of_metrics([one.id for one in (first, second, third, own, of_other)])
        assert found[second.id] is found[third.id]
        assert {metric_id: one.size for metric_id, one in found.items()} == {
            **dict.fromkeys((first.id, second.id, third.id), 1),
            own.id: 2,
        }
