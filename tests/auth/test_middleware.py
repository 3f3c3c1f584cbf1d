"""The walk to one subject: what signed links open, and what stays shut."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from anomify.clock import now
from anomify.org.signed_link import KEY_PURPOSE, signed_link
from anomify.user.model import SessionRow
from tests.kit.web import error, strict


@pytest.fixture
def link(app, cast):
    def make(path="/probe/signed", lifetime=timedelta(days=7), **parameters):
        key = app.extensions["anomify"].settings.key_for(KEY_PURPOSE)
        return signed_link(key, cast.acme.uuid, path, parameters, now() + lifetime)

    return make


class TestSignedLinks:
    def test_show_what_they_were_signed_for_and_open_no_session(self, client, database, link):
        with database.unit_of_work(write=False) as session:
            before = session.scalar(select(func.count()).select_from(SessionRow))
        reply = client.get(link(note='cpu{a="b"} ü/ %2F'))
        assert strict(reply)["data"] | {"ratio": 1} == {
            "caller": "link",
            "count": 0,
            "is_fast": False,
            "words": [],
            "note": 'cpu{a="b"} ü/ %2F',
            "ratio": 1,
        }
        assert strict(reply)["status"]["session_id"] is None
        with database.unit_of_work(write=False) as session:
            assert session.scalar(select(func.count()).select_from(SessionRow)) == before

    def test_are_worthless_once_any_part_is_changed(self, client, link):
        good = link(note="a")
        unsigned = good.split("&sig=")[0]
        for changed in (
            good.replace("note=a", "note=b"),
            good.replace("org=", "org=1"),
            good.replace("expires=", "expires=9"),
            good.replace("/probe/signed", "/probe/signed/7"),
            good + "&words=x",
            good + "&note=b",
            good + "&note=a",
            good[:-1] + ("0" if good[-1] != "0" else "1"),
            unsigned + "&sig=",
            unsigned + "&sig=%FF",
        ):
            reply = client.get(changed)
            assert reply.status_code == 403, changed
            assert error(reply)["code"] == "bad_link"

    def test_expire(self, client, link):
        assert client.get(link(lifetime=timedelta(seconds=-1))).status_code == 403

    def test_open_nothing_that_is_not_shown_by_links(self, client, link):
        assert client.get(link(path="/probe/viewer")).status_code == 401


class TestNobodyElsesObjects:
    def test_a_user_whose_account_is_gone_is_a_stranger(self, client, database, cast):
        with database.unit_of_work() as session:
            session.delete(session.get_one(type(cast.bob), cast.bob.id))
        assert client.get("/probe/viewer", headers=cast.headers("bob")).status_code == 401

    def test_asking_only_for_the_methods_runs_nothing(self, client, database):
        reply = client.options("/probe/owner")
        assert reply.status_code == 200
        with database.unit_of_work(write=False) as session:
            assert session.scalar(select(func.count()).select_from(SessionRow)) == 0
