"""Delete an org with everything that belongs to it."""

from sqlalchemy import delete, select

from anomify.admin_alert.model import RaisedAlert
from anomify.anomaly.model import Anomaly
from anomify.audit.recording import record_audit
from anomify.db import overwriting_deleted, publish, session
from anomify.delivery.model import Delivery
from anomify.errors import Invalid
from anomify.metric.deleting import bury_metrics_of
from anomify.metric.model import Metric
from anomify.org.letter import forget_letters_to
from anomify.org.lock import lock_org
from anomify.org.model import Org
from anomify.org.token import TokensEnded
from anomify.user.model import User
from anomify.user.signup import forget_signups_of

# Referring rows are deleted before the rows they refer to, so that cascades read no rows of
# other orgs. The database deletes everything else of the org by cascade.
_LEAVES_FIRST = (Delivery, Anomaly, RaisedAlert, Metric)


def check_named(org: Org, name: str) -> None:
    """Raise `Invalid` unless this is the org's name, typed as a confirmation."""
    if name.strip() != org.name:
        raise Invalid(
            "Type the name of your org to delete it.",
            code="name_differs",
            fields={"name": f"Your org is called {org.name}."},
        )


def delete_org(org: Org) -> None:
    """Delete an org at once: its users, tokens, metrics, anomalies, messages and audit trail.

    The worker deletes its points within an hour. Only the record that an org of this id was
    deleted is kept. Paid subscriptions have to be cancelled before.
    """
    lock_org(org.id)
    addresses = list(session().scalars(select(User.email).where(User.org_id == org.id)))
    with overwriting_deleted():
        forget_letters_to(addresses)
        forget_signups_of(addresses)
        bury_metrics_of(org.id)
        for row in _LEAVES_FIRST:
            session().execute(delete(row).where(row.org_id == org.id))
        session().execute(delete(Org).where(Org.id == org.id))
    publish(TokensEnded(org.id))
    record_audit(None, actor="owner", action="org.delete", target=f"org {org.id}")
