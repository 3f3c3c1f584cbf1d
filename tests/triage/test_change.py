"""What a change of an anomaly's triage does and refuses, and who gets a letter about it."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import delete, select

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import get_anomaly, list_anomalies
from anomify.anomaly.recording import delete_untouched
from anomify.audit.model import AuditEntry
from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Denied, Invalid, NotFound
from anomify.triage.actor import Actor
from anomify.triage.change import ANOMALIES_MAX, Snooze, TriageChange, change_anomalies
from anomify.triage.comment import delete_comment, edit_comment
from anomify.triage.comment_list import list_comments
from anomify.triage.filter import TriageFilter
from anomify.triage.history import list_history
from anomify.triage.letter import LETTERS_MAX
from anomify.triage.mention import readable, with_mentions
from anomify.triage.model import TriageTransaction
from anomify.triage.queries import states_of
from anomify.triage.status import ARCHIVED, Status
from anomify.triage.undo import WINDOW, undo_latest, undo_transaction
from anomify.user.delete_user import delete_user
from tests.factories import make_anomaly, make_metric, make_org, make_user
from tests.kit.letters import read_letters

BASE = "https://anomify.example"


class People:
    """An org with three users and anomalies of one metric."""

    def __init__(self):
        self.org = make_org()
        self.alice = make_user(self.org, "Alice")
        self.bob = make_user(self.org, "Bob", "editor")
        self.dave = make_user(self.org, "Dave", "viewer")
        self.metric = make_metric(self.org)
        self.ids = [
            make_anomaly(self.metric, now() - timedelta(hours=hours), severity="medium").id
            for hours in (1, 2, 3)
        ]

    def change(self, *anomaly_ids, by="alice", **change):
        wanted = {anomaly_id: TriageChange(**change) for anomaly_id in anomaly_ids or self.ids[:1]}
        return change_anomalies(self.org, wanted, self.actor(by), BASE)

    def actor(self, name):
        user = getattr(self, name)
        return Actor(user.name, user.id, is_admin=user.is_admin)

    def state(self, anomaly_id=None):
        anomaly_id = anomaly_id or self.ids[0]
        return states_of([anomaly_id])[anomaly_id]

    def history(self, anomaly_id=None):
        return list_history(get_anomaly(self.org.id, anomaly_id or self.ids[0]))

    def listed(self, **wanted):
        found = list_anomalies(self.org.id, also=TriageFilter(**wanted).conditions())
        assert found.total == len(found.items)
        return [anomaly.id for anomaly in found.items]

    def raise_severity(self, anomaly_id):
        get_anomaly(self.org.id, anomaly_id).span.severity = "high"
        session().flush()


@pytest.fixture
def people(unit):
    return People()


class TestStatus:
    def test_follows_from_each_other_one_and_back(self, people):
        for first in Status:
            for second in Status:
                people.change(status=first)
                people.change(status=second)
                assert people.state().status is second

    def test_stops_reminders_unless_it_is_active(self, people):
        assert not people.state().is_handled
        for status in Status:
            people.change(status=status)
            assert people.state().is_handled is (status is not Status.ACTIVE)

    def test_remembers_who_acknowledged_as_long_as_it_is_acknowledged(self, people):
        people.change(status=Status.ACKNOWLEDGED, by="bob")
        state = people.state()
        assert state.acknowledged_by == "Bob"
        assert state.acknowledged_at <= people.history()[0].at
        people.change(status=Status.ACKNOWLEDGED)
        assert people.state().acknowledged_by == "Bob"
        people.change(status=Status.RESOLVED)
        assert (people.state().acknowledged_by, people.state().acknowledged_at) == (None, None)

    def test_names_the_original_of_a_duplicate_until_it_is_none_any_more(self, people):
        first, second, _ = people.ids
        people.change(status=Status.DUPLICATE, duplicate_of=second)
        assert people.state().duplicate_of == second
        assert people.listed(duplicate_of=second) == [first]
        people.change(status=Status.ACTIVE)
        assert people.state().duplicate_of is None

    def test_keeps_a_duplicate_whose_original_is_deleted(self, people):
        people.change(status=Status.DUPLICATE, duplicate_of=people.ids[1])
        session().execute(delete(Anomaly).where(Anomaly.id == people.ids[1]))
        session().expire_all()
        assert (people.state().status, people.state().duplicate_of) == (Status.DUPLICATE, None)

    def test_refuses_duplicates_of_each_other_in_one_request(self, people):
        first, second, third = people.ids
        ring = {first: second, second: third, third: first}
        with pytest.raises(Conflict, match="own duplicate") as refused, session().begin_nested():
            change_anomalies(
                people.org,
                {
                    anomaly_id: TriageChange(status=Status.DUPLICATE, duplicate_of=original)
                    for anomaly_id, original in ring.items()
                },
                people.actor("alice"),
                BASE,
            )
        assert refused.value.code == "duplicate_circle"

    def test_of_a_running_one_that_is_archived_stays_as_it_runs_on(self, people):
        running = make_anomaly(people.metric, now() - timedelta(minutes=9), minutes=None).id
        for status in ARCHIVED:
            people.change(running, status=status)
            people.raise_severity(running)
            assert people.state(running).status is status


class TestSnooze:
    def test_hides_until_then_and_ends_by_itself(self, people):
        until = now() + timedelta(hours=1)
        people.change(snooze=Snooze(until))
        assert people.state().is_handled
        assert people.listed(snoozed=True) == people.ids[:1]
        assert people.listed(snoozed=False) == people.ids[1:]
        with time_machine.travel(until):
            assert not people.state().is_handled
            assert people.listed(snoozed=True) == []
            assert people.listed(snoozed=False) == people.ids

    def test_ends_when_the_severity_rises(self, people):
        people.change(snooze=Snooze(now() + timedelta(hours=1)))
        people.raise_severity(people.ids[0])
        assert people.state().snoozed_until is None
        assert people.listed(snoozed=True) == []
        # Snoozed again it is hidden at that severity, too.
        people.change(snooze=Snooze(now() + timedelta(hours=1)))
        assert people.listed(snoozed=True) == people.ids[:1]

    def test_is_refused_for_the_past_and_for_over_a_year(self, people):
        for seconds in (-1, 0, 367 * 86_400):
            with pytest.raises(Invalid) as refused:
                people.change(snooze=Snooze(now() + timedelta(seconds=seconds)))
            assert "snooze_until" in refused.value.fields

    def test_is_refused_for_an_archived_one_and_ends_when_it_is_archived(self, people):
        tomorrow = Snooze(now() + timedelta(days=1))
        people.change(snooze=tomorrow)
        people.change(status=Status.RESOLVED)
        assert set(people.history()[0].changeset) == {"status", "snoozed_until"}
        with pytest.raises(Conflict):
            people.change(snooze=tomorrow)
        people.change(status=Status.ACTIVE, snooze=tomorrow)
        assert people.state().snoozed_until is not None


class TestAssignees:
    def test_are_replaced_added_and_removed(self, people):
        alice, bob, dave = people.alice.id, people.bob.id, people.dave.id
        people.change(assignees=[bob, alice, bob])
        assert people.state().assignees == (alice, bob)
        people.change(assign=[dave], unassign=[alice])
        assert people.state().assignees == (bob, dave)
        assert people.history()[0].changeset == {
            "assignees": [
                [{"id": alice, "name": "Alice"}, {"id": bob, "name": "Bob"}],
                [{"id": bob, "name": "Bob"}, {"id": dave, "name": "Dave"}],
            ]
        }
        assert people.listed(assignee_id=dave) == people.ids[:1]
        assert people.listed(assignee_id=0) == people.ids[1:]

    def test_are_users_of_the_org(self, people):
        stranger = make_user(make_org("Globex"), "Charlie")
        visitor = make_user(people.org, "Visitor", "viewer", is_visitor=True)
        for user_id in (stranger.id, visitor.id, 999_999):
            for change in ({"assign": [user_id]}, {"comment": "x", "mentioned": [user_id]}):
                with pytest.raises(NotFound, match="no such user"):
                    people.change(**change)
        assert people.history() == people.history(people.ids[0])[-2:]

    def test_leave_a_readable_history_when_they_are_deleted(self, people):
        people.change(assignees=[people.bob.id], comment="For you.", mentioned=[people.bob.id])
        people.change(by="bob", comment="Done.")
        delete_user(people.bob, people.alice)
        session().expire_all()
        assert people.state().assignees == ()
        last, first = people.history()[:2]
        assert (last.actor, last.changeset["comments"][1][1]["author"]) == ("Bob", "Bob")
        assert first.changeset["assignees"][1][0]["name"] == "Bob"
        written, mentioning = list_comments(people.org.id, people.ids[0])
        assert (written.author, written.message) == ("Bob", "Done.")
        assert mentioning.mentioned_user_ids == []


class TestComments:
    def test_are_listed_newest_first_and_kept_without_text_when_deleted(self, people):
        for text in ("One.", " Two.\n"):
            people.change(comment=text)
        second, first = list_comments(people.org.id, people.ids[0])
        assert (first.message, second.message) == ("One.", "Two.")
        delete_comment(people.org, first.id, people.actor("alice"))
        assert list_comments(people.org.id, people.ids[0]) == [second]
        kept = list_comments(people.org.id, people.ids[0], includes_deleted=True)[1]
        assert (kept.message, kept.deleted_at is None) == ("", False)
        with pytest.raises(NotFound):
            delete_comment(people.org, first.id, people.actor("alice"))

    def test_are_changed_by_their_author_and_by_admins(self, people):
        comment_id = people.change(by="dave", comment="I see it, too.").comment_ids[0]
        for text in ("I saw it.", "I saw it twice."):
            edited = edit_comment(people.org, comment_id, text, [], people.actor("dave"), BASE)
            assert edited.message == text
        edit_comment(people.org, comment_id, text, [], people.actor("dave"), BASE)
        assert [set(row.changeset) for row in people.history()[:3]] == [{"comments"}] * 3
        token = Actor("Dave")
        for actor in (people.actor("bob"), token):
            with pytest.raises(Denied):
                edit_comment(people.org, comment_id, "Not mine.", [], actor, BASE)
            with pytest.raises(Denied):
                delete_comment(people.org, comment_id, actor)
        delete_comment(people.org, comment_id, people.actor("alice"))

    def test_have_a_text_and_a_limit(self, people):
        for text in ("", " \n", "x" * 5_001):
            with pytest.raises(Invalid):
                people.change(comment=text)
        with pytest.raises(Invalid):
            people.change(status=Status.RESOLVED, mentioned=[people.bob.id])
        assert people.state().status is Status.ACTIVE

    def test_mention_users_by_full_name_or_address(self, people):
        users = [people.alice, people.bob, people.dave, make_user(people.org, "Bob B")]
        bob, other = people.bob, users[3]
        text = f"@bob b and @Bob, not me@bob.example or @Bobby: {people.dave.email} @{bob.email}"
        written, ids = with_mentions(text, users)
        assert ids == [other.id, bob.id]
        assert written.startswith(f"@[Bob B]({other.id}) and @[Bob]({bob.id}), not me@bob.example")
        assert with_mentions(written, users) == (written, ids)
        assert readable(written).startswith("@Bob B and @Bob, not")
        assert with_mentions("@[Eve](99)", users) == ("@[Eve](99)", [])
        twins = [people.bob, make_user(people.org, "BOB")]
        assert with_mentions("@Bob", twins) == ("@Bob", [])


class TestRequest:
    def test_changes_all_or_none(self, people):
        for anomaly_id in (999_999, make_anomaly(make_metric(make_org("Globex"))).id):
            with pytest.raises(NotFound, match=str(anomaly_id)):
                people.change(*people.ids, anomaly_id, status=Status.RESOLVED)
        people.change(people.ids[2], status=Status.INVALID)
        with pytest.raises(Conflict, match=str(people.ids[2])):
            people.change(*people.ids, snooze=Snooze(now() + timedelta(hours=1)))
        assert [people.state(anomaly_id).snoozed_until for anomaly_id in people.ids] == [None] * 3

    def test_is_one_transaction_with_a_row_for_each_that_changed(self, people):
        people.change(people.ids[1], status=Status.RESOLVED)
        changed = people.change(*people.ids, status=Status.RESOLVED)
        assert changed.anomaly_ids == (people.ids[0], people.ids[2])
        rows = [people.history(anomaly_id)[0] for anomaly_id in changed.anomaly_ids]
        assert {row.transaction_id for row in rows} == {changed.transaction_id}
        actions = session().scalars(
            select(AuditEntry.action).where(AuditEntry.org_id == people.org.id)
        )
        assert list(actions) == ["anomaly.status"] * 3

    def test_without_effect_writes_nothing(self, people):
        people.change(assignees=[people.bob.id])
        for change in (
            {},
            {"status": Status.ACTIVE},
            {"assignees": [people.bob.id]},
            {"assign": [people.bob.id], "unassign": [people.dave.id]},
            {"snooze": Snooze(None)},
        ):
            assert people.change(**change).transaction_id is None
        assert len(list(session().scalars(select(TriageTransaction.id)))) == 1

    def test_has_a_limit(self, people):
        with pytest.raises(Invalid):
            change_anomalies(people.org, {}, people.actor("alice"), BASE)
        many = dict.fromkeys(range(1, ANOMALIES_MAX + 2), TriageChange(status=Status.RESOLVED))
        with pytest.raises(Invalid):
            change_anomalies(people.org, many, people.actor("alice"), BASE)

    def test_keeps_an_anomaly_that_a_rebuild_does_not_find_again(self, people):
        first, second, third = people.ids
        people.change(first, assign=[people.bob.id])
        people.change(second, comment="Look.")
        delete_untouched(people.ids)
        assert people.listed() == [first, second]
        assert third not in people.listed()


class TestHistory:
    def test_begins_with_what_the_product_recorded(self, people):
        ended, opened = people.history()
        assert (opened.actor, opened.user_id, opened.transaction_id) == ("Anomify", None, None)
        assert opened.changeset == {"status": [None, "active"], "running": [None, True]}
        assert ended.changeset == {"running": [True, False]}

    def test_names_the_label_that_a_person_gave(self, people):
        anomaly = get_anomaly(people.org.id, people.ids[0])
        anomaly.expected, anomaly.labelled_at, anomaly.labelled_by = True, now(), "Bob"
        newest = people.history()[0]
        assert (newest.actor, newest.changeset) == ("Bob", {"expected": [None, True]})
        assert people.state().status is Status.ACTIVE


class TestUndo:
    def test_restores_what_was_before_with_a_row_of_its_own(self, people):
        people.change(status=Status.ACKNOWLEDGED, by="bob")
        before = people.state()
        changed = people.change(status=Status.RESOLVED)
        undo_latest(people.org, people.ids[:1], people.actor("alice"))
        assert people.state() == before
        undo, done = people.history()[:2]
        assert undo.changeset == {"status": ["resolved", "acknowledged"]}
        assert (undo.undoes_id, done.is_undone) == (changed.transaction_id, True)
        with pytest.raises(Conflict) as refused:
            undo_latest(people.org, people.ids[:1], people.actor("alice"))
        assert refused.value.code == "nothing_to_undo"

    def test_of_a_whole_transaction_is_for_its_actor_and_once(self, people):
        changed = people.change(*people.ids, status=Status.INVALID, comment="A test.")
        with pytest.raises(Conflict) as refused:
            undo_transaction(people.org, changed.transaction_id, people.actor("bob"))
        assert refused.value.code == "not_your_change"
        with pytest.raises(NotFound):
            undo_transaction(make_org("Globex"), changed.transaction_id, people.actor("alice"))
        undone = undo_transaction(people.org, changed.transaction_id, people.actor("alice"))
        assert undone.anomaly_ids == tuple(people.ids)
        assert {people.state(anomaly_id).status for anomaly_id in people.ids} == {Status.ACTIVE}
        assert list_comments(people.org.id, people.ids[0]) == []
        codes = []
        for transaction_id in (changed.transaction_id, undone.transaction_id):
            with pytest.raises(Conflict) as refused:
                undo_transaction(people.org, transaction_id, people.actor("alice"))
            codes.append(refused.value.code)
        assert codes == ["already_undone", "is_an_undo"]

    def test_is_refused_when_somebody_has_changed_the_same(self, people):
        changed = people.change(status=Status.RESOLVED)
        people.change(by="bob", comment="Why?")
        people.change(by="bob", status=Status.INVALID)
        for undo in (
            lambda: undo_latest(people.org, people.ids[:1], people.actor("alice")),
            lambda: undo_transaction(people.org, changed.transaction_id, people.actor("alice")),
        ):
            with pytest.raises(Conflict) as refused:
                undo()
            assert refused.value.code == "changed_since"

    def test_is_refused_after_a_while_and_for_texts_that_are_gone(self, people):
        comment_id = people.change(comment="One.").comment_ids[0]
        edit_comment(people.org, comment_id, "Two.", [], people.actor("alice"), BASE)
        with pytest.raises(Conflict) as refused:
            undo_latest(people.org, people.ids[:1], people.actor("alice"))
        assert refused.value.code == "comment_changed"
        changed = people.change(people.ids[1], status=Status.RESOLVED)
        row = session().get_one(TriageTransaction, changed.transaction_id)
        row.at -= WINDOW
        session().flush()
        with pytest.raises(Conflict) as refused:
            undo_latest(people.org, people.ids[1:2], people.actor("alice"))
        assert refused.value.code == "too_late"


class TestLetters:
    def send(self, database, act):
        with database.unit_of_work():
            people = People()
            act(people)
        return people, read_letters(database)

    def test_go_to_newly_assigned_and_mentioned_users_but_not_to_the_actor(self, database):
        def act(people):
            users = [people.alice.id, people.bob.id]
            people.change(people.ids[0], assign=users)
            people.change(people.ids[0], assign=users)
            text = f"@[Dave]({people.dave.id}) look, @[Bob]({people.bob.id})"
            people.change(people.ids[1], comment=text, mentioned=[people.dave.id])

        people, letters = self.send(database, act)
        assert [letter.to for letter in letters] == [people.bob.email, people.dave.email]
        assigned, mentioned = letters
        assert assigned.subject == "Alice assigned you to the anomaly of cpu.load"
        assert f"{BASE}/ui/metric?name=cpu.load&event={people.ids[0]}" in assigned.text
        assert mentioned.subject == "Alice mentioned you on the anomaly of cpu.load"
        assert "> @Dave look, @Bob" in mentioned.text

    def test_are_one_for_many_anomalies(self, database):
        def act(people):
            ids = [make_anomaly(people.metric, now() - timedelta(days=n)).id for n in range(1, 12)]
            bob = people.bob.id
            people.change(*ids, assign=[bob], comment="Yours.", mentioned=[bob])

        _, (letter,) = self.send(database, act)
        assert letter.subject == "Alice assigned you to 11 anomalies"
        assert letter.text.count("/ui/metric?") == 10
        assert "Alice mentioned you on 11 anomalies:\n\n> Yours." in letter.text

    def test_have_a_limit_for_each_address(self, database):
        def act(people):
            for _ in range(LETTERS_MAX + 3):
                people.change(assign=[people.bob.id])
                people.change(unassign=[people.bob.id])

        _, letters = self.send(database, act)
        assert len(letters) == LETTERS_MAX
