"""The list of metrics with their states, learning progress and last values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.paging import Choice, page_links
from anomify.dashboard.setup import refused_lately
from anomify.dashboard.wording import NO_VALUE, Moment, number, within_sentence
from anomify.edge.access import USER
from anomify.edge.contract import Inputs
from anomify.exclusion.wording import explained, rules_behind
from anomify.metric.queries import count_by_state, list_metrics
from anomify.metric.status import MetricStatus, State
from anomify.metric.young import young_until_ms

blueprint = PageBlueprint("metrics_page", __name__)

PATH: Final = "/ui/metrics"
ROWS: Final = 50
# Always offered; other states only while a metric is in them.
OFFERED: Final = (State.JUDGED, State.LEARNING, State.STALE)


class MetricsPageIn(Inputs):
    """The filters of the list."""

    search: str = Field("", max_length=512, description="words of the name")
    state: State | None = Field(None, description="only metrics in this state")
    offset: int = Field(0, ge=0, le=10_000_000)

    def url(self, **changes: object) -> str:
        """Return the address of these filters with changes."""
        parameters = {"search": self.search, "state": self.state and self.state.value, **changes}
        return address(PATH, **parameters)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list."""

    name: str
    url: str
    status: MetricStatus
    last_value: str
    last_seen: Moment | None
    new_until: Moment | None


@blueprint.route(PATH, inputs=MetricsPageIn, access=USER, methods=["GET"])
def page(inputs: MetricsPageIn) -> str:
    """Show the metrics of the org, by name."""
    org_id, at = subject().org.id, now()
    counts = count_by_state(org_id, at)
    found = list_metrics(
        org_id,
        at,
        words=inputs.search.split(),
        state=inputs.state,
        limit=ROWS,
        offset=inputs.offset,
    )
    rules = rules_behind(org_id, found.items)
    return render_page(
        "dashboard/metrics.html",
        inputs=inputs,
        rows=[_row(status, at) for status in explained(found.items, rules)],
        page=page_links(
            inputs.offset,
            len(found.items),
            found.total,
            ROWS,
            lambda at: inputs.url(offset=at or ""),
        ),
        states=_states(inputs, counts),
        has_metrics=any(counts.values()),
        refused=sum(line.items for line in refused_lately(org_id)),
    )


def _row(status: MetricStatus, at: datetime) -> Row:
    name, progress = status.metric.name, status.progress
    young_ms = young_until_ms(status, at)
    return Row(
        name=name,
        url=address("/ui/metric", name=name),
        status=status,
        last_value=number(progress.last_value) if progress else NO_VALUE,
        last_seen=local_moment(progress.judged_until_ms) if progress else None,
        new_until=None if young_ms is None else within_sentence(local_moment(young_ms)),
    )


def _states(inputs: MetricsPageIn, counts: dict[State, int]) -> list[Choice]:
    others = [state for state in State if counts[state] and state not in OFFERED]
    every = Choice("All", inputs.url(state=None), sum(counts.values()), inputs.state is None)
    return [every] + [
        Choice(
            state.value.capitalize(),
            inputs.url(state=state.value),
            counts[state],
            state is inputs.state,
        )
        for state in (*OFFERED, *others)
    ]
