"""Send a message as a webhook: a signed POST of JSON, after Standard Webhooks 1.0."""

import msgspec

from anomify.channel.kind import ChannelKind, Setting, host_lane
from anomify.channel.message import DELIVERED, Message, Receipt, Target
from anomify.channel.reply import is_success, receipt_of, retried
from anomify.channel.signature import key_of, signature
from anomify.clock import now_timestamp
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import Outbound


class WebhookChannel:
    """Posts to the URLs that users have set, under the rules of `Outbound`."""

    def __init__(self, outbound: Outbound) -> None:
        """Send through this client."""
        self._outbound = outbound

    def send(self, message: Message, target: Target) -> Receipt:
        """Post the message, signed now with every secret of the target."""
        body = msgspec.json.encode(
            {
                "type": message.type,
                "timestamp": message.occurred_at.isoformat().replace("+00:00", "Z"),
                "data": message.data,
            }
        )
        signed_at = now_timestamp()
        secrets = target.secrets or (target.settings.get("secret", ""),)
        keys = [key for secret in secrets if (key := key_of(secret)) is not None]
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(signed_at),
            "webhook-signature": " ".join(
                signature(key, message.id, signed_at, body) for key in keys
            ),
        }
        try:
            reply = self._outbound.post(
                target.address or target.settings.get("url", ""), body, headers
            )
        except UpstreamFailed as failure:
            return retried(failure)
        return DELIVERED if is_success(reply.status) else receipt_of(reply, "The receiver")


def _secret_problem(secret: str) -> str | None:
    if key_of(secret) is not None:
        return None
    return "This is no secret of a webhook: whsec_ and 24 to 64 bytes in Base64 are needed."


KIND = ChannelKind(
    name="webhook",
    words="Webhook",
    about="A signed POST of JSON to a URL of yours, after Standard Webhooks.",
    settings=(
        Setting("url", "URL", hint="Where the message is posted to.", is_url=True),
        Setting(
            "secret",
            "Secret",
            hint="Begins with whsec_; the receiver checks the signature with it.",
            is_secret=True,
            check=_secret_problem,
        ),
    ),
    make=lambda settings: WebhookChannel(Outbound(settings.egress_allow)),
    lane_of=host_lane("url"),
    address_setting="url",
)
