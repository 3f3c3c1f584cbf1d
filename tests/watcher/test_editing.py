import base64
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from pydantic import SecretStr
from sqlalchemy.orm import Session

from anomify.audit.queries import list_audit
from anomify.channel.signature import key_of
from anomify.config import Settings
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.settings import settings_of, signing_secrets
from anomify.errors import Gone, Invalid, NotFound, QuotaExceeded
from anomify.org.sealing import PURPOSE
from anomify.watcher import editing
from anomify.watcher.contact_plan import RequestedContacts
from anomify.watcher.editing import (
    WatcherEditor,
    WatcherFields,
    delete_watcher,
    undelete_watcher,
)
from anomify.watcher.model import Watcher
from anomify.watcher.queries import get_watcher, linked_contacts
from tests.factories import make_org, make_user

SETTINGS = Settings(data_dir=Path("unused"), secret_key=SecretStr("k" * 64))
KEY = SETTINGS.key_for(PURPOSE)
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
URL = "https://hooks.example/in"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("unit")


@pytest.fixture
def editor() -> WatcherEditor:
    return WatcherEditor(SETTINGS)


def fields(**given: Any) -> WatcherFields:
    """Return the fields of a watcher, those of its contacts included."""
    names = {each.name for each in dataclasses.fields(RequestedContacts)}
    contacts = {name: given.pop(name) for name in names & set(given)}
    return WatcherFields(contacts=RequestedContacts(**contacts), **given)


def points_of(watcher: Watcher) -> list[ContactPoint]:
    return [each for _, each in linked_contacts([watcher.id])[watcher.id]]


def webhook_of(watcher: Watcher) -> tuple[ContactPoint, dict[str, str]]:
    (found,) = points_of(watcher)
    return found, settings_of(found, KEY)


@pytest.fixture
def org_id(unit: Session) -> int:
    return make_org("Acme").id


