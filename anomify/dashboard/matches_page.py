"""The list of matches: what patterns explained, so that nothing is held back unseen."""

from typing import Final, Literal

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now_ms
from anomify.dashboard.layout import render_page
from anomify.dashboard.match_row import match_rows
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.paging import page_links
from anomify.dashboard.patterns_tabs import DAY_MS, MATCHES_PATH, spared_lately, tabs
from anomify.edge.access import USER
from anomify.edge.contract import Inputs, names
from anomify.match.model import Validated
from anomify.match.queries import list_matches
from anomify.metric.queries import get_metric

blueprint = PageBlueprint("matches_page", __name__)

ROWS: Final = 25
WINDOWS: Final[dict[str, tuple[int | None, str, str]]] = {
    "7d": (7, "Last 7 days", "in the last 7 days"),
    "30d": (30, "Last 30 days", "in the last 30 days"),
    "all": (None, "All time", "so far"),
}
SAID: Final[dict[str, tuple[Validated | None, str]]] = {
    "any": (None, "Judged or not"),
    "unset": (Validated.UNSET, "Not judged yet"),
    "valid": (Validated.VALID, "Called right"),
    "invalid": (Validated.INVALID, "Called wrong"),
}


class MatchesPageIn(Inputs):
    """Which matches."""

    window: Literal["7d", "30d", "all"] = Field("30d", description="how far back")
    said: Literal["any", "unset", "valid", "invalid"] = Field("any", description="what people said")
    metric: str | None = Field(
        None,
        max_length=4_096,
        description="Only those of this metric.",
        json_schema_extra=names("metric"),
    )
    offset: int = Field(0, ge=0, le=10_000_000)

    @property
    def is_narrowed(self) -> bool:
        """Return whether any filter but the window is set."""
        return self.said != "any" or self.metric is not None

    def url(self, **changes: object) -> str:
        """Return the address of this list with changes; default values are left out."""
        given = {
            "window": None if self.window == "30d" else self.window,
            "said": None if self.said == "any" else self.said,
            "metric": self.metric,
            "offset": self.offset or None,
        }
        return address(MATCHES_PATH, **{**given, **changes})


@blueprint.route(MATCHES_PATH, inputs=MatchesPageIn, access=USER, methods=["GET"])
def page(inputs: MatchesPageIn) -> str:
    """List the matches of the org, the newest first."""
    org_id = subject().org.id
    metric = None if inputs.metric is None else get_metric(org_id, inputs.metric)
    days = WINDOWS[inputs.window][0]
    found = list_matches(
        org_id,
        metric_id=None if metric is None else metric.id,
        from_ms=None if days is None else now_ms() - days * DAY_MS,
        validated=SAID[inputs.said][0],
        limit=ROWS,
        offset=inputs.offset,
    )
    return render_page(
        "dashboard/matches.html",
        tabs=tabs(MATCHES_PATH),
        spared=spared_lately(),
        inputs=inputs,
        windows=[(key, words) for key, (_, words, _) in WINDOWS.items()],
        window_words=WINDOWS[inputs.window][2],
        said=[(key, words) for key, (_, words) in SAID.items()],
        metric=None if metric is None else metric.name,
        rows=match_rows(found.items),
        page=page_links(
            inputs.offset,
            len(found.items),
            found.total,
            ROWS,
            lambda at: inputs.url(offset=at or None),
        ),
        back=inputs.url(),
    )
