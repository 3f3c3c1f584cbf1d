"""/matches: what patterns have explained, so that nothing is held back unseen."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import VIEWER
from anomify.edge.contract import names
from anomify.match.model import Validated
from anomify.match.queries import list_matches
from anomify.metric.queries import get_metric
from anomify.native.match.blueprint import blueprint
from anomify.native.params import Name, canonical
from anomify.native.shape.match import MatchesOut, matches_json
from anomify.native.window import DAY, PageIn, WindowIn


class MatchesIn(WindowIn, PageIn):
    """Which matches."""

    metric: Name | None = Field(
        None,
        description="Only those of this metric, by its name or id.",
        json_schema_extra=names("metric"),
    )
    validated: Validated | None = Field(
        None,
        description="Only those of which nobody has said anything (0), or which people have called"
        " valid (1) or invalid (2).",
    )


@blueprint.route("/matches", inputs=MatchesIn, outputs=MatchesOut, access=VIEWER)
def matches(inputs: MatchesIn) -> MatchesOut:
    """List what patterns have explained in a window, the last seven days, the newest first.

    Each would have been an anomaly, and nobody was notified of it.
    """
    org_id = subject().org.id
    from_ms, until_ms = inputs.window_ms(7 * DAY)
    metric = None if inputs.metric is None else get_metric(org_id, canonical(inputs.metric))
    page = list_matches(
        org_id,
        metric_id=metric.id if metric else None,
        from_ms=from_ms,
        until_ms=until_ms,
        validated=inputs.validated,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return MatchesOut(matches=matches_json(page.items), total=page.total)
