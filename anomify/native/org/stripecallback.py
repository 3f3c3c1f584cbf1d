"""/org/stripecallback: the webhook of the payment provider."""

from flask import request
from pydantic import Field

from anomify.billing.checkout import require_gateway
from anomify.billing.plans import free_plan
from anomify.billing.stripe_event import process_event
from anomify.billing.stripe_gateway import gateway_of
from anomify.edge.access import PUBLIC
from anomify.edge.app_state import app_state
from anomify.edge.contract import Body, Inputs, Outputs, Wire
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("org_stripecallback", __name__)

SIGNATURE_HEADER = "Stripe-Signature"


class NewsOut(Outputs):
    """That the news has arrived."""

    received: bool = Field(description="Always true.")


class SignedHeaders(Inputs):
    """What proves that the payment provider has written."""

    signature: str = Field(alias=SIGNATURE_HEADER, description="t=..., v1=...")


@blueprint.route(
    "/org/stripecallback",
    "/billing/checkoutcallback",
    outputs=NewsOut,
    access=PUBLIC,
    changes=True,
    has_own_transactions=True,
    methods=("POST",),
    errors=(409, 502),
    wire=Wire(
        headers=SignedHeaders,
        bodies=(Body("application/json", "An event, exactly as Stripe signed it."),),
    ),
)
def stripecallback() -> NewsOut:
    """Take Stripe's news.

    Set this address as a webhook endpoint at Stripe for checkout.session, customer.subscription,
    subscription_schedule, invoice and customer.deleted events. The answer is 200 once the org's
    plan follows; everything else has Stripe send the same again, and what comes twice changes
    nothing.
    """
    settings = app_state().settings
    gateway = require_gateway(gateway_of(settings))
    # The signature covers these bytes, so they are not parsed before it is verified.
    event = gateway.read_event(request.get_data(), request.headers.get(SIGNATURE_HEADER))
    process_event(
        app_state().database, gateway, event, free_plan(settings.free_metrics), settings.base_url
    )
    return NewsOut(received=True)
