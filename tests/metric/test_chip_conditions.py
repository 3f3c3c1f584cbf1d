"""Chips with labels and negations, compared with a plain reading of the labels, and with SQL."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from anomify.db import Database, session
from anomify.metric.chip import folded, holding, is_matched
from anomify.metric.folding import fold
from anomify.metric.model import Metric
from anomify.metric.name import NameRefused, canonical_name, composed_name, parse_name
from tests.factories import make_metric, make_org

VALUES = st.sampled_from(
    [
        *(
            "prod",
            "PROD",
            "production",
            "a b",
            "é",
            "ß",
            "0",
            'a"b',
            "a\\b",
            "x,env=",
            "{env=",
            "}",
        ),
        *("}", "env", "%", "_", "/", "a,b", "=", "!", "env=prod", 'x",env="prod'),
    ]
)
LABELS = st.dictionaries(st.sampled_from(["env", "ENV2", "host", "a.b", "é"]), VALUES, max_size=3)
HEADS = st.sampled_from(["cpu", "cpu.load", "a,env=prod,b", 'a,env="prod",b', "env=prod", "x{y}"])
NAMES = (
    st.builds(
        lambda head, labels: canonical_name([("__name__", head), *labels.items()]), HEADS, LABELS
    )
    .filter(lambda name: not isinstance(name, NameRefused))
    .map(str)
)
PLAIN = st.sampled_from(["cpu", "PROD", "env", "é", "load", "!", "0", "="])
CONDITIONS = st.one_of(
    PLAIN,
    st.builds(
        lambda label, operator, value: f"{label}{operator}{value}",
        st.sampled_from(["env", "host", "a.b", "é", "__name__"]),
        st.sampled_from(["=", "!="]),
        st.one_of(VALUES, HEADS).filter(lambda value: not value.startswith((",", '"'))),
    ),
)
CHIPS = st.lists(
    st.builds(lambda mark, chip: mark + chip, st.sampled_from(["", "", "!"]), CONDITIONS),
    min_size=1,
    max_size=3,
)


def fulfils(name: str, chip: str) -> bool:
    """Return whether a name fulfils a chip: as text, or by reading its labels one by one."""
    if chip.startswith("!") and chip != "!":
        return not fulfils(name, chip[1:])
    for label in ("env", "host", "a.b", "é", "__name__"):
        for operator in ("!=", "="):
            if chip.startswith(label + operator) and len(chip) > len(label + operator):
                value = chip[len(label + operator) :]
                if operator == "=" and value.startswith("="):
                    break
                labels = {fold(key): fold(found) for key, found in parse_name(name)}
                is_met = labels.get(fold(label)) == fold(value)
                if label != "__name__":
                    is_met = is_met or fold(f"{label}={value}") in fold(name)
                return is_met is (operator == "=")
    return fold(chip) in fold(name)


class TestConditions:
    @given(names=st.lists(NAMES, min_size=1, max_size=6, unique_by=composed_name), chips=CHIPS)
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_are_the_same_in_python_in_sql_and_by_reading_the_labels(
        self, names: list[str], chips: list[str], database: Database
    ) -> None:
        expected = {name for name in names if all(fulfils(name, chip) for chip in chips)}
        assert {name for name in names if is_matched(folded(chips), fold(name))} == expected
        with database.unit_of_work():
            session().execute(delete(Metric))
            org = make_org()
            for name in names:
                make_metric(org, name)
            found = session().scalars(
                select(Metric.name).where(Metric.org_id == org.id, *holding(chips))
            )
            assert set(found) == expected

    @pytest.mark.parametrize(
        ("chip", "matching"),
        [
            ("mode=idle", ['cpu{mode="idle"}']),
            ('mode="idle"', ['cpu{mode="idle"}']),
            ("mode!=idle", ["cpu", 'cpu{mode="idler"}']),
            ("!mode=idle", ["cpu", 'cpu{mode="idler"}']),
            ("!idle", ["cpu"]),
            ("mode=", ['cpu{mode="idle"}', 'cpu{mode="idler"}']),
            ("__name__=cpu", ["cpu", 'cpu{mode="idle"}', 'cpu{mode="idler"}']),
        ],
    )
    def test_read_as_people_write_them(self, chip: str, matching: list[str]) -> None:
        names = ["cpu", 'cpu{mode="idle"}', 'cpu{mode="idler"}']
        assert [each for each in names if is_matched(folded([chip]), each)] == matching
