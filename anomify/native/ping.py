"""/ping: a reply that needs no session, no database and no token."""

from pydantic import Field

from anomify.edge.access import PUBLIC
from anomify.edge.contract import Inputs, Outputs
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("ping", __name__)


class PongOut(Outputs):
    """The reply."""

    pong: str = Field(description="Always `pong`.", examples=["pong"])


@blueprint.route("/ping", inputs=Inputs, outputs=PongOut, access=PUBLIC, has_own_transactions=True)
def ping(inputs: Inputs) -> PongOut:
    """Return an empty reply, which shows that the API answers."""
    del inputs
    return PongOut(pong="pong")
