"""The list of metrics: what reports, how far it has learnt, its last value."""

from dataclasses import dataclass
from typing import Final

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now
from anomify.dashboard.door import PageDoor, address
from anomify.dashboard.frame import framed, said
from anomify.dashboard.paging import Choice, page_links
from anomify.dashboard.set_up import refused_lately
from anomify.dashboard.wording import NO_VALUE, Moment, number
from anomify.edge.contract import Access, Inputs
from anomify.exclusion.saying import explained, rules_behind
from anomify.metric.queries import count_by_state, list_metrics
from anomify.metric.standing import Standing, State

door = PageDoor("metrics_page", __name__)

PATH: Final = "/ui/metrics"
ROWS: Final = 50
# Always offered; the others only while a metric stands so.
OFFERED: Final = (State.JUDGED, State.LEARNING, State.STALE)


class MetricsPageIn(Inputs):
    """Which metrics are wanted."""

    search: str = Field("", max_length=512, description="words of the name")
    state: State | None = Field(None, description="only those that stand so")
    offset: int = Field(0, ge=0, le=10_000_000)

    def url(self, **changes: object) -> str:
        """Return the address of this wish with changes."""
        asked = {"search": self.search, "state": self.state and self.state.value, **changes}
        return address(PATH, **asked)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list."""

    name: str
    url: str
    standing: Standing
    last_value: str
    last_seen: Moment | None


@door.route(PATH, inputs=MetricsPageIn, access=Access.USER, methods=["GET"])
def page(wish: MetricsPageIn) -> str:
    """Show the metrics of the org, by name."""
    org_id, at = subject().org.id, now()
    counts = count_by_state(org_id, at)
    found = list_metrics(
        org_id,
        at,
        words=wish.search.split(),
        state=wish.state,
        limit=ROWS,
        offset=wish.offset,
    )
    rules = rules_behind(org_id, found.items)
    return framed(
        "dashboard/metrics.html",
        wish=wish,
        rows=[_row(standing) for standing in explained(found.items, rules)],
        page=page_links(
            wish.offset, len(found.items), found.total, ROWS, lambda at: wish.url(offset=at or "")
        ),
        states=_states(wish, counts),
        has_metrics=any(counts.values()),
        refused=sum(line.items for line in refused_lately(org_id)),
    )


def _row(standing: Standing) -> Row:
    name, progress = standing.metric.name, standing.progress
    return Row(
        name=name,
        url=address("/ui/metric", name=name),
        standing=standing,
        last_value=number(progress.last_value) if progress else NO_VALUE,
        last_seen=said(progress.judged_until_ms) if progress else None,
    )


def _states(wish: MetricsPageIn, counts: dict[State, int]) -> list[Choice]:
    others = [state for state in State if counts[state] and state not in OFFERED]
    every = Choice("All", wish.url(state=None), sum(counts.values()), wish.state is None)
    return [every] + [
        Choice(
            state.value.capitalize(),
            wish.url(state=state.value),
            counts[state],
            state is wish.state,
        )
        for state in (*OFFERED, *others)
    ]
