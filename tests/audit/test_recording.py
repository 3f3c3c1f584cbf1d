"""The audit trail, on both databases."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from anomify.audit.model import AuditEntry
from anomify.audit.queries import list_audit
from anomify.audit.recording import HIDDEN, note_address, record_audit
from anomify.clock import now
from tests.factories import make_org


def noted(org, action="user.login", **more):
    record_audit(org.id, actor="Alice", action=action, **more)


class TestRecordAudit:
    @pytest.mark.usefixtures("unit")
    def test_stores_actor_action_address_and_values(self):
        org = make_org()
        note_address("192.0.2.7")
        noted(org, "user.role", target="bob", before={"role": "viewer"}, after={"role": "admin"})
        (entry,) = list_audit(org.id).items
        assert (entry.actor, entry.action, entry.target) == ("Alice", "user.role", "bob")
        assert (entry.address, entry.before, entry.after) == (
            "192.0.2.7",
            {"role": "viewer"},
            {"role": "admin"},
        )

    @pytest.mark.usefixtures("unit")
    def test_does_not_store_secrets(self):
        org = make_org()
        noted(org, after={"password": "a long phrase", "webhook_secret": "whsec_1", "name": "x"})
        (entry,) = list_audit(org.id).items
        assert entry.after == {"password": HIDDEN, "webhook_secret": HIDDEN, "name": "x"}

    @pytest.mark.usefixtures("unit")
    def test_cuts_long_values_and_converts_moments_and_sets(self):
        org = make_org()
        noted(org, target="t" * 999, after={"text": "x" * 9999, "at": now(), "ids": {3}})
        session_wide = list_audit(org.id).items[0]
        assert len(session_wide.target) == 300
        assert len(session_wide.after["text"]) == 500
        assert session_wide.after["ids"] == [3]
        assert session_wide.after["at"].endswith("+00:00")

    @pytest.mark.parametrize("attempt", ["update", "delete"])
    def test_entries_cannot_be_altered_or_deleted(self, database, attempt):
        with database.unit_of_work():
            org = make_org()
            noted(org)
        statement = (
            update(AuditEntry).values(actor="Mallory")
            if attempt == "update"
            else delete(AuditEntry)
        )
        with (
            pytest.raises(DBAPIError, match="only grows"),
            database.unit_of_work() as session,
        ):
            session.execute(statement)
        with database.unit_of_work(write=False):
            assert list_audit(org.id).items[0].actor == "Alice"

    def test_is_deleted_with_its_org(self, database):
        with database.unit_of_work():
            org, other = make_org(), make_org("Globex")
            noted(org)
            noted(other)
        with database.unit_of_work() as session:
            session.execute(text("DELETE FROM orgs WHERE id = :id"), {"id": org.id})
        with database.unit_of_work(write=False):
            assert list_audit(org.id).total == 0
            assert list_audit(other.id).total == 1


@pytest.mark.usefixtures("unit")
class TestListAudit:
    def test_returns_pages_of_the_orgs_own_entries_latest_first(self):
        org, other = make_org(), make_org("Globex")
        for action in ("user.login", "token.create", "user.role"):
            noted(org, action)
        noted(other)
        page = list_audit(org.id, limit=2)
        assert ([entry.action for entry in page.items], page.total) == (
            ["user.role", "token.create"],
            3,
        )
        assert [entry.action for entry in list_audit(org.id, offset=2).items] == ["user.login"]

    def test_filters_by_action_noun_and_time(self):
        org = make_org()
        with time_machine.travel(now() - timedelta(hours=2)):
            noted(org, "user.login")
        noted(org, "user.role")
        noted(org, "username.odd")
        assert list_audit(org.id, action="user").total == 2
        assert list_audit(org.id, action="user.role").total == 1
        assert list_audit(org.id, from_at=now() - timedelta(hours=1)).total == 2
        assert list_audit(org.id, until_at=now() - timedelta(hours=1)).total == 1
