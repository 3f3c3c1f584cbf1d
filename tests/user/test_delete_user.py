"""A deleted user is removed from every list of users, and the id is not reused."""

from sqlalchemy import inspect, select, text

from anomify.admin_alert.model import AdminAlert
from anomify.admin_alert.recipients import alert_recipients
from anomify.admin_alert.settings import alert_settings_of_org
from anomify.audit.model import AuditEntry
from anomify.clock import now
from anomify.db import Base, session
from anomify.org.letter import claim_letters, post_letter
from anomify.org.model import Letter
from anomify.triage.model import Comment
from anomify.user.authenticator import begin_enrolment
from anomify.user.client import record_client
from anomify.user.delete_user import delete_user, list_columns
from anomify.user.model import User
from anomify.user.recovery import make_reset_link
from anomify.user.second_factor import open_attempt
from anomify.watcher.model import Watcher
from tests.factories import (
    make_anomaly,
    make_cast,
    make_metric,
    make_session,
    make_user,
    make_watcher,
)

# Stands out in any text.
ERIN_ID = 424_242_001
# What tells of the past, in words, and of no right to anything.
TRAIL = {"audit_entries"}


def make_erin(acme):
    """Return a user who is referred to by every table that refers to users."""
    erin = make_user(acme, "Erin", "editor", id=ERIN_ID, email="erin@acme.example")
    make_session(erin)
    begin_enrolment(erin)
    record_client(erin, None, "email")
    make_reset_link(erin, "http://anomify.test")
    open_attempt(erin, b"k" * 32, "email", "http://anomify.test", "browser", remembers=False)
    post_letter(erin.email, "Hello", "Erin", org_id=acme.id, purpose="code")
    return erin


def mentions(value):
    """The tables of the database in which this value stands anywhere."""
    found = set()
    for table in inspect(session().connection()).get_table_names():
        for row in session().execute(text(f'SELECT * FROM "{table}"')):
            if any(str(value) in str(cell) for cell in row):
                found.add(table)
    return found - TRAIL


class TestDeleteUser:
    def test_removes_the_user_from_all_lists(self, unit):
        cast = make_cast()
        erin = make_erin(cast.acme)
        both = make_watcher(cast.acme, email_user_ids=[cast.bob.id, erin.id])
        alone = make_watcher(cast.acme, email_user_ids=[erin.id])
        gone = make_watcher(cast.acme, email_user_ids=[erin.id], deleted_at=now())
        for type_id, result in ((1, [erin.id]), (2, [erin.id, cast.dave.id]), (3, None)):
            unit.add(
                AdminAlert(
                    org_id=cast.acme.id,
                    type_id=type_id,
                    wait_seconds=500,
                    expiration_seconds=3600,
                    is_enabled=True,
                    email_user_ids=result,
                )
            )
        unit.flush()
        assert mentions(ERIN_ID) >= {"users", "sessions", "watchers", "admin_alerts"}
        delete_user(erin, cast.alice)
        unit.expire_all()
        assert mentions(ERIN_ID) == set()
        result = [unit.get_one(Watcher, each.id).email_user_ids for each in (both, alone, gone)]
        assert result == [[cast.bob.id], [], []]
        first, second, third = alert_settings_of_org(cast.acme.id)
        assert (first.email_user_ids, third.email_user_ids) == (None, None)
        assert second.email_user_ids == (cast.dave.id,)
        # None of the chosen users is left, so all admins are notified.
        assert [user.name for user in alert_recipients(cast.acme.id, first)] == ["Alice"]
        entry = unit.scalar(select(AuditEntry).where(AuditEntry.action == "user.delete"))
        assert f"watchers {alone.id}" in entry.before["lists"]

    def test_covers_every_column_that_lists_users(self, unit):
        # Whatever lists of users there will be: each is filled, and each is left.
        cast = make_cast()
        erin = make_erin(cast.acme)
        filled = 0
        make_watcher(cast.acme, email_user_ids=[erin.id], summary_report_user_ids=[erin.id])
        unit.add(
            AdminAlert(
                org_id=cast.acme.id,
                type_id=1,
                wait_seconds=500,
                expiration_seconds=3600,
                is_enabled=True,
                email_user_ids=[erin.id],
            )
        )
        anomaly = make_anomaly(make_metric(cast.acme))
        unit.add(
            Comment(
                org_id=cast.acme.id,
                anomaly_id=anomaly.id,
                author="Alice",
                message="Look.",
                mentioned_user_ids=[erin.id],
                created_at=now(),
            )
        )
        unit.flush()
        for table, column in list_columns():
            listed = [row for row in unit.scalars(select(column)) if row and erin.id in row]
            assert listed, f"fill {table.name}.{column.name} above"
            filled += len(listed)
        assert filled == 4
        delete_user(erin, cast.alice)
        for _, column in list_columns():
            assert not [row for row in unit.scalars(select(column)) if row and erin.id in row]

    def test_does_not_change_lists_of_other_orgs(self, unit):
        cast = make_cast()
        erin = make_erin(cast.acme)
        # Its own people have other ids; this is what a database from before may hold.
        theirs = make_watcher(cast.globex, email_user_ids=[erin.id])
        delete_user(erin, cast.alice)
        unit.expire_all()
        assert unit.get_one(Watcher, theirs.id).email_user_ids == [erin.id]

    def test_discards_only_waiting_letters_to_the_user(self, unit):
        cast = make_cast()
        erin = make_erin(cast.acme)
        post_letter(erin.email, "Come", "to us", org_id=cast.globex.id, purpose="invitation")
        delete_user(erin, cast.alice)
        assert [each.subject for each in claim_letters(now(), 10)] == ["Come"]
        # That they were written still counts.
        assert len(unit.scalars(select(Letter).where(Letter.recipient == erin.email)).all()) >= 2

    def test_does_not_reuse_the_id(self, unit):
        cast = make_cast()
        last = make_user(cast.acme, "Frank", "viewer")
        watcher = make_watcher(cast.acme, email_user_ids=[last.id])
        delete_user(last, cast.alice)
        unit.expire_all()
        heir = make_user(cast.acme, "Grace", "viewer")
        assert heir.id > last.id
        assert heir.id not in unit.get_one(Watcher, watcher.id).email_user_ids
        assert unit.get(User, last.id) is None
        assert Base.metadata.tables["users"].dialect_options["sqlite"]["autoincrement"]
