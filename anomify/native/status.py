"""/status: how the parts of the product are."""

from pydantic import Field

from anomify.edge.access import ANYONE
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs
from anomify.edge.health import components
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("status", __name__)


class ComponentOut(Outputs):
    """A part of the product."""

    name: str = Field(
        description="database, log, worker, delivery or storage.", examples=["worker"]
    )
    ok: bool = Field(description="Whether it works.")
    lag_seconds: float | None = Field(
        description="How long the oldest point has waited to be judged, or message to be sent."
    )
    problem: str | None = Field(None, description="What is wrong with it, where that is known.")


class StatusOut(Outputs):
    """Every part of the product."""

    components: list[ComponentOut] = Field(description="The parts, one by one.")


@blueprint.route(
    "/status",
    inputs=Inputs,
    outputs=StatusOut,
    access=ANYONE,
    # A part that cannot answer is news, not a failure of this route.
    has_own_transactions=True,
)
def status(inputs: Inputs) -> StatusOut:
    """Say how the database, the log of points and the worker are."""
    del inputs
    found = components(app_state())
    return StatusOut(
        components=[
            ComponentOut(
                name=part.name, ok=part.is_ok, lag_seconds=part.lag_seconds, problem=part.problem
            )
            for part in found
        ]
    )
