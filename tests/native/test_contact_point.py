"""/contact_point and /contact_points over HTTP: saved with a test, shown without secrets."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from anomify.contact_point.model import ContactPoint
from anomify.db import Database, session
from anomify.native import contact_point
from anomify.watcher.queries import linked_contacts
from tests.factories import Cast, link_contact, make_cast, make_token, make_watcher
from tests.kit.receiver import Answer, receiving
from tests.kit.smtpsink import smtp_sink
from tests.kit.web import error, make_app, strict

CREATE = "/contact_point/create"


@dataclass
class Desk:
    """An app with the routes of contact points, which may call this machine."""

    client: FlaskClient
    database: Database
    cast: Cast

    def post(self, url: str, who: str = "bob", **fields: Any) -> TestResponse:
        return self.client.post(url, headers=self.cast.headers(who), json=fields)

    def saved(self, url: str, who: str = "bob", **fields: Any) -> Any:
        reply = self.post(url, who, **fields)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def read(self, url: str, who: str = "bob") -> Any:
        reply = self.client.get(url, headers=self.cast.headers(who))
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def rows(self) -> list[ContactPoint]:
        with self.database.unit_of_work(write=False):
            return list(session().scalars(select(ContactPoint)))


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    with database.unit_of_work():
        cast = make_cast()
    with smtp_sink() as sink:
        app = make_app(
            database,
            tmp_path,
            [contact_point.blueprint],
            egress_allow=("127.0.0.0/8",),
            smtp_host="127.0.0.1",
            smtp_port=sink.port,
            smtp_starttls=False,
        )
        yield Desk(app.test_client(), database, cast)
    app.extensions["anomify"].points.close()


class TestCreate:
    def test_sends_a_signed_test_message_and_returns_the_result(self, desk: Desk) -> None:
        with receiving() as receiver:
            made = desk.saved(
                CREATE, kind="webhook", name="Tickets", settings={"url": receiver.url}
            )

        assert made["test"] == {"delivered": True, "problem": None}
        (received,) = receiver.received
        payload = json.loads(received.body)
        assert payload["type"] == "contact_point.test"
        assert "Tickets" in payload["data"]["sentence"]
        assert received.headers["webhook-signature"].startswith("v1,")
        shown = made["contact_point"]
        assert (shown["name"], shown["kind"], shown["problem"]) == ("Tickets", "webhook", None)
        assert shown["delivered_timestamp"] is not None
        assert made["webhook_secret"].startswith("whsec_")
        assert shown["settings"] == [
            {"name": "url", "is_set": True, "value": "127.0.0.1"},
            {"name": "secret", "is_set": True, "value": None},
        ]

    def test_is_saved_although_the_test_fails_unless_it_is_required(self, desk: Desk) -> None:
        with receiving(Answer(500), Answer(500)) as receiver:
            requested = {"kind": "webhook", "settings": {"url": receiver.url}}
            refused = error(desk.post(CREATE, **requested, require_test=True))
            assert desk.rows() == []
            made = desk.saved(CREATE, **requested)

        assert (refused["code"], "500" in refused["message"]) == ("test_failed", True), refused
        assert made["test"]["delivered"] is False
        assert "500" in made["test"]["problem"]
        assert made["contact_point"]["problem"] == made["test"]["problem"]

    def test_a_required_test_that_arrives_is_sent_once_with_the_stored_secret(
        self, desk: Desk
    ) -> None:
        with receiving() as receiver:
            made = desk.saved(
                CREATE, kind="webhook", settings={"url": receiver.url}, require_test=True
            )

        assert len(receiver.received) == 1
        assert made["test"]["delivered"]

    def test_a_user_gets_a_mail(self, desk: Desk) -> None:
        made = desk.saved(CREATE, kind="email", user_id=desk.cast.bob.id)

        assert made["test"]["delivered"], made
        assert made["contact_point"]["name"] == "E-mail to Bob"

    def test_a_free_address_gets_no_test_before_it_is_confirmed(self, desk: Desk) -> None:
        made = desk.saved(CREATE, kind="email", settings={"address": "ops@lists.example"})

        assert made["contact_point"]["confirmed"] is False
        assert "confirmed" in made["test"]["problem"]

    def test_accepts_forms(self, desk: Desk) -> None:
        with receiving() as receiver:
            form = {"kind": "webhook", "settings": json.dumps({"url": receiver.url})}
            reply = desk.client.post(CREATE, headers=desk.cast.headers("bob"), data=form)
        assert strict(reply)["data"]["test"]["delivered"]

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"kind": "pigeon"}, "kind"),
            ({"kind": "webhook", "settings": {"url": "http://169.254.169.254/"}}, "settings.url"),
            ({"kind": "webhook", "settings": "[1]"}, "settings"),
            ({"kind": "webhook", "settings": {"url": 7}}, "settings.url"),
        ],
    )
    def test_names_the_wrong_field(self, desk: Desk, fields: dict[str, Any], field: str) -> None:
        assert list(error(desk.post(CREATE, **fields))["fields"]) == [field]

    def test_needs_an_editor(self, desk: Desk) -> None:
        assert desk.post(CREATE, "dave", kind="webhook").status_code == 403


class TestUpdate:
    def test_leaves_out_what_is_not_given_and_tests_again(self, desk: Desk) -> None:
        with receiving() as receiver:
            made = desk.saved(CREATE, kind="webhook", settings={"url": receiver.url})
            url = f"/contact_point/{made['contact_point']['id']}/update"
            saved = desk.saved(url, name="New name")

        assert saved["contact_point"]["name"] == "New name"
        assert (saved["webhook_secret"], saved["test"]["delivered"]) == (None, True)
        assert len(receiver.received) == 2

    def test_a_rotated_secret_signs_beside_the_former_one(self, desk: Desk) -> None:
        with receiving() as receiver:
            made = desk.saved(CREATE, kind="webhook", settings={"url": receiver.url})
            base = f"/contact_point/{made['contact_point']['id']}"
            rotated = desk.saved(f"{base}/rotate_secret")
            desk.saved(f"{base}/test")

        assert rotated["webhook_secret"] != made["webhook_secret"]
        assert len(receiver.received[-1].headers["webhook-signature"].split()) == 2


class TestSecrets:
    def test_are_shown_to_nobody(self, desk: Desk) -> None:
        url = "https://hooks.example/services/hidden-path"
        settings = {"url": url, "secret": "whsec_" + "c2VjcmV0" * 6}
        made = desk.saved(CREATE, kind="webhook", settings=settings)["contact_point"]
        pages = (f"/contact_point/{made['id']}", "/contact_points/list", "/contact_points/kinds")
        for who in ("alice", "bob", "dave"):
            shown = json.dumps([desk.read(page, who) for page in pages])
            assert "hidden-path" not in shown
            assert settings["secret"] not in shown
            assert "hooks.example" in shown


class TestDelete:
    def test_takes_it_from_the_watchers(self, desk: Desk) -> None:
        made = desk.saved(CREATE, kind="email", user_id=desk.cast.bob.id)["contact_point"]
        with desk.database.unit_of_work():
            watcher = make_watcher(desk.cast.acme)
            link_contact(watcher, session().get_one(ContactPoint, made["id"]))
        (listed,) = desk.read("/contact_points/list")["contact_points"]
        assert listed["watchers"] == [{"id": watcher.id, "name": "Load"}]

        desk.saved(f"/contact_point/{made['id']}/delete")
        assert desk.read("/contact_points/list") == {"contact_points": [], "total": 0}
        with desk.database.unit_of_work(write=False):
            assert linked_contacts([watcher.id]) == {watcher.id: []}
        assert desk.post(f"/contact_point/{made['id']}/test").status_code == 404


class TestKinds:
    def test_describes_what_to_enter(self, desk: Desk) -> None:
        found = {each["kind"]: each for each in desk.read("/contact_points/kinds")["kinds"]}

        assert found["email"]["takes_user"]
        assert {"email", "slack", "webhook", "pagerduty"} <= set(found)
        assert "apprise" not in found
        secret = {each["name"]: each["hidden"] for each in found["webhook"]["settings"]}
        assert secret == {"url": False, "secret": True}


def test_tokens_may_save_with_the_scope_write(desk: Desk) -> None:
    with desk.database.unit_of_work():
        _, reader = make_token(desk.cast.acme, "read")
        _, writer = make_token(desk.cast.acme, "write")
    fields = {"kind": "email", "user_id": desk.cast.bob.id}
    for token, status in ((reader, 403), (writer, 200)):
        reply = desk.client.post(CREATE, headers={"X-Auth-Token": token}, json=fields)
        assert reply.status_code == status