class TestCreate:
    def test_by_default_does_not_alert_has_severity_high_and_expires_after_an_hour(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=[" cpu ", "Web", "CPU", ""]), "Alice")
        watcher = made.watcher

        assert (watcher.name, watcher.chips) == ("cpu Web", ["cpu", "Web"])
        assert (watcher.is_alerting, watcher.severity) == (False, "high")
        assert (watcher.expiration_seconds, watcher.expiration_unit) == (3600, "second")
        assert (points_of(watcher), made.fresh_secret) == ([], None)
        assert watcher.created_by == "Alice"

    def test_stores_the_given_fields(self, editor: WatcherEditor) -> None:
        user = make_user(make_org("Acme"), "Bob")
        watcher = editor.create(
            user.org_id,
            fields(
                chips=["cpu"],
                name="  Front\r\n doors ",
                is_alerting=True,
                severity="low",
                expiration_time=2,
                expiration_time_unit="hour",
                email_user_ids=[user.id, user.id],
            ),
            "token:robot",
        ).watcher

        assert (watcher.name, watcher.severity, watcher.is_alerting) == ("Front doors", "low", True)
        assert (watcher.expiration_seconds, watcher.expiration_unit) == (7200, "hour")
        assert [(each.kind, each.user_id) for each in points_of(watcher)] == [("email", user.id)]

    def test_creates_a_secret_returns_it_once_and_stores_it_sealed(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=["cpu"], webhook_url=URL), "Alice")

        assert made.fresh_secret is not None
        assert key_of(made.fresh_secret) is not None
        found, settings = webhook_of(made.watcher)
        assert made.fresh_secret not in str(found.settings_sealed)
        assert settings == {"url": URL, "secret": made.fresh_secret}
        assert (found.lane, found.is_automatic) == ("hooks.example", True)

    @pytest.mark.parametrize(
        ("requested", "field"),
        [
            (fields(), "chips"),
            (fields(chips=[" "]), "chips"),
            (fields(chips=[str(number) for number in range(21)]), "chips"),
            (fields(chips=["x" * 201]), "chips"),
            (fields(chips=["cpu"], name="x" * 201), "name"),
            (fields(chips=["cpu"], severity="loud"), "severity"),
            (fields(chips=["cpu"], expiration_time=59), "expiration_time"),
            (fields(chips=["cpu"], expiration_time=-1), "expiration_time"),
            (fields(chips=["cpu"], expiration_time=10**30), "expiration_time"),
            (fields(chips=["cpu"], expiration_time_unit="day"), "expiration_time"),
            (
                fields(chips=["cpu"], expiration_time=1, expiration_time_unit="year"),
                "expiration_time_unit",
            ),
            (fields(chips=["cpu"], email_user_ids=[2**40, -1]), "email_user_ids"),
            (fields(chips=["cpu"], email_user_ids=list(range(51))), "email_user_ids"),
            (fields(chips=["cpu"], webhook_url="http://169.254.169.254/"), "webhook_url"),
            (fields(chips=["cpu"], webhook_url="file:///etc/passwd"), "webhook_url"),
            (fields(chips=["cpu"], webhook_secret=SECRET), "webhook_secret"),
            (
                fields(chips=["cpu"], webhook_url=URL, webhook_secret="hunter2"),
                "webhook_secret",
            ),
        ],
    )
    def test_names_the_invalid_field(
        self, editor: WatcherEditor, org_id: int, requested: WatcherFields, field: str
    ) -> None:
        with pytest.raises(Invalid) as refusal:
            editor.create(org_id, requested, "Alice")

        assert list(refusal.value.fields) == [field]

    def test_names_every_invalid_field_at_once(self, editor: WatcherEditor, org_id: int) -> None:
        with pytest.raises(Invalid) as refusal:
            editor.create(org_id, fields(chips=[], severity="", webhook_url="x"), "Alice")

        assert set(refusal.value.fields) == {"chips", "severity", "webhook_url"}

    def test_refuses_recipients_of_another_org(self, editor: WatcherEditor, org_id: int) -> None:
        charlie = make_user(make_org("Globex"), "Charlie")
        with pytest.raises(Invalid) as refusal:
            editor.create(org_id, fields(chips=["cpu"], email_user_ids=[charlie.id]), "Alice")

        assert str(charlie.id) in refusal.value.fields["email_user_ids"]

    def test_refuses_more_watchers_than_an_org_may_have(
        self, editor: WatcherEditor, org_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(editing, "WATCHERS_MAX", 1)
        editor.create(org_id, fields(chips=["cpu"]), "Alice")

        with pytest.raises(QuotaExceeded):
            editor.create(org_id, fields(chips=["cpu"]), "Alice")


class TestUpdate:
    def test_changes_only_the_given_fields(self, editor: WatcherEditor, org_id: int) -> None:
        requested = fields(chips=["cpu"], name="Doors", severity="low", webhook_url=URL)
        made = editor.create(org_id, requested, "Alice").watcher
        before = webhook_of(made)

        saved = editor.update(org_id, made.id, fields(is_alerting=True), "Alice")

        assert saved.fresh_secret is None
        assert (saved.watcher.name, saved.watcher.severity) == ("Doors", "low")
        assert saved.watcher.is_alerting
        assert webhook_of(saved.watcher) == before

    def test_an_empty_name_is_replaced_by_the_chips(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=["cpu"], name="Doors"), "Alice").watcher

        assert editor.update(org_id, made.id, fields(name=" "), "Alice").watcher.name == "cpu"

    def test_a_new_secret_keeps_the_former_one_for_a_day(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        with time_machine.travel(NOON, tick=False):
            made = editor.create(org_id, fields(chips=["cpu"], webhook_url=URL), "Alice")
            saved = editor.update(org_id, made.watcher.id, fields(webhook_secret=SECRET), "Alice")

        assert saved.fresh_secret == SECRET
        found, settings = webhook_of(saved.watcher)
        both = (SECRET, made.fresh_secret)
        assert signing_secrets(found, settings, NOON, KEY) == both
        last = NOON + timedelta(hours=24)
        assert signing_secrets(found, settings, last - timedelta(seconds=1), KEY) == both
        assert signing_secrets(found, settings, last, KEY) == (SECRET,)

    def test_an_empty_url_removes_the_webhook_and_its_secrets(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=["cpu"], webhook_url=URL), "Alice").watcher
        point, _ = webhook_of(made)
        saved = editor.update(org_id, made.id, fields(webhook_url=""), "Alice").watcher

        assert points_of(saved) == []
        assert point.deleted_at is not None
        assert (point.settings_sealed, point.former_secret_sealed) == (None, None)

    def test_setting_the_url_restarts_a_stopped_webhook(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=["cpu"], webhook_url=URL), "Alice").watcher
        point, _ = webhook_of(made)
        point.stopped_at = NOON

        editor.update(org_id, made.id, fields(name="x"), "Alice")
        assert point.stopped_at is not None
        editor.update(org_id, made.id, fields(webhook_url=URL), "Alice")
        assert point.stopped_at is None

    def test_an_invalid_request_changes_nothing(self, editor: WatcherEditor, org_id: int) -> None:
        made = editor.create(org_id, fields(chips=["cpu"]), "Alice").watcher
        with pytest.raises(Invalid):
            editor.update(org_id, made.id, fields(name="New", severity="loud"), "Alice")

        assert made.name == "cpu"

    def test_does_not_find_watchers_of_other_orgs_or_deleted_ones(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=["cpu"]), "Alice").watcher
        with pytest.raises(NotFound):
            editor.update(make_org("Globex").id, made.id, fields(name="mine"), "Charlie")
        delete_watcher(org_id, made.id, "Alice")
        with pytest.raises(NotFound):
            editor.update(org_id, made.id, fields(name="x"), "Alice")


