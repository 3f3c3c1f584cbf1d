"""/delivery, /deliveries: the alerts log, with every attempt and answer, and sending again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anomify.auth.subject import subject
from anomify.clock import to_timestamp
from anomify.delivery.model import Delivery, DeliveryAttempt
from anomify.delivery.queries import attempts_of, get_delivery, list_deliveries
from anomify.delivery.replaying import replay
from anomify.edge.access import EDITOR, VIEWER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import RowId
from anomify.native.window import PageIn

blueprint = NativeBlueprint("delivery", __name__)

DeliveryId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=36)]


class AttemptOut(Outputs):
    """One attempt to send a message."""

    timestamp: int = Field(description="When it ended, unix seconds.")
    delivered: bool = Field(description="The receiver took the message.")
    answer: str = Field(description="What it answered, or why there was no answer.")


class DeliveryOut(Outputs):
    """A message to one contact point."""

    id: str = Field(description="Its id: the webhook-id, and in the Message-ID of a mail.")
    state: Literal["pending", "sent", "dead"] = Field(
        description="pending: it waits for its first or next attempt; dead: it was given up."
    )
    type: str = Field(
        description="What it reports: opened, updated, reminder, recovered, flapping, missed,"
        " acknowledged, test, report, silence.started or silence.ended.",
        examples=["opened"],
    )
    incident_id: int | None = Field(description="The incident that it is about.")
    watcher_id: int | None = Field(description="The watcher that sent it.")
    contact_point_id: int | None = Field(description="Where it was sent to.")
    kind: str = Field(description="The kind of the contact point.", examples=["webhook"])
    recipient: str = Field(description="The name of the contact point at that time.")
    created_timestamp: int = Field(description="When it was written, unix seconds.")
    due_timestamp: int | None = Field(description="When it is tried next; null if it is settled.")
    settled_timestamp: int | None = Field(description="When it was sent or given up.")
    attempts: int = Field(description="How often it was tried since it was last requested.")
    problem: str | None = Field(description="Why the last attempt failed.")


class OneDeliveryOut(Outputs):
    """A message with its attempts."""

    delivery: DeliveryOut = Field(description="The message.")
    attempts: list[AttemptOut] = Field(description="The last attempts, the latest first.")


class ListedDeliveryOut(DeliveryOut):
    """A message in a list, with its last attempts."""

    last_attempts: list[AttemptOut] = Field(description="The last attempts, the latest first.")


class DeliveriesOut(Outputs):
    """A page of messages."""

    deliveries: list[ListedDeliveryOut] = Field(description="The latest first.")
    total: int = Field(description="How many there are in all.")


class DeliveryIn(Inputs):
    """Which message."""

    delivery_id: DeliveryId = Field(
        description="The message's id.", json_schema_extra=names("delivery")
    )


class DeliveriesIn(PageIn):
    """The filters of the alerts log."""

    state: Literal["pending", "sent", "dead"] | None = Field(
        None, description="Only those of this state."
    )
    incident_id: RowId | None = Field(
        None, description="Only those about this incident.", json_schema_extra=names("incident")
    )
    watcher_id: RowId | None = Field(
        None, description="Only those of this watcher.", json_schema_extra=names("watcher")
    )
    contact_point_id: RowId | None = Field(
        None,
        description="Only those to this contact point.",
        json_schema_extra=names("contact_point"),
    )


@blueprint.route("/deliveries/list", inputs=DeliveriesIn, outputs=DeliveriesOut, access=VIEWER)
def deliveries(inputs: DeliveriesIn) -> DeliveriesOut:
    """List the messages of the org with what their receivers answered: the alerts log."""
    page = list_deliveries(
        subject().org.id,
        state=inputs.state,
        incident_id=inputs.incident_id,
        watcher_id=inputs.watcher_id,
        contact_point_id=inputs.contact_point_id,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    attempts = attempts_of([each.id for each in page.items])
    return DeliveriesOut(
        deliveries=[
            ListedDeliveryOut(
                **_json(each).model_dump(), last_attempts=_attempts_json(attempts[each.id])
            )
            for each in page.items
        ],
        total=page.total,
    )


@blueprint.route(
    "/delivery/<delivery_id>", inputs=DeliveryIn, outputs=OneDeliveryOut, access=VIEWER
)
def delivery(inputs: DeliveryIn) -> OneDeliveryOut:
    """Show a message and every attempt to send it."""
    return _one(get_delivery(subject().org.id, inputs.delivery_id))


@blueprint.route(
    "/delivery/<delivery_id>/replay",
    inputs=DeliveryIn,
    outputs=OneDeliveryOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    errors=(409,),
)
def replay_delivery(inputs: DeliveryIn) -> OneDeliveryOut:
    """Send a message that was given up again, under the same id; it states that it is late."""
    caller = subject()
    return _one(replay(caller.org.id, inputs.delivery_id, caller.label))


def _one(found: Delivery) -> OneDeliveryOut:
    return OneDeliveryOut(
        delivery=_json(found), attempts=_attempts_json(attempts_of([found.id])[found.id])
    )


def _json(found: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=found.id,
        state=found.state,
        type=found.transition,
        incident_id=found.incident_id,
        watcher_id=found.watcher_id,
        contact_point_id=found.contact_point_id,
        kind=found.channel,
        recipient=found.recipient,
        created_timestamp=to_timestamp(found.created_at),
        due_timestamp=_seconds(found.due_at if found.settled_at is None else None),
        settled_timestamp=_seconds(found.settled_at),
        attempts=found.attempts,
        problem=found.last_error,
    )


def _attempts_json(attempts: Sequence[DeliveryAttempt]) -> list[AttemptOut]:
    return [
        AttemptOut(
            timestamp=to_timestamp(each.ended_at), delivered=each.is_delivered, answer=each.answer
        )
        for each in attempts
    ]


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else to_timestamp(at)
