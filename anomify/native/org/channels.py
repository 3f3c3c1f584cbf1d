"""/org/channels: where the org's messages can be sent, and the channels of its Slack workspace."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.contact_point.queries import list_contact_points
from anomify.delivery.slack_channels import ConnectedWorkspace, connected_workspaces, list_channels
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs
from anomify.edge.transaction import transaction
from anomify.errors import Conflict
from anomify.native.contact_point import ContactPointOut, contact_points_json
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("org_channels", __name__)


class ChannelOut(Outputs):
    """A channel of a Slack workspace."""

    id: str = Field(description="Its id at Slack.")
    name: str = Field(description="Its name, without #.")
    is_private: bool = Field(description="Whether only members see it.")
    is_member: bool = Field(description="Whether the app is in it and can post there.")
    contact_point_id: int = Field(description="The contact point with the bot token that sees it.")


class ChannelsOut(Outputs):
    """Where messages can be sent."""

    contact_points: list[ContactPointOut] = Field(description="The org's contact points, by name.")
    channels: list[ChannelOut] = Field(
        description="The channels that the connected Slack bots see, by name."
    )
    problem: str | None = Field(description="Why Slack's channels are missing, if they are.")


@blueprint.route(
    "/org/channels",
    inputs=Inputs,
    outputs=ChannelsOut,
    access=VIEWER,
    errors=(409,),
    limits=("read", "heavy"),
    # Slack is called while no transaction is open.
    has_own_transactions=True,
)
def channels(inputs: Inputs) -> ChannelsOut:
    """List the org's contact points, and the channels that its Slack bots see.

    409 where nothing is connected: the org has no contact points yet.
    """
    del inputs
    org_id = subject().org.id
    with transaction(write=False):
        found = list_contact_points(org_id)
        if not found:
            raise Conflict(
                "Nothing is connected: your org has no contact points yet. Create one with"
                " /contact_point/create.",
                code="not_connected",
            )
        shown = contact_points_json(found)
        workspaces = connected_workspaces(org_id, app_state().settings)
    listed, problem = _channels(workspaces)
    return ChannelsOut(contact_points=shown, channels=listed, problem=problem)


def _channels(workspaces: list[ConnectedWorkspace]) -> tuple[list[ChannelOut], str | None]:
    found, problems = list_channels(workspaces, app_state().settings)
    return [
        ChannelOut(
            id=channel.id,
            name=channel.name,
            is_private=channel.is_private,
            is_member=channel.is_member,
            contact_point_id=contact_point_id,
        )
        for contact_point_id, channel in found
    ], " ".join(problems) or None
