"""A class name says which class is meant: no two packages define public classes of one name."""

import ast
from collections import defaultdict

from tests.house.tree import parsed, python_files

# Packages that declare the requests and responses of many routes. A file of theirs names them after
# its own route (`CreateIn`, `DeletedOut`), so a name may be repeated within one of these packages.
API_PACKAGES = {"native", "ingest", "dashboard"}


def public_classes():
    """Return the files that define each public class, by the name of the class."""
    found = defaultdict(list)
    for path in python_files("anomify"):
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path)
    return found


def package_of(path):
    return path.parts[1].removesuffix(".py")


class TestClassNames:
    def test_no_two_packages_define_a_public_class_of_one_name(self):
        repeated = {
            name: sorted(map(str, paths))
            for name, paths in public_classes().items()
            if len({package_of(path) for path in paths}) > 1
        }
        assert repeated == {}, "name one of them after what only it holds"

    def test_only_api_packages_repeat_a_name_within_the_package(self):
        repeated = {
            name: sorted(map(str, paths))
            for name, paths in public_classes().items()
            if len(paths) > 1 and package_of(paths[0]) not in API_PACKAGES
        }
        assert repeated == {}, "name one of them after what only it holds"


class TestMigrationsEnvironment:
    def test_imports_every_module_that_declares_tables(self):
        (environment,) = [path for path in python_files("migrations") if path.name == "env.py"]
        imported = {
            alias.name
            for node in ast.walk(parsed(environment))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        models = {
            ".".join(path.with_suffix("").parts)
            for path in python_files("anomify")
            if any(
                isinstance(node, ast.ClassDef)
                and "Base" in [ast.unparse(each) for each in node.bases]
                for node in parsed(path).body
            )
        }
        assert models - imported == set(), "Alembic would drop the tables of these modules"
