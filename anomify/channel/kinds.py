"""The channels by the name that is stored with a delivery."""

from collections.abc import Mapping

from anomify.channel.email import EmailChannel
from anomify.channel.message import Channel
from anomify.channel.webhook import WebhookChannel
from anomify.config import Settings
from anomify.outbound.http_client import Outbound
from anomify.outbound.mail_server import MailServer

WEBHOOK = "webhook"
EMAIL = "email"


def make_channels(settings: Settings) -> Mapping[str, Channel]:
    """Return every channel, configured from the settings."""
    return {
        WEBHOOK: WebhookChannel(Outbound(settings.egress_allow)),
        EMAIL: EmailChannel(settings, MailServer(settings)),
    }
