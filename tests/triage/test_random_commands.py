"""Random commands by several users leave what a small model of triage says they leave."""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from anomify.anomaly.queries import get_anomaly
from anomify.audit.model import AuditEntry
from anomify.clock import now, to_timestamp
from anomify.db import Database, session
from anomify.errors import AnomifyError
from anomify.triage.actor import Actor
from anomify.triage.change import Snooze, TriageChange, change_anomalies
from anomify.triage.history import list_history
from anomify.triage.queries import states_of
from anomify.triage.status import Status
from anomify.triage.undo import undo_latest
from tests.factories import make_anomaly, make_metric, make_org, make_user

ANOMALIES = range(3)
USERS = range(3)
STATUSES = list(Status)

which = st.lists(st.sampled_from(ANOMALIES), min_size=1, max_size=3, unique=True)
who = st.sampled_from(USERS)
some_users = st.lists(st.sampled_from(USERS), max_size=3)
changes = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(STATUSES),
        "duplicate_of": st.sampled_from(ANOMALIES),
        "snooze": st.sampled_from([None, 1, 5]),
        "assignees": some_users,
        "assign": some_users,
        "unassign": some_users,
        "comment": st.sampled_from(["Looking at it.", " "]),
    },
)
commands = st.lists(
    st.one_of(
        st.tuples(st.just("change"), who, which, changes),
        st.tuples(st.just("change"), who, which, changes),
        st.tuples(st.just("undo"), who, which, st.none()),
    ),
    max_size=12,
)


class Refused(Exception):
    """The model refuses a command."""


@dataclass
class Entry:
    """A change of one anomaly, as the model keeps it."""

    by: int
    changeset: dict
    is_undo: bool = False
    is_undone: bool = False


@dataclass
class Modelled:
    """What the model keeps of one anomaly."""

    values: dict = field(
        default_factory=lambda: {
            "status": "active",
            "duplicate_of": None,
            "snoozed": None,
            "assignees": [],
            "comments": [],
        }
    )
    entries: list[Entry] = field(default_factory=list)


class Model:
    """Triage in memory."""

    def __init__(self):
        self.anomalies = {number: Modelled() for number in ANOMALIES}
        self.comments = 0

    def change(self, by, numbers, change):
        after = {}
        for number in numbers:
            values = deepcopy(self.anomalies[number].values)
            self._apply(values, number, change)
            after[number] = values
        if "duplicate_of" in change:
            self._refuse_circles(numbers, after)
        for number in numbers:
            if "comment" in change:
                self.comments += 1
                after[number]["comments"].append(self.comments)
            self._store(by, number, after[number])

    def _apply(self, values, number, change):
        status = change.get("status")
        if "duplicate_of" in change and (
            status is not Status.DUPLICATE or change["duplicate_of"] == number
        ):
            raise Refused
        if not change.get("comment", "text").strip():
            raise Refused
        if status is not None and status.value != values["status"]:
            values["status"] = status.value
            if status is not Status.DUPLICATE:
                values["duplicate_of"] = None
            if status.is_archived:
                values["snoozed"] = None
        if "duplicate_of" in change:
            values["duplicate_of"] = change["duplicate_of"]
        if "snooze" in change:
            if change["snooze"] and Status(values["status"]).is_archived:
                raise Refused
            values["snoozed"] = change["snooze"]
        assigned = set(change.get("assignees", values["assignees"]))
        assigned = (assigned | set(change.get("assign", ()))) - set(change.get("unassign", ()))
        values["assignees"] = sorted(assigned)

    def _refuse_circles(self, numbers, after):
        for start in numbers:
            seen, number = {start}, start
            while True:
                values = after.get(number) or self.anomalies[number].values
                number = values["duplicate_of"]
                if number is None:
                    break
                if number in seen:
                    raise Refused
                seen.add(number)

    def _store(self, by, number, after, *, is_undo=False):
        before = self.anomalies[number].values
        changeset = {
            name: (before[name], after[name]) for name in after if before[name] != after[name]
        }
        if changeset:
            self.anomalies[number].values = after
            self.anomalies[number].entries.append(Entry(by, changeset, is_undo))

    def undo(self, by, numbers):
        undone = {}
        for number in numbers:
            modelled = self.anomalies[number]
            own = [one for one in modelled.entries if one.by == by and not one.is_undo]
            open_ones = [one for one in own if not one.is_undone]
            if not open_ones:
                raise Refused
            for name, (before, after) in open_ones[-1].changeset.items():
                present = modelled.values[name]
                if name == "comments":
                    if set(after) - set(before) - set(present):
                        raise Refused
                elif present != after:
                    raise Refused
            undone[number] = open_ones[-1]
        for number, entry in undone.items():
            values = deepcopy(self.anomalies[number].values)
            for name, (before, after) in entry.changeset.items():
                if name == "comments":
                    gone = set(after) - set(before)
                    values[name] = [one for one in values[name] if one not in gone]
                else:
                    values[name] = before
            entry.is_undone = True
            self._store(by, number, values, is_undo=True)


