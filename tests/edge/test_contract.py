"""Routes as declared: none without, and each kept for the documentation."""

import pytest
from flask import Blueprint

from anomify.edge.access import EDITOR, PUBLIC
from anomify.edge.contract import DeclaredBlueprint, check_declared, declared_routes
from tests.kit.web import strict


class TestCheckDeclared:
    def test_refuses_to_start_with_an_undeclared_route(self, app):
        blueprint = Blueprint("open", __name__)
        blueprint.add_url_rule("/open", view_func=lambda: "everybody", endpoint="gate")
        app.register_blueprint(blueprint)
        with pytest.raises(RuntimeError, match="/open"):
            check_declared(app)

    def test_a_declared_route_cannot_leave_its_access_out(self):
        with pytest.raises(TypeError, match="access"):
            DeclaredBlueprint("example", __name__).route("/open")
        with pytest.raises(TypeError, match="access"):
            DeclaredBlueprint("example", __name__).get("/open")


class TestDeclared:
    def test_every_route_is_kept_with_what_it_demands(self, app):
        routes = declared_routes(app)
        change = routes["probe.change_editor"]
        assert (change.rule, change.access, change.changes) == (
            "/probe/editor/change",
            EDITOR,
            True,
        )
        assert change.summary == "Say what was asked, by whom."
        assert routes["probe.viewer"].rules == ("/probe/viewer", "/probe/viewer/<int:count>")
        assert set(routes["probe.viewer"].methods) == {"GET", "POST"}

    def test_a_prefix_of_the_blueprint_is_part_of_the_rule(self, app):
        blueprint = DeclaredBlueprint("prefixed", __name__, url_prefix="/under")

        @blueprint.route("/here", access=PUBLIC)
        def here():
            """Be here."""
            return "here"

        app.register_blueprint(blueprint)
        assert declared_routes(app)["prefixed.here"].rule == "/under/here"
        assert app.test_client().get("/under/here").text == "here"


class TestAnswering:
    def test_get_and_post_answer_the_same(self, client, cast):
        requested = {"count": "3", "is_fast": "true", "words": "a,b", "note": "x", "ratio": "0.5"}
        headers = cast.headers("bob")
        replies = [
            client.get("/probe/viewer", query_string=requested, headers=headers),
            client.post("/probe/viewer", data=requested, headers=headers),
            client.post("/probe/viewer", json=requested, headers=headers),
            client.post("/probe/viewer/3", query_string=requested, headers=headers),
        ]
        answers = [strict(reply)["data"] for reply in replies]
        assert answers == [
            {
                "caller": "Bob",
                "count": 3,
                "is_fast": True,
                "words": ["a", "b"],
                "note": "x",
                "ratio": 0.5,
            }
        ] * len(answers)

    def test_not_a_number_goes_out_as_null(self, client):
        assert strict(client.get("/probe/public?ratio=nan"))["data"]["ratio"] is None

    def test_the_path_contradicting_the_query_is_refused(self, client, cast):
        reply = client.get("/probe/viewer/3?count=4", headers=cast.headers("bob"))
        assert reply.status_code == 400
