"""/org/channels: contact points, and the channels that Slack bots see."""

import pytest

from anomify.native.org import channels
from anomify.org.sealing import PURPOSE
from tests.factories import make_contact_point
from tests.kit.slack_server import TOKEN, slack
from tests.kit.web import error, make_app, strict


@pytest.fixture
def site(database, tmp_path):
    with slack() as served:
        app = make_app(
            database,
            tmp_path,
            [channels.blueprint],
            egress_allow=("127.0.0.0/8",),
            channel_apis=(f"slack={served.api}",),
        )
        yield app, served
    app.extensions["anomify"].points.close()


def connect(app, database, org, kind="slack", **values):
    key = app.extensions["anomify"].settings.key_for(PURPOSE)
    with database.unit_of_work():
        return make_contact_point(org, kind, key, values=values)


def test_nothing_is_connected_at_first(site, cast):
    reply = site[0].test_client().get("/org/channels", headers=cast.headers("dave"))
    assert (reply.status_code, error(reply)["code"]) == (409, "not_connected")


def test_lists_contact_points_and_all_pages_of_channels_once_a_token(site, cast, database):
    app, _ = site
    first = connect(app, database, cast.acme, token=TOKEN, channel="#alerts")
    connect(app, database, cast.acme, token=TOKEN, channel="#other")
    connect(app, database, cast.globex, token="xoxb-theirs", channel="#x")
    data = strict(app.test_client().get("/org/channels", headers=cast.headers("dave")))["data"]

    assert len(data["contact_points"]) == 2
    assert data["problem"] is None
    assert data["channels"] == [
        {
            "id": "C0999",
            "name": "a-private-one",
            "is_private": True,
            "is_member": False,
            "contact_point_id": first.id,
        },
        {
            "id": "C0123ABCD",
            "name": "alerts",
            "is_private": False,
            "is_member": True,
            "contact_point_id": first.id,
        },
    ]
    assert TOKEN not in str(data)


def test_says_why_channels_are_missing(site, cast, database):
    app, served = site
    connect(app, database, cast.acme, token=TOKEN, channel="#alerts")
    served.fail("conversations.list", "missing_scope")
    data = strict(app.test_client().get("/org/channels", headers=cast.headers("bob")))["data"]

    assert data["channels"] == []
    assert "missing_scope" in data["problem"]
