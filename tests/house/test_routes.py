"""Where an address leads: the first word of a native one is the name of its file."""

import shutil

import pytest

from anomify.config import Settings
from anomify.edge.contract import declared_routes
from anomify.factory import create_app

# Addresses of other families, by how they begin, and the blueprints they belong to.
OTHER_FAMILIES = {
    "/ui": "anomify.dashboard",
    "/flux": "anomify.ingest",
    "/api/v1": "anomify.ingest",
    "/api/v2": "anomify.ingest",
}
# Operators' addresses have no word, and `/` only leads to the pages.
OPERATORS = "/-/"


@pytest.fixture
def app(migrated_sqlite_file, tmp_path):
    shutil.copy(migrated_sqlite_file, tmp_path / "meta.db")
    made = create_app(Settings(data_dir=tmp_path))
    yield made
    made.extensions["anomify"].points.close()
    made.extensions["anomify"].database.dispose()


def views(app):
    """Yield the first rule and the module of every declared route."""
    for endpoint, declared in declared_routes(app).items():
        view = app.view_functions[endpoint]
        yield declared.rule, view.__module__


def singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word.removesuffix("es") if word.endswith("ches") else word.removesuffix("s")


class TestAddresses:
    def test_each_family_keeps_to_its_own(self, app):
        for rule, module in views(app):
            for start, blueprint in OTHER_FAMILIES.items():
                if rule == start or rule.startswith(f"{start}/"):
                    assert module.startswith(blueprint), rule
                elif module.startswith("anomify.ingest"):
                    assert rule.startswith(("/flux/", "/api/v1/", "/api/v2/")), rule

    def test_the_first_word_of_a_native_address_names_its_file(self, app):
        checked = 0
        for rule, module in views(app):
            if not module.startswith("anomify.native."):
                continue
            file_or_folder = module.removeprefix("anomify.native.").split(".")[0]
            if rule.startswith(OPERATORS):
                assert file_or_folder == "operators"
                continue
            word = rule.split("/")[1]
            # A word with several files is a folder: native/org/tokens.py.
            assert file_or_folder in {word, singular(word)}, f"{rule} is in {module}"
            checked += 1
        assert checked > 10
