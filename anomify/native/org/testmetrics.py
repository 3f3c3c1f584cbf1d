"""/org/testmetrics: what the last test submission would have done."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now, to_timestamp
from anomify.edge.access import VIEWER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.metric.dry_run import SERVER_CHARACTERS_MAX, find_dry_run
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("org_testmetrics", __name__)


class DryRunIn(Inputs):
    """Whose test submission."""

    server_id: str | None = Field(
        None,
        max_length=SERVER_CHARACTERS_MAX,
        description="The x-server-id it was sent with; that of any server when left out.",
        examples=["web1"],
        json_schema_extra=names(None),
    )


class DroppedOut(Outputs):
    """An item that would not be stored."""

    metric: str = Field(description="Its name, as it was sent.")
    reason: str = Field(description="Why, in words.")


class DryRunOut(Outputs):
    """What a submission would have done; nothing of it was stored."""

    submitted_timestamp: int | None = Field(
        description="When it came, unix seconds; null where none came within the hour."
    )
    server_id: str | None = Field(description="The server that sent it, if the request named it.")
    accepted: list[str] = Field(description="Metrics it would have stored points of; some 1,000.")
    accepted_total: int = Field(description="How many points it would have stored.")
    new: list[str] = Field(description="Metrics that there were not yet.")
    dropped: list[DroppedOut] = Field(description="What it would have refused; some 1,000.")
    dropped_total: int = Field(description="How many items that would have been.")
    would_exceed_quota: bool = Field(
        description="Whether some would have exceeded the metric quota."
    )


@blueprint.route("/org/testmetrics", inputs=DryRunIn, outputs=DryRunOut, access=VIEWER)
def testmetrics(inputs: DryRunIn) -> DryRunOut:
    """Return what the last test submission would have stored and refused; kept for an hour.

    A submission is a test where it has the header `x-test-only: true`, or `"test": true` in its
    body.
    """
    found = find_dry_run(subject().org.id, now(), server_id=inputs.server_id)
    if found is None:
        return DryRunOut(
            submitted_timestamp=None,
            server_id=inputs.server_id,
            accepted=[],
            accepted_total=0,
            new=[],
            dropped=[],
            dropped_total=0,
            would_exceed_quota=False,
        )
    report = found.report
    return DryRunOut(
        submitted_timestamp=to_timestamp(found.at),
        server_id=found.server_id or None,
        accepted=list(report.accepted),
        accepted_total=report.accepted_total,
        new=list(report.new),
        dropped=[DroppedOut(metric=one.metric, reason=one.reason) for one in report.dropped],
        dropped_total=report.dropped_total,
        would_exceed_quota=report.would_exceed_quota,
    )