class TestDelete:
    def test_hides_the_watcher_until_it_is_restored(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=["cpu"]), "Alice").watcher
        delete_watcher(org_id, made.id, "Alice")
        with pytest.raises(NotFound):
            get_watcher(org_id, made.id)

        assert undelete_watcher(org_id, made.id, "Alice").deleted_at is None
        assert get_watcher(org_id, made.id) is made

    def test_does_not_find_watchers_of_other_orgs(self, editor: WatcherEditor, org_id: int) -> None:
        made = editor.create(org_id, fields(chips=["cpu"]), "Alice").watcher
        with pytest.raises(NotFound):
            delete_watcher(make_org("Globex").id, made.id, "Charlie")


class TestUndelete:
    def test_is_refused_after_thirty_days(self, editor: WatcherEditor, org_id: int) -> None:
        with time_machine.travel(NOON, tick=False):
            made = editor.create(org_id, fields(chips=["cpu"]), "Alice").watcher
            delete_watcher(org_id, made.id, "Alice")
        with time_machine.travel(NOON + timedelta(days=31), tick=False), pytest.raises(Gone):
            undelete_watcher(org_id, made.id, "Alice")

    def test_is_refused_when_the_org_has_too_many_watchers(
        self, editor: WatcherEditor, org_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(editing, "WATCHERS_MAX", 1)
        made = editor.create(org_id, fields(chips=["cpu"]), "Alice").watcher
        delete_watcher(org_id, made.id, "Alice")
        editor.create(org_id, fields(chips=["disk"]), "Alice")
        with pytest.raises(QuotaExceeded):
            undelete_watcher(org_id, made.id, "Alice")

    def test_does_not_find_a_watcher_that_is_not_deleted(
        self, editor: WatcherEditor, org_id: int
    ) -> None:
        made = editor.create(org_id, fields(chips=["cpu"]), "Alice").watcher
        with pytest.raises(NotFound):
            undelete_watcher(org_id, made.id, "Alice")


class TestAudit:
    def test_records_changes_and_actor_but_not_the_path_of_the_webhook(self, editor, org_id):
        made = editor.create(org_id, fields(chips=["cpu"], webhook_url=URL), "Alice").watcher
        editor.update(org_id, made.id, fields(severity="low"), "Bob")
        delete_watcher(org_id, made.id, "Bob")
        deleted, updated, created = list_audit(org_id).items
        assert (created.actor, created.action) == ("Alice", "watcher.create")
        assert URL not in str(created.after)
        assert (updated.actor, updated.before, updated.after) == (
            "Bob",
            {"severity": "high"},
            {"severity": "low"},
        )
        assert deleted.action == "watcher.delete"
