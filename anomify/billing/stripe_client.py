"""Load Stripe's client library when it is first needed, with our own deadlines and limits."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anomify.errors import UpstreamFailed
from anomify.outbound.deadline import CallLimits
from anomify.outbound.http_client import EVERYWHERE, Outbound

if TYPE_CHECKING:
    from stripe import StripeClient


# A list of a hundred invoices, everything expanded, is about 600 kB.
LIMITS = CallLimits(
    connect_seconds=5, read_seconds=10, total_seconds=10, body_bytes=4 * 1024 * 1024
)
RETRIES_MAX = 2


def stripe_library() -> Any:
    """Import and return the `stripe` module."""
    import stripe  # noqa: PLC0415 -- it takes long to import, and many installations never need it

    return stripe


def make_stripe_client(secret_key: str, api_base: str | None) -> "StripeClient":
    """Return a client of Stripe's API that sends its requests through `Outbound`."""
    stripe = stripe_library()
    # At lower levels the library logs what it posts, which includes personal data.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    outbound = Outbound(EVERYWHERE, limits=LIMITS)

    class Wire(stripe.HTTPClient):  # type: ignore[misc, name-defined] # loaded just above
        """Sends requests through `Outbound`, so that deadlines apply to the whole response."""

        name = "anomify"

        def request(
            self,
            method: str,
            url: str,
            headers: Mapping[str, str] | None,
            post_data: str | None = None,
        ) -> tuple[bytes, int, Mapping[str, str]]:
            body = post_data.encode() if post_data else None
            try:
                reply = outbound.call(method.upper(), url, body, headers or {})
            except UpstreamFailed as failure:
                raise _Unreachable.of(failure) from failure
            return reply.body, reply.status, reply.headers

        def close(self) -> None:
            """Do nothing: each call has its own connection."""

    class _Unreachable(stripe.APIConnectionError):  # type: ignore[misc, name-defined] # as above
        @classmethod
        def of(cls, failure: UpstreamFailed) -> Any:
            return cls(failure.message, should_retry=not failure.permanent)

    client: StripeClient = stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_base} if api_base else None,
        max_network_retries=RETRIES_MAX,
        http_client=Wire(),
    )
    return client
