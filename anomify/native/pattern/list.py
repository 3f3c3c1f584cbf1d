"""/patterns: lists of patterns, and of those that are still to be made."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import VIEWER
from anomify.edge.contract import names
from anomify.metric.queries import get_metric
from anomify.native.params import Name, canonical
from anomify.native.pattern.blueprint import blueprint
from anomify.native.shape.pattern import PatternsOut, PendingOut, pending_json
from anomify.native.shape.pattern_list import PatternFilterIn, patterns_out
from anomify.native.window import PageIn
from anomify.pattern.queries import list_pending


class PatternsIn(PatternFilterIn):
    """Which patterns of the org."""

    metric: Name | None = Field(
        None,
        description="Only those of this metric, by its name or id.",
        json_schema_extra=names("metric"),
    )


class PendingIn(PageIn):
    """Which pending patterns."""

    metric: Name | None = Field(
        None,
        description="Only those of this metric, by its name or id.",
        json_schema_extra=names("metric"),
    )


@blueprint.route("/patterns", inputs=PatternsIn, outputs=PatternsOut, access=VIEWER)
def patterns(inputs: PatternsIn) -> PatternsOut:
    """List the patterns of the org that are used, the newest first, or other ones."""
    return patterns_out(inputs, _metric_id(inputs.metric))


@blueprint.route("/patterns/pending", inputs=PendingIn, outputs=PendingOut, access=VIEWER)
def pending(inputs: PendingIn) -> PendingOut:
    """List the patterns that were requested and wait for points, the newest request first.

    A pattern of 30 days waits until an hour after the event. One that could not be made stays here
    with the reason.
    """
    page = list_pending(
        subject().org.id,
        metric_id=_metric_id(inputs.metric),
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return PendingOut(pending=pending_json(page.items), total=page.total)


def _metric_id(name: str | None) -> int | None:
    return None if name is None else get_metric(subject().org.id, canonical(name)).id
