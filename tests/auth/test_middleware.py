"""Authentication of requests: signed links and deleted users."""

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
    def test_show_the_signed_page_and_start_no_session(self, client, database, link):
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

    def test_are_refused_when_any_part_is_changed(self, client, link):
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

    def test_give_no_access_to_other_routes(self, client, link):
        assert client.get(link(path="/probe/viewer")).status_code == 401


class TestSubject:
    def test_a_deleted_user_is_anonymous(self, client, database, cast):
        with database.unit_of_work() as session:
            session.delete(session.get_one(type(cast.bob), cast.bob.id))
        assert client.get("/probe/viewer", headers=cast.headers("bob")).status_code == 401

    def test_an_options_request_runs_no_view(self, client, database):
        reply = client.options("/probe/owner")
        assert reply.status_code == 200
        with database.unit_of_work(write=False) as session:
            assert session.scalar(select(func.count()).select_from(SessionRow)) == 0
