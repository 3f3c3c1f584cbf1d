"""Contact points are checked when they are saved, and their secrets are never shown."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from anomify.audit.queries import list_audit
from anomify.channel.kinds import KINDS
from anomify.clock import now
from anomify.config import Settings
from anomify.contact_point import confirmation, editing
from anomify.contact_point.editing import ContactEditor, ContactFields, delete_contact_point
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import why_not_reached
from anomify.contact_point.queries import get_contact_point, list_contact_points
from anomify.contact_point.settings import seal_open_settings, settings_of, signing_secrets
from anomify.contact_point.view import contact_view
from anomify.db import session
from anomify.errors import Invalid, NotFound, QuotaExceeded
from anomify.org.model import Letter
from anomify.org.sealing import seal
from tests.factories import make_contact_point, make_org, make_user

SETTINGS = Settings(
    data_dir=Path("unused"), secret_key=SecretStr("k" * 64), egress_allow=("10.2.0.0/16",)
)
URL = "https://hooks.example/services/T0/hidden-part"
SECRETS = ("whsec_" + base64.b64encode(b"s" * 24).decode(), "hidden-token-1234", "hidden-part")
# Settings that each kind accepts.
EXAMPLES: dict[str, dict[str, str]] = {
    "webhook": {"url": URL, "secret": SECRETS[0]},
    "slack": {"token": "xoxb-hidden-token-1234", "channel": "#ops", "mentions": "U012AB3CD"},
    "teams": {"url": URL},
    "pagerduty": {"routing_key": "0123456789abcdef0123456789abcdef"},
    "alertmanager": {"url": "https://am.example/", "username": "u", "password": SECRETS[1]},
    "telegram": {"token": "123456789:AAF-hidden-token-1234-5678901234567", "chat_id": "-100123"},
    "ntfy": {"url": "https://ntfy.example/topic", "token": "tk_hiddentoken12341234567890123"},
    "sms": {
        "account_sid": "AC" + "0" * 32,
        "auth_token": "0123456789abcdef" * 2,
        "from": "+15005550006",
        "to": "+4930123456",
    },
    "email": {"address": "ops@lists.example"},
}


@pytest.fixture
def editor() -> ContactEditor:
    return ContactEditor(SETTINGS)


def wanted(kind: str = "webhook", **more: Any) -> ContactFields:
    return ContactFields(**{"kind": kind, "settings": EXAMPLES[kind], **more})


@pytest.mark.usefixtures("unit")
class TestCreate:
    def test_accepts_each_kind_and_shows_no_secret(self, editor: ContactEditor) -> None:
        org = make_org()
        for kind in editor.kinds():
            saved = editor.create(org.id, wanted(kind.name), "Alice").contact_point

            assert settings_of(saved, editor.key) == EXAMPLES[kind.name]
            secrets = [
                EXAMPLES[kind.name][setting.name]
                for setting in kind.settings
                if setting.is_secret and setting.name in EXAMPLES[kind.name]
            ]
            shown = str(contact_view(saved, editor.key))
            (entry,) = list_audit(org.id, limit=1).items
            for hidden in (*secrets, "hidden-part"):
                assert hidden not in f"{shown}{entry.after}{saved.name}{saved.settings_sealed}"
            assert saved.lane
        names = [each.name for each in list_contact_points(org.id)]
        assert len(set(names)) == len(names) == len(editor.kinds())

    @pytest.mark.parametrize(
        ("requested", "field"),
        [
            (ContactFields(kind="pigeon"), "kind"),
            (ContactFields(), "kind"),
            (wanted(settings={}), "settings.url"),
            (wanted(settings={"url": "http://169.254.169.254/"}), "settings.url"),
            (wanted(settings={"url": "https://10.3.0.1/"}), "settings.url"),
            (wanted(settings={"url": URL, "secret": "short"}), "settings.secret"),
            (wanted(settings={"url": URL, "port": "1"}), "settings.port"),
            (wanted(settings={"url": f"{URL}\n"[:-1] + "\x07"}), "settings.url"),
            (wanted(name="x" * 201), "name"),
            (wanted(name="a\u202eb"), "name"),
            (wanted(user_id=1), "user_id"),
            (wanted("email", settings={}), "user_id"),
            (wanted("email", settings={}, user_id=2**40), "user_id"),
            (wanted("email", settings={"address": "nobody"}), "settings.address"),
            (wanted("slack", settings={"token": "xoxb-1"}), "settings.channel"),
        ],
    )
    def test_names_the_invalid_field(
        self, editor: ContactEditor, requested: ContactFields, field: str
    ) -> None:
        with pytest.raises(Invalid) as refusal:
            editor.create(make_org().id, requested, "Alice")

        assert list(refusal.value.fields) == [field]

    def test_allows_networks_that_the_operator_allows(self, editor: ContactEditor) -> None:
        saved = editor.create(make_org().id, wanted(settings={"url": "http://10.2.3.4/"}), "Alice")

        assert saved.contact_point.lane == "10.2.3.4"
        assert (saved.fresh_secret or "").startswith("whsec_")

    def test_names_are_unique_in_an_org(self, editor: ContactEditor) -> None:
        org = make_org()
        editor.create(org.id, wanted(name="Ops"), "Alice")
        with pytest.raises(Invalid) as refusal:
            editor.create(org.id, wanted(name=" OPS "), "Alice")

        assert list(refusal.value.fields) == ["name"]
        assert editor.create(make_org("Globex").id, wanted(name="Ops"), "C").contact_point.name

    def test_an_org_has_a_limited_number(
        self, editor: ContactEditor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(editing, "CONTACT_POINTS_MAX", 1)
        org = make_org()
        editor.create(org.id, wanted(), "Alice")
        with pytest.raises(QuotaExceeded):
            editor.create(org.id, wanted(), "Alice")

    def test_a_user_of_another_org_is_unknown(self, editor: ContactEditor) -> None:
        charlie = make_user(make_org("Globex"), "Charlie")
        with pytest.raises(Invalid):
            editor.create(make_org().id, wanted("email", settings={}, user_id=charlie.id), "Alice")


@pytest.mark.usefixtures("unit")
class TestUpdate:
    def test_changes_only_what_is_given(self, editor: ContactEditor) -> None:
        org = make_org()
        made = editor.create(org.id, wanted("alertmanager", name="AM"), "Alice").contact_point
        given = {"username": "", "url": "https://new.example/", "password": SECRETS[1]}
        editor.update(org.id, made.id, ContactFields(settings=given), "Bob")

        assert settings_of(made, editor.key) == {
            "url": "https://new.example/",
            "password": SECRETS[1],
        }
        assert (made.name, made.lane) == ("AM", "new.example")
        (entry,) = list_audit(org.id, limit=1).items
        assert entry.before == {"username": "u", "url": "am.example"}
        assert entry.after == {"username": None, "url": "new.example", "replaced": ["Address"]}

    def test_a_kept_secret_is_not_sent_to_another_host(self, editor: ContactEditor) -> None:
        org = make_org()
        for kind, secret, moved in [
            ("alertmanager", "password", "https://evil.example/"),
            ("alertmanager", "password", "http://am.example/"),
            ("ntfy", "token", "https://ntfy.example:8443/topic"),
            ("pagerduty", "routing_key", "https://evil.example"),
            ("sms", "auth_token", "https://evil.example/"),
        ]:
            made = editor.create(org.id, wanted(kind), "Alice").contact_point
            with pytest.raises(Invalid) as refused:
                editor.update(org.id, made.id, ContactFields(settings={"url": moved}), "Bob")
            assert list(refused.value.fields) == [f"settings.{secret}"]
            assert settings_of(made, editor.key) == EXAMPLES[kind]
            known = {"url": moved, secret: EXAMPLES[kind][secret]}
            editor.update(org.id, made.id, ContactFields(settings=known), "Alice")
            assert settings_of(made, editor.key)["url"] == moved
            editor.update(org.id, made.id, ContactFields(name=f"{kind} {moved}"), "Bob")

    def test_a_replaced_secret_also_signs_for_a_day(self, editor: ContactEditor) -> None:
        org = make_org()
        made = editor.create(org.id, wanted(), "Alice").contact_point
        saved = editor.rotate_secret(org.id, made.id, "Alice")

        values = settings_of(made, editor.key)
        assert saved.fresh_secret == values["secret"] != SECRETS[0]
        both = (values["secret"], SECRETS[0])
        assert signing_secrets(made, values, now(), editor.key) == both
        later = now() + timedelta(hours=25)
        assert signing_secrets(made, values, later, editor.key) == both[:1]

    def test_starts_a_stopped_one_again(self, editor: ContactEditor) -> None:
        org = make_org()
        made = editor.create(org.id, wanted(), "Alice").contact_point
        made.stopped_at = now()
        editor.update(org.id, made.id, ContactFields(), "Alice")

        assert made.stopped_at is None

    def test_the_kind_stays(self, editor: ContactEditor) -> None:
        org = make_org()
        made = editor.create(org.id, wanted(), "Alice").contact_point
        with pytest.raises(Invalid) as refusal:
            editor.update(org.id, made.id, ContactFields(kind="teams"), "Alice")
        assert list(refusal.value.fields) == ["kind"]

    def test_credentials_change_in_automatic_copies_too(self, editor: ContactEditor) -> None:
        org = make_org()
        made = editor.create(org.id, wanted("slack"), "Alice").contact_point
        copy = make_contact_point(
            org,
            "slack",
            editor.key,
            is_automatic=True,
            values={**EXAMPLES["slack"], "channel": "#b"},
        )
        editor.update(org.id, made.id, ContactFields(settings={"token": "xoxb-new"}), "Alice")

        assert settings_of(copy, editor.key)["token"] == "xoxb-new"
        assert settings_of(copy, editor.key)["channel"] == "#b"

    def test_is_found_by_its_org_only(self, editor: ContactEditor) -> None:
        made = editor.create(make_org().id, wanted(), "Alice").contact_point
        with pytest.raises(NotFound):
            editor.update(make_org("Globex").id, made.id, ContactFields(), "Charlie")


@pytest.mark.usefixtures("unit")
class TestDelete:
    def test_erases_the_secrets(self, editor: ContactEditor) -> None:
        org = make_org()
        made = editor.create(org.id, wanted(), "Alice").contact_point
        editor.rotate_secret(org.id, made.id, "Alice")
        delete_contact_point(made, "Alice")

        assert (made.settings_sealed, made.settings_open, made.former_secret_sealed) == (None,) * 3
        with pytest.raises(NotFound):
            get_contact_point(org.id, made.id)
        assert editor.create(org.id, wanted(name=made.name), "Alice").contact_point.id != made.id


@pytest.mark.usefixtures("unit")
class TestConfirmation:
    def token(self, editor: ContactEditor, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
        monkeypatch.setattr(confirmation.secrets, "token_urlsafe", lambda _: "the-token")
        made = editor.create(make_org().id, wanted("email"), "Alice").contact_point
        return made, "the-token"

    def test_an_address_gets_nothing_before_its_owner_agrees(
        self, editor: ContactEditor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, token = self.token(editor, monkeypatch)
        (letter,) = session().query(Letter).all()
        assert letter.recipient == "ops@lists.example"
        assert "confirmed" in (why_not_reached(made) or "")

        confirmation.confirm(token)
        assert why_not_reached(made) is None
        confirmation.confirm(token)

        confirmation.withdraw(token)
        assert "confirmed" in (why_not_reached(made) or "")

    def test_another_address_has_to_be_confirmed_anew(
        self, editor: ContactEditor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, token = self.token(editor, monkeypatch)
        confirmation.confirm(token)
        editor.update(made.org_id, made.id, ContactFields(name="Other"), "Alice")
        assert why_not_reached(made) is None
        monkeypatch.setattr(confirmation.secrets, "token_urlsafe", lambda _: "another")
        changed = ContactFields(settings={"address": "else@lists.example"})
        editor.update(made.org_id, made.id, changed, "Alice")

        assert why_not_reached(made) is not None
        with pytest.raises(NotFound):
            confirmation.confirm(token)

    def test_the_link_ends_after_a_week(
        self, editor: ContactEditor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, token = self.token(editor, monkeypatch)
        with time_machine.travel(now() + timedelta(days=7, seconds=1)), pytest.raises(NotFound):
            confirmation.confirm(token)

    def test_an_address_is_asked_a_few_times_a_day_only(self, editor: ContactEditor) -> None:
        for number in range(confirmation.LETTERS_MAX):
            editor.create(make_org(f"Org {number}").id, wanted("email"), "Alice")
        with pytest.raises(QuotaExceeded):
            editor.create(make_org("Globex").id, wanted("email"), "Charlie")

    def test_the_address_of_a_user_of_the_org_needs_none(self, editor: ContactEditor) -> None:
        org = make_org()
        bob = make_user(org, "Bob")
        given = {"address": bob.email.upper()}
        made = editor.create(org.id, wanted("email", settings=given), "Alice").contact_point

        assert (made.user_id, settings_of(made, editor.key)) == (bob.id, {})
        assert why_not_reached(made) is None
        assert session().query(Letter).count() == 0

    def test_the_address_of_a_user_of_another_org_needs_one(self, editor: ContactEditor) -> None:
        charlie = make_user(make_org("Globex"), "Charlie")
        given = {"address": charlie.email}
        made = editor.create(make_org().id, wanted("email", settings=given), "A").contact_point

        assert made.user_id is None
        assert why_not_reached(made) is not None


@pytest.mark.usefixtures("unit")
class TestSealOpenSettings:
    def test_seals_what_an_upgrade_has_moved(self, editor: ContactEditor) -> None:
        org = make_org()
        moved = make_contact_point(
            org,
            settings_open={"url": URL, "secret_sealed": seal(editor.key, org.id, SECRETS[0])},
        )
        other = make_contact_point(
            org, settings_open={"url": URL, "secret_sealed": seal(b"x" * 32, org.id, "s")}
        )
        seal_open_settings(editor.key)

        assert moved.settings_open is None
        assert settings_of(moved, editor.key) == {"url": URL, "secret": SECRETS[0]}
        assert other.settings_open is not None


# What people paste: texts of any kind for each setting of a kind.
PASTED = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(EXAMPLES)), data=st.data())
def test_pasted_settings_are_stored_as_they_are_or_refused_by_name(
    unit: Any, editor: ContactEditor, kind: str, data: st.DataObject
) -> None:
    names = [setting.name for setting in KINDS[kind].settings]
    pasted = data.draw(st.dictionaries(st.sampled_from(names), PASTED, max_size=3))
    given_settings = {**EXAMPLES[kind], **pasted}
    with unit.begin_nested() as undone:
        org = make_org()
        refused, saved = attempt(editor, org.id, wanted(kind, settings=given_settings))
        if saved is None:
            assert refused
            assert {name.removeprefix("settings.") for name in refused} <= {
                *names,
                "name",
                "user_id",
            }
        else:
            stored = settings_of(saved, editor.key)
            kept = {name: value.strip() for name, value in given_settings.items()}
            if kind == "email":
                kept["address"] = kept["address"].lower()
            expected = {name: value for name, value in kept.items() if value}
            # A webhook without a secret gets one.
            assert stored | {"secret": ""} == expected | {"secret": ""}
        undone.rollback()


def attempt(
    editor: ContactEditor, org_id: int, requested: ContactFields
) -> tuple[set[str], ContactPoint | None]:
    """Return the fields that were refused, or the contact point that was saved."""
    try:
        return set(), editor.create(org_id, requested, "Alice").contact_point
    except Invalid as refusal:
        return set(refusal.fields), None
