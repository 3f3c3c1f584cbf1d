"""The first steps of people that messages take with them: a test that arrived, two alerts sent."""

from sqlalchemy import select

from anomify.db import session
from anomify.delivery.facts import OPENED, TEST
from anomify.delivery.model import SENT, Delivery
from anomify.user.profile import is_step_missing, take_step_together

TEST_STEP = "test_alert_sent"
ALERTS_STEP = "two_alerts_sent"
ALERTS_WANTED = 2


def note_first_steps(delivery: Delivery) -> None:
    """Note what a message that was just taken means for the people of its org.

    After the first few messages of an org this costs one query that uses an index.
    """
    if delivery.transition == TEST:
        take_step_together(delivery.org_id, TEST_STEP)
    if delivery.transition != OPENED or not is_step_missing(delivery.org_id, ALERTS_STEP):
        return
    session().flush()
    sent = (
        select(Delivery.incident_id)
        .where(
            Delivery.org_id == delivery.org_id,
            Delivery.transition == OPENED,
            Delivery.state == SENT,
        )
        .distinct()
        .limit(ALERTS_WANTED)
    )
    if len(list(session().scalars(sent))) == ALERTS_WANTED:
        take_step_together(delivery.org_id, ALERTS_STEP)
