"""The page of an admin alert: which metrics stopped, since when, and whether it is over."""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from anomify.admin_alert.kinds import ALL_STOPPED, QUOTA_EXCEEDED
from anomify.admin_alert.queries import (
    get_raised_alert,
    heading_of,
    list_metrics_of,
    refused_names,
)
from anomify.auth.subject import subject
from anomify.clock import to_ms
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.metric_page import PATH as METRIC_PATH
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.wording import Moment
from anomify.edge.access import USER
from anomify.edge.contract import Inputs, names

blueprint = PageBlueprint("alert_page", __name__)

ROWS: Final = 500


class AlertPageIn(Inputs):
    """The code of the alert."""

    code: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="The code in the letter's link.", json_schema_extra=names("adminalert")
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A metric that stopped."""

    name: str
    url: str
    since: Moment
    returned: Moment | None
    has_left: bool


@blueprint.route("/ui/adminalert", inputs=AlertPageIn, access=USER, methods=["GET"])
def page(inputs: AlertPageIn) -> str:
    """Show one admin alert that was raised."""
    alert = get_raised_alert(subject().org.id, inputs.code)
    rows = [
        Row(
            name,
            address(METRIC_PATH, name=name),
            local_moment(to_ms(row.silent_since)),
            None if row.returned_at is None else local_moment(to_ms(row.returned_at)),
            row.left_at is not None,
        )
        for name, row in list_metrics_of(alert, limit=ROWS)
    ]
    over = alert.recovered_at
    return render_page(
        "dashboard/adminalert.html",
        name=heading_of(alert),
        is_all=alert.type_id == ALL_STOPPED,
        is_quota=alert.type_id == QUOTA_EXCEEDED,
        began=local_moment(to_ms(alert.began_at)),
        over=None if over is None else local_moment(to_ms(over)),
        count=alert.metric_count,
        rows=rows,
        refused=refused_names(alert.org_id) if alert.type_id == QUOTA_EXCEEDED else [],
    )
