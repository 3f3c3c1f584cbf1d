"""The kinds of channels by the name that is stored with a contact point."""

from collections.abc import Mapping

from anomify.channel import (
    alertmanager,
    apprise,
    email,
    ntfy,
    pagerduty,
    slack,
    sms,
    teams,
    telegram,
    webhook,
)
from anomify.channel.kind import ChannelKind
from anomify.channel.message import Channel
from anomify.config import Settings

EMAIL = email.KIND.name
WEBHOOK = webhook.KIND.name

# In the order in which pages offer them.
KINDS: Mapping[str, ChannelKind] = {
    module.KIND.name: module.KIND
    for module in (
        email,
        slack,
        teams,
        webhook,
        pagerduty,
        alertmanager,
        telegram,
        ntfy,
        sms,
        apprise,
    )
}


def make_channels(settings: Settings) -> Mapping[str, Channel]:
    """Return the channel of every kind that this server can use, configured from the settings."""
    return {
        name: kind.make(settings) for name, kind in KINDS.items() if kind.is_available(settings)
    }
