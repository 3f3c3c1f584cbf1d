"""Turns what Stripe's library raises into the product's own errors."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from anomify.billing.customer import (
    GoneAtStripe,
    PaymentRefused,
)
from anomify.billing.stripe_client import stripe_library
from anomify.errors import UpstreamFailed

log = logging.getLogger(__name__)

_HTTP_CONFLICT = 409
_HTTP_TOO_MANY = 429


@contextmanager
def stripe_errors_translated() -> Iterator[None]:
    """Raise the product's own errors in place of those of Stripe's library.

    Raises `PaymentRefused` for a declined payment, `GoneAtStripe` for an object that no longer
    exists, and `UpstreamFailed` otherwise.
    """
    stripe = stripe_library()
    try:
        yield
    except stripe.CardError as error:
        raise PaymentRefused(
            f"The payment did not go through: {_sentence(error.user_message)} Nothing was changed; "
            "update the card in the billing portal and try again.",
            code=error.code if error.code in _CARD_CODES else None,
        ) from None
    except stripe.APIConnectionError as error:
        cause = error.__cause__
        kind = cause.kind if isinstance(cause, UpstreamFailed) else "refused"
        raise UpstreamFailed(
            "Stripe cannot be reached just now; try again in a minute.", kind=kind
        ) from None
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("Stripe rejected the key or its permissions: %s", error)  # noqa: TRY400 -- the library's trace has no further information
        raise UpstreamFailed(
            "Stripe does not accept the configured key; the operator of this server has to check"
            " stripe_secret_key.",
            kind="status",
            permanent=True,
        ) from None
    except stripe.InvalidRequestError as error:
        if error.code in _GONE:
            raise GoneAtStripe(error.param or "") from None
        log.error("Stripe rejected a request: %s", error)  # noqa: TRY400 -- as above
        raise UpstreamFailed(
            "Stripe rejected the request; the operator of this server finds the reason in the log.",
            kind="status",
            permanent=True,
        ) from None
    except stripe.StripeError as error:
        log.warning("Stripe failed: %s", error)
        is_busy = error.http_status in {_HTTP_CONFLICT, _HTTP_TOO_MANY}
        raise UpstreamFailed(
            "Stripe is busy; try again in a minute."
            if is_busy
            else "Stripe could not do this just now; try again in a minute.",
            kind="busy" if is_busy else "status",
        ) from None
    except ValidationError as error:
        log.error("Stripe's answer has an unknown shape: %s", error.errors(include_input=False))  # noqa: TRY400 -- the trace would show what it holds
        raise UpstreamFailed(
            "Stripe sent a response that cannot be read; the operator of this server finds the"
            " details in the log.",
            kind="status",
            permanent=True,
        ) from None


# Codes for an object that does not exist; also for a subscription without a next invoice.
_GONE = frozenset({"resource_missing", "invoice_upcoming_none"})
# The codes that callers may see; any other code is left out.
_CARD_CODES = frozenset(
    {"card_declined", "expired_card", "insufficient_funds", "incorrect_cvc", "processing_error"}
)


def _sentence(text: str | None) -> str:
    words = (text or "").strip()[:300]
    return (words if words.endswith(".") else f"{words}.") if words else ""
