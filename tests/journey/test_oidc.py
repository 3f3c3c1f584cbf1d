"""Signing in with a real OpenID provider, one that others have written."""

import shutil
from urllib.parse import parse_qs, urlsplit

import pytest

from anomify.config import Settings
from anomify.factory import create_app
from anomify.user.invitation import Inviter, invite
from tests.factories import make_cast
from tests.kit.glewlwyd import CLIENT_ID, CLIENT_SECRET, glewlwyd

HOME = "http://127.0.0.1:8080"


@pytest.mark.debian("glewlwyd")
def test_people_come_by_invitation_and_come_again_with_their_account_there(
    migrated_sqlite_file, tmp_path
):
    shutil.copy(migrated_sqlite_file, tmp_path / "meta.db")
    with glewlwyd(tmp_path / "theirs", f"{HOME}/login/oidc/callback") as there:
        app = create_app(
            Settings(
                data_dir=tmp_path,
                secret_key="k" * 64,
                oidc_issuer=there.issuer,
                oidc_client_id=CLIENT_ID,
                oidc_client_secret=CLIENT_SECRET,
                oidc_scopes="openid",
            )
        )
        app_state = app.extensions["anomify"]
        with app_state.database.unit_of_work():
            cast = make_cast()
            by = Inviter("Alice", "owner", HOME)
            _, link = invite(cast.acme, "ann@acme.example", "", "editor", by)
        invitation = parse_qs(urlsplit(link).query)["token"][0]

        def come_back(browser, **requested):
            begun = browser.get("/login/oidc", query_string=requested)
            return browser.get("/login/oidc/callback", query_string=there.sign_in(begun.location))

        # She has no account yet, so her address does not matter.
        assert come_back(app.test_client()).status_code == 403
        first = app.test_client()
        assert come_back(first, invitation=invitation).location == "/ui/"
        result = first.get("/user/info").json["data"]["user"]
        assert (result["name"], result["role"], result["org"]["name"]) == ("Ann", "editor", "Acme")
        again = app.test_client()
        assert come_back(again, next="/ui/metrics").location == "/ui/metrics"
        assert again.get("/user/info").json["data"]["user"]["id"] == result["id"]
        assert "Ann" in again.get("/ui/").text
        app_state.points.close()
        app_state.database.dispose()