class World:
    """The same commands on the database."""

    def __init__(self):
        self.org = make_org()
        self.users = [make_user(self.org, name) for name in ("Alice", "Bob", "Dave")]
        metric = make_metric(self.org)
        self.anomalies = [
            make_anomaly(metric, now() - timedelta(hours=number + 1)) for number in ANOMALIES
        ]
        self.ids = [anomaly.id for anomaly in self.anomalies]
        noon = now().replace(microsecond=0)
        self.until = {None: None, 1: noon + timedelta(hours=1), 5: noon + timedelta(hours=5)}

    def actor(self, number):
        return Actor(self.users[number].name, self.users[number].id)

    def change(self, by, numbers, change):
        sent = dict(change)
        if "duplicate_of" in sent:
            sent["duplicate_of"] = self.ids[sent["duplicate_of"]]
        if "snooze" in sent:
            sent["snooze"] = Snooze(self.until[sent["snooze"]])
        for name in ("assignees", "assign", "unassign"):
            if name in sent:
                sent[name] = [self.users[number].id for number in sent[name]]
        wanted = {self.ids[number]: TriageChange(**sent) for number in numbers}
        change_anomalies(self.org, wanted, self.actor(by), "https://anomify.example")

    def undo(self, by, numbers):
        undo_latest(self.org, [self.ids[number] for number in numbers], self.actor(by))

    def check(self, model):
        session().flush()
        session().expire_all()
        states = states_of(self.ids)
        entries = 0
        for number, anomaly_id in enumerate(self.ids):
            expected = model.anomalies[number].values
            state = states[anomaly_id]
            assert state.status == expected["status"]
            assert state.duplicate_of == self._id(expected["duplicate_of"])
            assert state.snoozed_until == self.until[expected["snoozed"]]
            assert list(state.assignees) == [self.users[user].id for user in expected["assignees"]]
            rows = list_history(get_anomaly(self.org.id, anomaly_id))
            rows = sorted(
                (row for row in rows if row.transaction_id is not None),
                key=lambda row: row.transaction_id,
            )
            self._check_rows(rows, model.anomalies[number])
            entries += len(rows)
        audited = session().scalars(select(AuditEntry.id).where(AuditEntry.org_id == self.org.id))
        assert len(list(audited)) == entries

    def _check_rows(self, rows, modelled):
        assert [(row.actor, set(row.changeset)) for row in rows] == [
            (
                self.users[entry.by].name,
                {"snoozed_until" if name == "snoozed" else name for name in entry.changeset},
            )
            for entry in modelled.entries
        ]
        assert [(row.undoes_id is not None, row.is_undone) for row in rows] == [
            (entry.is_undo, entry.is_undone) for entry in modelled.entries
        ]
        # Each value follows from the one before it, up to the present one.
        last = {}
        for row, entry in zip(rows, modelled.entries, strict=True):
            for name, (before, after) in row.changeset.items():
                assert last.get(name, before) == before
                last[name] = after
            if "assignees" in entry.changeset:
                for shown, side in zip(
                    row.changeset["assignees"], entry.changeset["assignees"], strict=True
                ):
                    assert shown == [
                        {"id": self.users[user].id, "name": self.users[user].name} for user in side
                    ]
            if "snoozed" in entry.changeset:
                moments = [self.until[each] for each in entry.changeset["snoozed"]]
                assert row.changeset["snoozed_until"] == [
                    moment and to_timestamp(moment) for moment in moments
                ]
        assert len(last.get("comments", [])) == len(modelled.values["comments"])

    def _id(self, number):
        return None if number is None else self.ids[number]


class Over(Exception):
    """Ends an example, so that nothing of it is kept."""


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(given_commands=commands)
def test_commands_leave_what_the_model_says(database: Database, given_commands: list) -> None:
    with pytest.raises(Over), database.unit_of_work():
        world, model = World(), Model()
        for name, by, numbers, change in given_commands:
            wanted = (by, numbers) if change is None else (by, numbers, change)
            before = deepcopy(model)
            try:
                getattr(model, name)(*wanted)
            except Refused:
                model = before
                # Whatever is refused was refused before anything was changed.
                with pytest.raises(AnomifyError), session().begin_nested():
                    getattr(world, name)(*wanted)
            else:
                getattr(world, name)(*wanted)
            world.check(model)
        raise Over
