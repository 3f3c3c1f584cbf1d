"""An access of a new kind: what a route declares is enough for it to be checked and tested."""

import csv
import json
from dataclasses import dataclass

import pytest
from flask import request
from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import Access, Credential, is_at_least
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, declared_routes, names
from anomify.errors import NotFound
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import RowId
from anomify.watcher.queries import get_watcher
from tests.contract.test_access import table
from tests.contract.test_forgery import check_foreign_change_refused
from tests.contract.test_roles import MAY, check_routes_refuse
from tests.contract.test_tenants import ask, check_things_of, filled, is_closed, is_ranked
from tests.factories import make_session, make_user, make_watcher
from tests.kit.web import error


@dataclass(frozen=True, kw_only=True)
class WatcherPermission(Access):
    """Editors may use it on the watchers that they made, admins on every watcher of the org."""

    # The value in the path that holds the id.
    of: str

    def allows(self, caller):
        if not super().allows(caller):
            return False
        if caller.user_role is None or is_at_least(caller.user_role, "admin"):
            return True
        with app_state().database.unit_of_work(write=False):
            try:
                watcher = get_watcher(caller.org.id, int(request.view_args[self.of]))
            except NotFound:
                # The view answers as it does for any id that does not exist.
                return True
        return watcher.created_by == caller.label

    def refusal(self, caller):
        if super().allows(caller):
            return "This watcher is somebody else's; ask them or an admin."
        return super().refusal(caller)


OWN_WATCHER = WatcherPermission(
    name="own watcher",
    sentence="For editors on their own watchers, for admins and owners on every watcher.",
    credentials=(Credential.SESSION, Credential.TOKEN),
    least_role="editor",
    scope="write",
    needs_paid_bill=True,
    of="watcher_id",
)


class WatcherIn(Inputs):
    """Which watcher."""

    watcher_id: RowId = Field(description="Its id.", json_schema_extra=names("watcher"))


class WatcherOut(Outputs):
    """A watcher."""

    name: str = Field(description="Its name.")


@pytest.fixture
def route(product):
    """A route of the product that only these tests have."""
    blueprint = NativeBlueprint("test_only", __name__)

    @blueprint.route(
        "/watcher/<int:watcher_id>/touch",
        inputs=WatcherIn,
        outputs=WatcherOut,
        access=OWN_WATCHER,
        changes=True,
    )
    def touch(inputs):
        """Touch a watcher."""
        return WatcherOut(name=get_watcher(subject().org.id, inputs.watcher_id).name)

    product.app.register_blueprint(blueprint)
    return declared_routes(product.app)["test_only.touch"]


class TestCustomAccess:
    @pytest.mark.usefixtures("route")
    def test_decides_about_the_thing_that_the_request_names(self, product):
        with product.database.unit_of_work():
            acme = product.cast.acme
            erin, frank = (make_user(acme, name, "editor") for name in ("Erin", "Frank"))
            headers = {
                user.name: {"X-Session-Id": make_session(user)} for user in (erin, frank)
            } | {"Alice": product.cast.headers("alice")}
            watcher = make_watcher(acme, "cpu", name="of Erin", created_by="Erin").id
        path = f"/watcher/{watcher}/touch"
        statuses = {
            name: product.client.post(path, headers=sent).status_code
            for name, sent in headers.items()
        }
        assert statuses == {"Erin": 200, "Frank": 403, "Alice": 200}
        refused = product.client.post(path, headers=headers["Frank"])
        assert error(refused)["message"] == "This watcher is somebody else's; ask them or an admin."

    def test_takes_part_in_the_generated_tests_by_being_declared(self, product, route):
        assert (is_closed(route.access), is_ranked(route.access)) == (True, True)
        may = MAY | {"own watcher": {"editor", "admin", "owner", "write"}}
        assert check_routes_refuse(product, [route], may) == 8
        with pytest.raises(AssertionError, match="own watcher"):
            check_routes_refuse(product, [route], MAY)
        assert check_things_of(product, route) > 0
        for reply in ask(product, route, filled(product, route), {}):
            assert reply.status_code in {401, 405}
        check_foreign_change_refused(product, route, "/watcher/1/touch")

    def test_is_in_the_table_of_routes_and_in_the_documentation(self, product, route):
        rows = {row["rule"]: row for row in csv.DictReader(table(product.app).splitlines())}
        assert rows[route.rule] == {
            "rule": route.rule,
            "methods": "GET POST",
            "access": "own watcher",
            "changes": "yes",
        }
        paths = json.loads(product.client.get("/doc/openapi").text)["paths"]
        operation = paths["/watcher/{watcher_id}/touch"]["post"]
        assert OWN_WATCHER.sentence in operation["description"]
        assert {"token": []} in operation["security"]
        assert {"401", "403", "404"} <= set(operation["responses"])
