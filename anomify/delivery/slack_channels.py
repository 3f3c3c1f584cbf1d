"""The channels of the Slack workspaces that an org has connected by bot tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from anomify.channel.slack_workspace import SlackChannelInfo, SlackWorkspace
from anomify.config import Settings
from anomify.contact_point.queries import list_of_kind
from anomify.contact_point.settings import settings_of
from anomify.errors import UpstreamFailed
from anomify.org.sealing import PURPOSE, SealBroken
from anomify.outbound.http_client import Outbound

KIND: Final = "slack"
# More tokens of one org are not asked: the caller waits for each.
WORKSPACES_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class ConnectedWorkspace:
    """A bot token, and the oldest contact point that has it."""

    contact_point_id: int
    name: str
    token: str = field(repr=False)


def connected_workspaces(org_id: int, settings: Settings) -> list[ConnectedWorkspace]:
    """Return the different bot tokens of the org's Slack contact points."""
    key = settings.key_for(PURPOSE)
    found: dict[str, ConnectedWorkspace] = {}
    for point in list_of_kind(org_id, KIND):
        try:
            token = settings_of(point, key).get("token", "")
        except SealBroken:
            continue
        if token:
            found.setdefault(token, ConnectedWorkspace(point.id, point.name, token))
    return list(found.values())[:WORKSPACES_MAX]


def list_channels(
    workspaces: Sequence[ConnectedWorkspace], settings: Settings
) -> tuple[list[tuple[int, SlackChannelInfo]], list[str]]:
    """Return the channels with the contact point that sees each, and why some are missing.

    No unit of work may be open meanwhile.
    """
    found: list[tuple[int, SlackChannelInfo]] = []
    problems = []
    for workspace in workspaces:
        slack = SlackWorkspace(
            Outbound(settings.egress_allow), workspace.token, api=settings.channel_api(KIND)
        )
        try:
            found += [(workspace.contact_point_id, each) for each in slack.channels()]
        except UpstreamFailed as failure:
            problems.append(f"{workspace.name}: {failure.message}")
    return found, problems
