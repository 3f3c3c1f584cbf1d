"""What the product asks a Slack workspace: its channels, its id, and who a member is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from anomify.channel.reply import json_of, text_of
from anomify.channel.slack import API
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import Outbound

# Slack gives at most 1,000 channels in a page, and fewer are recommended.
CHANNELS_IN_A_PAGE: Final = 200
PAGES_MAX: Final = 10
# How users.info answers about somebody whom the bot cannot see.
UNKNOWN_MEMBER: Final = frozenset({"user_not_found", "user_not_visible"})


@dataclass(frozen=True, slots=True)
class SlackChannelInfo:
    """A channel that the bot can see."""

    id: str
    name: str
    is_private: bool
    is_member: bool


@dataclass(frozen=True, slots=True)
class SlackMember:
    """A member of a workspace."""

    email: str
    team_id: str


class SlackWorkspace:
    """The workspace of a bot token."""

    def __init__(self, outbound: Outbound, token: str, *, api: str | None = None) -> None:
        """Call Slack with this token; `api` is where its methods are."""
        self._outbound = outbound
        self._token = token
        self._api = (api or API).rstrip("/")

    def channels(self) -> list[SlackChannelInfo]:
        """Return the channels that are not archived, by name. Raises UpstreamFailed."""
        found: list[SlackChannelInfo] = []
        cursor = ""
        for _ in range(PAGES_MAX):
            answer = self._called(
                "conversations.list",
                exclude_archived="true",
                limit=str(CHANNELS_IN_A_PAGE),
                types="public_channel,private_channel",
                cursor=cursor,
            )
            found += _channels_in(answer)
            metadata = answer.get("response_metadata")
            cursor = text_of(metadata.get("next_cursor")) if isinstance(metadata, dict) else ""
            if not cursor:
                break
        return sorted(found, key=lambda channel: (channel.name, channel.id))

    def team_id(self) -> str:
        """Return the id of the workspace that the token belongs to. Raises UpstreamFailed."""
        return text_of(self._called("auth.test").get("team_id"))

    def member(self, member_id: str) -> SlackMember:
        """Return a member with the e-mail address in the profile; both empty for an unknown one.

        Raises UpstreamFailed.
        """
        user = self._called("users.info", UNKNOWN_MEMBER, user=member_id).get("user")
        if not isinstance(user, dict):
            return SlackMember("", "")
        profile = user.get("profile")
        # An address that its owner has not confirmed may be anybody's.
        is_sure = user.get("is_email_confirmed") is not False and user.get("deleted") is not True
        email = text_of(profile.get("email")) if isinstance(profile, dict) and is_sure else ""
        return SlackMember(email, text_of(user.get("team_id")))

    def _called(
        self, method: str, expected: frozenset[str] = frozenset(), **arguments: str
    ) -> Mapping[str, Any]:
        given = {name: value for name, value in arguments.items() if value}
        reply = self._outbound.post(
            f"{self._api}/{method}",
            urlencode(given).encode(),
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Authorization": f"Bearer {self._token}",
            },
        )
        answer = json_of(reply)
        if answer.get("ok") is not True and text_of(answer.get("error")) not in expected:
            reason = text_of(answer.get("error"))[:100] or f"status {reply.status}"
            raise UpstreamFailed(f"Slack refused {method} ({reason}).", kind="status")
        return answer


def _channels_in(answer: Mapping[str, Any]) -> list[SlackChannelInfo]:
    listed = answer.get("channels")
    return [
        SlackChannelInfo(
            text_of(each.get("id")),
            text_of(each.get("name")),
            each.get("is_private") is True,
            each.get("is_member") is True,
        )
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and text_of(each.get("id"))
    ]
