"""Alerting watchers that would notify nobody: refused, warned about, and reported once."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from anomify.channel.message import DELIVERED, Receipt
from anomify.config import Settings
from anomify.contact_point import confirmation
from anomify.contact_point.editing import ContactEditor, ContactFields
from anomify.contact_point.model import ContactPoint
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.model import Letter, Org
from anomify.user.model import User
from anomify.user.profile import ProfileFields
from anomify.watcher.contact_changes import (
    change_contact_point,
    change_profile,
    confirm_address,
    delete_person,
    remove_contact_point,
    withdraw_address,
)
from anomify.watcher.contact_plan import RequestedContacts
from anomify.watcher.editing import WatcherEditor, WatcherFields
from anomify.watcher.model import Watcher
from anomify.watcher.reach import note_receipt
from tests.factories import make_contact_point, make_org, make_user

SETTINGS = Settings(data_dir=Path("unused"), secret_key=SecretStr("k" * 64))
URL = "https://hooks.example/in"
pytestmark = pytest.mark.usefixtures("unit")


@pytest.fixture
def editor() -> WatcherEditor:
    return WatcherEditor(SETTINGS)


@pytest.fixture
def org(unit: object) -> Org:
    return make_org()


@pytest.fixture
def alice(org: Org) -> User:
    return make_user(org, "Alice")


@pytest.fixture
def bob(org: Org) -> User:
    return make_user(org, "Bob", "editor")


def letters() -> list[Letter]:
    rows = select(Letter).where(Letter.purpose == "watcher_unreached")
    return list(session().scalars(rows))


def alerting(editor: WatcherEditor, org: Org, **contacts: object) -> Watcher:
    requested = WatcherFields(
        chips=["cpu"],
        is_alerting=True,
        contacts=RequestedContacts(**contacts),  # type: ignore[arg-type] # any of its fields
    )
    return editor.create(org.id, requested, "Alice").watcher


def change(editor: WatcherEditor, watcher: Watcher, *, alert: bool | None = None, **contacts):
    requested = WatcherFields(is_alerting=alert, contacts=RequestedContacts(**contacts))
    return editor.update(watcher.org_id, watcher.id, requested, "Alice")


class TestSaving:
    def test_a_watcher_that_would_notify_nobody_is_refused(
        self, editor: WatcherEditor, org: Org
    ) -> None:
        for contacts in ({}, {"email_user_ids": []}, {"webhook_url": ""}, {"slack_channel": ""}):
            with pytest.raises(Invalid) as refusal:
                alerting(editor, org, **contacts)
            assert list(refusal.value.fields) == ["alert"]

    def test_taking_the_last_contact_point_of_an_alerting_watcher_is_refused(
        self, editor: WatcherEditor, org: Org, bob: User
    ) -> None:
        watcher = alerting(editor, org, email_user_ids=[bob.id])
        with pytest.raises(Invalid):
            change(editor, watcher, email_user_ids=[])
        change(editor, watcher, email_user_ids=[], webhook_url=URL)
        change(editor, watcher, alert=False, webhook_url="")
        with pytest.raises(Invalid):
            change(editor, watcher, alert=True)

    def test_one_that_reaches_nobody_now_is_saved_with_a_warning(
        self, editor: WatcherEditor, org: Org, bob: User
    ) -> None:
        bob.wants_email_alerts = False
        requested = WatcherFields(
            chips=["cpu"], is_alerting=True, contacts=RequestedContacts(email_user_ids=[bob.id])
        )
        saved = editor.create(org.id, requested, "Alice")

        assert "Bob does not want e-mails" in (saved.unreached or "")
        assert letters() == []
        assert change(editor, saved.watcher, webhook_url=URL).unreached is None

    def test_other_changes_of_an_unreached_watcher_are_possible(
        self, editor: WatcherEditor, org: Org, bob: User, alice: User
    ) -> None:
        watcher = alerting(editor, org, email_user_ids=[bob.id])
        delete_person(bob, alice)
        saved = editor.update(org.id, watcher.id, WatcherFields(name="New"), "Alice")

        assert saved.watcher.name == "New"
        assert "no contact point" in (saved.unreached or "")


class TestLastRecipientGoes:
    def test_the_admins_get_one_letter_in_the_same_transaction(
        self, editor: WatcherEditor, org: Org, bob: User, alice: User
    ) -> None:
        carol = make_user(org, "Carol", "admin")
        watcher = alerting(editor, org, email_user_ids=[bob.id])
        quiet = editor.create(
            org.id,
            WatcherFields(chips=["b"], contacts=RequestedContacts(email_user_ids=[bob.id])),
            "Alice",
        ).watcher
        delete_person(bob, alice)

        assert {letter.recipient for letter in letters()} == {alice.email, carol.email}
        assert watcher.unreached_at is not None
        assert quiet.unreached_at is None

    def test_no_letter_while_somebody_is_left(
        self, editor: WatcherEditor, org: Org, bob: User, alice: User
    ) -> None:
        alerting(editor, org, email_user_ids=[bob.id, alice.id])
        delete_person(bob, alice)
        assert letters() == []

    def test_mails_that_are_switched_off_and_on_and_off(
        self, editor: WatcherEditor, org: Org, bob: User, alice: User
    ) -> None:
        watcher = alerting(editor, org, email_user_ids=[bob.id])
        for is_on, count in ((False, 1), (False, 1), (True, 1), (False, 2)):
            change_profile(bob, ProfileFields(wants_email_alerts=is_on))
            assert len(letters()) == count
            assert (watcher.unreached_at is None) is is_on
        assert {letter.recipient for letter in letters()} == {alice.email}

    def test_a_contact_point_that_is_deleted(self, editor: WatcherEditor, org: Org) -> None:
        make_user(org)
        point = made_webhook(org)
        alerting(editor, org, contact_point_ids=[point.id])
        remove_contact_point(org.id, point.id, "Alice")
        assert len(letters()) == 1

    def test_a_receiver_that_answers_410_and_is_set_again(
        self, editor: WatcherEditor, org: Org
    ) -> None:
        make_user(org)
        point = made_webhook(org)
        watcher = alerting(editor, org, contact_point_ids=[point.id])
        note_receipt(point, Receipt(is_delivered=False, problem="It answered 500."))
        assert (point.problem, letters()) == ("It answered 500.", [])
        for _ in range(2):
            note_receipt(point, Receipt(is_delivered=False, problem="Gone.", is_gone=True))
        assert len(letters()) == 1
        contacts = ContactEditor(SETTINGS)
        change_contact_point(contacts, org.id, point.id, ContactFields(), "Alice")

        assert (point.stopped_at, watcher.unreached_at) == (None, None)
        note_receipt(point, DELIVERED)
        assert point.problem is None
        assert point.delivered_at is not None

    def test_an_owner_of_an_address_who_withdraws(
        self, editor: WatcherEditor, org: Org, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_user(org)
        monkeypatch.setattr(confirmation.secrets, "token_urlsafe", lambda _: "t")
        fields = ContactFields(kind="email", settings={"address": "ops@lists.example"})
        point = ContactEditor(SETTINGS).create(org.id, fields, "Alice").contact_point
        watcher = alerting(editor, org, contact_point_ids=[point.id])
        assert watcher.unreached_at is not None
        confirm_address("t")
        assert watcher.unreached_at is None
        withdraw_address("t")
        assert len(letters()) == 1

    def test_only_watchers_of_the_org_are_looked_at(
        self, editor: WatcherEditor, org: Org, bob: User, alice: User
    ) -> None:
        other = make_org("Globex")
        charlie = make_user(other, "Charlie")
        theirs = alerting(editor, other, email_user_ids=[charlie.id])
        charlie.wants_email_alerts = False
        alerting(editor, org, email_user_ids=[bob.id])
        delete_person(bob, alice)

        assert theirs.unreached_at is None
        assert {letter.recipient for letter in letters()} == {alice.email}


def made_webhook(org: Org) -> ContactPoint:
    return make_contact_point(org, "webhook", ContactEditor(SETTINGS).key, values={"url": URL})
