"""The list of proposals: patterns that the product has found, and what they would have hidden."""

from typing import Final

from flask import Response, make_response, redirect
from pydantic import Field

from anomify.auth.subject import subject, user_subject
from anomify.dashboard.anomaly_row import AnomalyRow, anomaly_row_of
from anomify.dashboard.layout import render_page
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.paging import page_links
from anomify.dashboard.pattern_row import pattern_rows
from anomify.dashboard.patterns_tabs import PROPOSALS_PATH, spared_lately, tabs
from anomify.edge.access import ADMIN, USER
from anomify.edge.contract import Inputs
from anomify.metric.queries import find_progress
from anomify.pattern.groups import list_pattern_groups
from anomify.pattern.learning_switch import set_learning
from anomify.pattern.model import Pattern, PatternState
from anomify.pattern.queries import list_would_hide

blueprint = PageBlueprint("proposals_page", __name__)

ROWS: Final = 10
MOST_HIDDEN: Final = 5


class ProposalsIn(Inputs):
    """Which proposals."""

    offset: int = Field(0, ge=0, le=10_000_000)


class LearningForm(Inputs):
    """Whether the product is to propose patterns."""

    learning: bool


@blueprint.route(PROPOSALS_PATH, inputs=ProposalsIn, access=USER, methods=["GET"])
def page(inputs: ProposalsIn) -> str:
    """List the proposed patterns of the org, and whether proposals are switched on."""
    org_id = subject().org.id
    found = list_pattern_groups(
        org_id, states=(PatternState.PROPOSED,), limit=ROWS, offset=inputs.offset
    )
    hidden = [_hidden(pattern) for pattern in found.items]
    return render_page(
        "dashboard/proposals.html",
        tabs=tabs(PROPOSALS_PATH),
        spared=spared_lately(),
        rows=list(zip(pattern_rows(found.items), hidden, strict=True)),
        is_on=subject().org.learns_patterns,
        may_switch=ADMIN.allows(subject()),
        page=page_links(
            inputs.offset,
            len(found.items),
            found.total,
            ROWS,
            lambda at: address(PROPOSALS_PATH, offset=at or None),
        ),
    )


@blueprint.route(
    f"{PROPOSALS_PATH}/learning",
    inputs=LearningForm,
    access=ADMIN,
    changes=True,
    methods=["POST"],
)
def switch(inputs: LearningForm) -> Response:
    """Switch proposals of the org on or off."""
    caller = user_subject()
    set_learning(caller.org.id, is_on=inputs.learning, actor=caller.label)
    return make_response(redirect(PROPOSALS_PATH, code=303))


def _hidden(pattern: Pattern) -> tuple[list[AnomalyRow], int]:
    """Return the newest anomalies that a proposal would have hidden, and how many there are."""
    org_id = subject().org.id
    found = list_would_hide(org_id, pattern.id, limit=MOST_HIDDEN)
    progress = find_progress(org_id, [pattern.metric_id]).get(pattern.metric_id)
    return [anomaly_row_of(anomaly, progress) for anomaly in found.items], found.total
