"""Send a message again that was given up."""

from datetime import datetime

from anomify.audit.recording import record_audit
from anomify.clock import now, to_ms
from anomify.db import session
from anomify.delivery.facts import ONGOING
from anomify.delivery.model import Delivery, Notification
from anomify.delivery.outbox import DELIVERIES, REPLAYED
from anomify.delivery.queries import get_delivery
from anomify.errors import Conflict
from anomify.job.model import DEAD


def replay(org_id: int, delivery_id: str, actor: str) -> Delivery:
    """Have a message that was given up sent again, under the same id.

    It is tried for as long as a new one, and states when it was meant for. If it reports that
    something goes on that is over by now, a message that it is over follows. Raises `NotFound`, or
    `Conflict` if it was not given up.
    """
    delivery = get_delivery(org_id, delivery_id)
    if delivery.state != DEAD:
        raise Conflict("Only a message that was given up can be sent again.", code="not_dead")
    problem = delivery.last_error
    at = now()
    delivery.last_error = None
    delivery.facts = {**delivery.facts, REPLAYED: to_ms(at)}
    _have_its_end_told(delivery, at)
    DELIVERIES.request_again(delivery, at)
    record_audit(
        org_id,
        actor=actor,
        action="delivery.replay",
        target=delivery.recipient,
        before={"id": delivery.id, "state": DEAD, "problem": problem},
        after={"state": delivery.state},
    )
    return delivery


def _have_its_end_told(delivery: Delivery, at: datetime) -> None:
    if delivery.notification_id is None or delivery.transition not in ONGOING:
        return
    row = session().get(Notification, delivery.notification_id)
    if row is not None and not row.is_told_open and row.held_since is None:
        row.is_told_open, row.told_at, row.due_at = True, at, at
