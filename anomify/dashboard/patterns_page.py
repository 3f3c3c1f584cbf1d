"""The list of patterns: what people called expected or unexpected, and how often it came again."""

from typing import Final, Literal

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import to_ms
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.paging import page_links
from anomify.dashboard.pattern_row import pattern_rows
from anomify.dashboard.patterns_tabs import PATTERNS_PATH, spared_lately, tabs
from anomify.dashboard.wording import within_sentence
from anomify.edge.access import USER
from anomify.edge.contract import Inputs, names
from anomify.metric.queries import get_metric
from anomify.pattern.figures import window_in_words
from anomify.pattern.groups import list_pattern_groups
from anomify.pattern.model import PatternState
from anomify.pattern.queries import list_pending

blueprint = PageBlueprint("patterns_page", __name__)

ROWS: Final = 25
MOST_PENDING: Final = 10
STATES: Final[dict[str, tuple[tuple[PatternState, ...], str]]] = {
    "used": ((PatternState.ACTIVE,), "In use"),
    "unused": ((PatternState.DISABLED, PatternState.RETIRED), "Not in use"),
    "all": ((PatternState.ACTIVE, PatternState.DISABLED, PatternState.RETIRED), "All"),
}


class PatternsPageIn(Inputs):
    """Which patterns."""

    state: Literal["used", "unused", "all"] = Field("used", description="used, unused or all")
    metric: str | None = Field(
        None,
        max_length=4_096,
        description="Only those of this metric.",
        json_schema_extra=names("metric"),
    )
    offset: int = Field(0, ge=0, le=10_000_000)

    def url(self, **changes: object) -> str:
        """Return the address of this list with changes."""
        state = None if self.state == "used" else self.state
        given = {"state": state, "metric": self.metric, "offset": self.offset or None}
        return address(PATTERNS_PATH, **{**given, **changes})


@blueprint.route(PATTERNS_PATH, inputs=PatternsPageIn, access=USER, methods=["GET"])
def page(inputs: PatternsPageIn) -> str:
    """List the patterns of the org, those of one training as one."""
    org_id = subject().org.id
    metric = None if inputs.metric is None else get_metric(org_id, inputs.metric)
    found = list_pattern_groups(
        org_id,
        metric_id=None if metric is None else metric.id,
        states=STATES[inputs.state][0],
        limit=ROWS,
        offset=inputs.offset,
    )
    return render_page(
        "dashboard/patterns.html",
        tabs=tabs(PATTERNS_PATH),
        spared=spared_lately(),
        inputs=inputs,
        states=[(key, words) for key, (_, words) in STATES.items()],
        metric=None if metric is None else metric.name,
        rows=pattern_rows(found.items),
        pending=_pending(),
        page=page_links(
            inputs.offset,
            len(found.items),
            found.total,
            ROWS,
            lambda at: inputs.url(offset=at or None),
        ),
    )


def _pending() -> list[dict[str, object]]:
    """Return the patterns that wait for points, or could not be made."""
    waiting = list_pending(subject().org.id, limit=MOST_PENDING).items
    return [
        {
            "metric": row.metric.name,
            "url": address("/ui/metric", name=row.metric.name, event=row.anomaly_id),
            "words": window_in_words(row.duration_seconds),
            "label": row.label,
            "due": within_sentence(local_moment(to_ms(row.due_at))),
            "problem": row.last_error or "",
            "has_failed": row.settled_at is not None,
        }
        for row in waiting
    ]
