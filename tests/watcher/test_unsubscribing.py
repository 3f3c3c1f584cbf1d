"""Links in mails that stop those of one watcher to one person."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from anomify.audit.model import AuditEntry
from anomify.dashboard import inbox, unsubscribe
from anomify.db import Database, sealing_key, session
from anomify.errors import NotFound
from anomify.org.model import Letter
from anomify.org.sealing import unseal
from anomify.watcher.model import WatcherContact
from anomify.watcher.unsubscribing import KEY_PURPOSE, find_subscription, unsubscribe_token
from tests.factories import link_contact, make_cast, make_contact_point, make_watcher
from tests.kit.web import make_app

PATH = "/ui/unsubscribe"


@dataclass
class Mails:
    app: Flask
    database: Database
    key: bytes
    watcher_id: int
    point_id: int
    other_watcher_id: int

    @property
    def token(self) -> str:
        return unsubscribe_token(self.key, self.watcher_id, self.point_id)

    def get(self, token: str | None = None) -> Any:
        return self.app.test_client().get(PATH, query_string={"token": token or self.token})

    def post(self, **form: str) -> Any:
        # As a mail program does it: no cookie, no token against forgery.
        return self.app.test_client().post(f"{PATH}?token={self.token}", data=form)

    def links(self) -> list[tuple[int, int, int]]:
        with self.database.unit_of_work(write=False):
            rows = session().scalars(select(WatcherContact).order_by(WatcherContact.watcher_id))
            return [(row.watcher_id, row.contact_point_id, row.step) for row in rows]


@pytest.fixture
def mails(database: Database, tmp_path: Path) -> Iterator[Mails]:
    app = make_app(database, tmp_path, [unsubscribe.blueprint, inbox.blueprint])
    key = app.extensions["anomify"].settings.key_for(KEY_PURPOSE)
    with database.unit_of_work():
        cast = make_cast()
        point = make_contact_point(cast.acme, "email", user_id=cast.alice.id, lane="@mail")
        again = make_contact_point(cast.acme, "email", user_id=cast.alice.id, lane="@mail")
        watcher, other = make_watcher(cast.acme, name="Shop"), make_watcher(cast.acme)
        link_contact(watcher, point, step=2)
        link_contact(watcher, again)
        link_contact(other, point)
        found = Mails(app, database, key, watcher.id, point.id, other.id)
    yield found
    app.extensions["anomify"].points.close()


def test_opening_the_link_stops_nothing(mails: Mails) -> None:
    before = mails.links()
    page = mails.get()
    assert page.status_code == 200
    assert "Stop these mails" in page.get_data(as_text=True)
    assert mails.links() == before


def test_one_click_stops_this_watchers_mails_to_this_person_and_tells_the_admins(
    mails: Mails,
) -> None:
    for _ in range(2):
        reply = mails.post(**{"List-Unsubscribe": "One-Click"})
        assert reply.status_code == 200
        assert "Send them again" in reply.get_data(as_text=True)
    assert mails.links() == [(mails.other_watcher_id, mails.point_id, 0)]
    with mails.database.unit_of_work():
        entries = session().scalars(select(AuditEntry)).all()
        assert [(row.action, row.actor) for row in entries] == [("watcher.unsubscribe", "Alice")]
        letters = session().scalars(select(Letter)).all()
        texts = [json.loads(unseal(sealing_key(), row.org_id or 0, row.sealed)) for row in letters]
    assert {text["subject"] for text in texts} == {
        "Acme: the watcher Shop notifies nobody any more"
    }
    assert "Alice stopped the mails of the watcher Shop" in texts[0]["text"]


def test_it_can_be_undone_with_the_step_that_it_had(mails: Mails) -> None:
    page = mails.post().get_data(as_text=True)
    token = page.split('name="token" value="')[1].split('"')[0]
    again = mails.app.test_client().post(PATH, data={"token": token, "again": "true"})
    assert "The mails are sent again" in again.get_data(as_text=True)
    assert (mails.watcher_id, mails.point_id, 2) in mails.links()


def test_who_was_taken_off_by_somebody_else_cannot_use_an_old_link(mails: Mails) -> None:
    with mails.database.unit_of_work():
        link = session().get(WatcherContact, (mails.watcher_id, mails.point_id))
        session().delete(link)
    before = mails.links()
    again = mails.app.test_client().post(PATH, data={"token": mails.token, "again": "true"})
    assert again.status_code == 409
    assert "were not stopped by this link" in again.get_data(as_text=True)
    assert mails.links() == before


def test_a_forged_or_changed_link_does_nothing(mails: Mails) -> None:
    ids = f"{mails.other_watcher_id}.{mails.point_id}.0."
    signature = mails.token.rpartition(".")[2]
    for token in (ids + signature, ids + "A" * 43, mails.token[:-1], mails.token + "A", "x"):
        assert mails.get(token).status_code == 404
        assert mails.app.test_client().post(PATH, data={"token": token}).status_code == 404
    assert len(mails.links()) == 3


@given(st.text(max_size=80) | st.from_regex(r"\d{1,10}\.\d{1,10}\.\d{1,3}\.[\w-]{43}"))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_text_is_a_token_by_chance(token: str) -> None:
    with pytest.raises(NotFound):
        find_subscription(b"k" * 32, token)
