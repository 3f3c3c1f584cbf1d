"""Who may ask what, route by route, as it was reviewed."""

import csv
import io
from pathlib import Path

from anomify.edge.access import INGEST, PUBLIC
from anomify.edge.contract import declared_routes
from anomify.edge.limits import Limit, limits_of

REVIEWED = Path(__file__).parent.parent / "data" / "access.csv"


def table(app):
    """The declared routes as CSV, in the order of their addresses."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(("rule", "methods", "access", "changes"))
    writer.writerows(
        sorted(
            (rule, " ".join(route.methods), route.access, "yes" if route.changes else "no")
            for route in declared_routes(app).values()
            for rule in route.rules
        )
    )
    return written.getvalue()


def test_every_route_has_the_access_of_the_reviewed_table(described_product, tmp_path):
    """A difference is a decision: look at it, then copy the file named below over the old one."""
    found = tmp_path / "access.csv"
    found.write_text(table(described_product.app))
    assert found.read_text() == REVIEWED.read_text(), f"review and copy {found} to {REVIEWED}"


def test_every_declared_route_has_a_description(described_product):
    for route in declared_routes(described_product.app).values():
        assert route.summary.endswith((".", "?")), route.endpoint


def test_every_route_is_limited_by_classes_that_there_are(described_product):
    """A misspelt class would otherwise fail only at the first request."""
    limited = {
        route.endpoint: limits_of(route)
        for route in declared_routes(described_product.app).values()
    }
    free = {endpoint for endpoint, limits in limited.items() if not limits}
    assert {limit for limits in limited.values() for limit in limits} <= set(Limit)
    assert all(
        declared_routes(described_product.app)[name].access in {PUBLIC, INGEST} for name in free
    )
