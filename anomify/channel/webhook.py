"""Send a message as a webhook: a signed POST of JSON, after Standard Webhooks 1.0."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from anomify.channel.kind import ChannelKind, Setting, host_lane
from anomify.channel.message import DELIVERED, Message, Receipt, Target
from anomify.channel.signature import key_of, signature
from anomify.clock import now, now_timestamp
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import HttpReply, Outbound

GONE = 410
# Request timeout, too early, too many requests: the same request may succeed later.
PASSING_CLIENT_ERRORS = frozenset({408, 425, 429})


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
        keys = [key for secret in target.secrets if (key := key_of(secret)) is not None]
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(signed_at),
            "webhook-signature": " ".join(
                signature(key, message.id, signed_at, body) for key in keys
            ),
        }
        try:
            reply = self._outbound.post(target.address, body, headers)
        except UpstreamFailed as failure:
            return Receipt.of_failure(failure)
        return _receipt(reply)


def _receipt(reply: HttpReply) -> Receipt:
    status = reply.status
    if 200 <= status < 300:  # noqa: PLR2004 -- what HTTP calls success
        return DELIVERED
    problem = f"The receiver answered {status}."
    if 300 <= status < 400:  # noqa: PLR2004 -- what HTTP calls redirection
        problem = f"The receiver answered {status}; redirects are not followed, so set its new URL."
    is_refusal = 400 <= status < 500 and status not in PASSING_CLIENT_ERRORS  # noqa: PLR2004 -- what HTTP calls the client's error
    return Receipt(
        is_delivered=False,
        problem=problem,
        is_permanent=is_refusal,
        is_gone=status == GONE,
        retry_after_seconds=_seconds(reply.headers.get("retry-after", ""), now()),
    )


def _seconds(retry_after: str, at: datetime) -> float | None:
    """Return Retry-After in seconds, from seconds or a date; None for anything else."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # Nine digits at most: longer pauses are limited by the caller anyway.
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - at).total_seconds())


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
