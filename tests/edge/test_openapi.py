"""A description made of declarations: inputs, outputs, credentials, failures."""

import pytest
from pydantic import Field

from anomify.edge.access import EDITOR, PUBLIC
from anomify.edge.contract import Inputs, Outputs, declared_routes, names
from anomify.edge.openapi.document import Title, describe
from anomify.native.envelope import NativeBlueprint


class CatIn(Inputs):
    cat_id: int = Field(ge=1, description="Which cat.", json_schema_extra=names("cat"))
    start: float | None = Field(None, validation_alias="from", description="Since when.")
    words: list[str] = Field(default=[], description="Words about it.")
    name: str = Field(description="What to call it.", json_schema_extra=names(None))


class CatOut(Outputs):
    """A cat."""

    name: str = Field(description="What it is called.")


@pytest.fixture
def document(app):
    blueprint = NativeBlueprint("cat", __name__)

    @blueprint.route(
        "/cat/<int:cat_id>",
        inputs=CatIn,
        outputs=CatOut,
        access=EDITOR,
        changes=True,
        errors=(409,),
    )
    def rename(requested):
        """Name a cat.

        It will not listen.
        """

    @blueprint.route("/cat/picture", access=PUBLIC, media="image/png")
    def picture():
        """Draw a cat."""

    @blueprint.route("/cats", access=PUBLIC, media="text/html")
    def page():
        """Show all cats."""

    app.register_blueprint(blueprint)
    routes = [route for route in declared_routes(app).values() if route.endpoint.startswith("cat")]
    return describe(
        routes, Title("Cats", "1", "About cats.", {"cat": "Cats."}, has_session_parameter=False)
    )


class TestDescribe:
    def test_states_where_each_input_belongs(self, document):
        sent = document["paths"]["/cat/{cat_id}"]
        by_get = {found["name"]: found for found in sent["get"]["parameters"]}
        assert (by_get["cat_id"]["in"], by_get["cat_id"]["schema"]["x-names"]) == ("path", "cat")
        assert by_get["from"]["schema"] == {"type": "number"}
        assert (by_get["words"]["explode"], by_get["name"]["required"]) == (False, True)
        contents = sent["post"]["requestBody"]["content"]
        assert set(contents) == {"application/json", "application/x-www-form-urlencoded"}
        for content in contents.values():
            assert set(content["schema"]["properties"]) == {"from", "words", "name"}
            assert content["schema"]["required"] == ["name"]

    def test_states_who_may_call_and_with_which_credentials(self, document):
        sent = document["paths"]["/cat/{cat_id}"]
        assert sent["get"]["security"] == [{"session_header": []}, {"token": []}]
        assert {"session_cookie": []} in sent["post"]["security"]
        assert "scope `write`" in sent["post"]["description"]
        assert sent["post"]["description"].startswith("It will not listen.")
        assert "session_parameter" not in document["components"]["securitySchemes"]
        assert document["paths"]["/cat/picture"]["get"]["security"] == []

    def test_describes_the_replies(self, document):
        answers = document["paths"]["/cat/{cat_id}"]["post"]["responses"]
        assert {"200", "400", "401", "403", "404", "405", "409", "429", "503"} <= set(answers)
        good = answers["200"]["content"]["application/json"]["schema"]
        assert good["properties"]["data"] == {"$ref": "#/components/schemas/Cat"}
        assert answers["409"] == {"$ref": "#/components/responses/Problem409"}
        picture = document["paths"]["/cat/picture"]["get"]["responses"]
        assert set(picture["200"]["content"]) == {"image/png"}
        assert "304" in picture

    def test_leaves_pages_out(self, document):
        assert set(document["paths"]) == {"/cat/{cat_id}", "/cat/picture"}
        assert document["tags"] == [{"name": "cat", "description": "Cats."}]
