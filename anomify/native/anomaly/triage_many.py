"""/anomalies/status, /assign and /undo: what people do about many anomalies at once."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import EDITOR
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.native.anomaly.blueprint import blueprint
from anomify.native.anomaly.triage_inputs import AssignIn, ManyIn, StatusIn
from anomify.native.params import RowId
from anomify.native.shape.actor import actor
from anomify.triage.change import Changed, TriageChange, change_anomalies
from anomify.triage.undo import undo_transaction


class ManyStatusIn(ManyIn, StatusIn):
    """Which anomalies, and what to change of each."""


class ManyAssignIn(ManyIn, AssignIn):
    """Which anomalies, and who is to be assigned to each."""


class TransactionIn(Inputs):
    """Which change."""

    transaction_id: RowId = Field(
        description="The transaction_id that a change returned.",
        json_schema_extra=names("triage_transaction"),
    )


class ManyTriagedOut(Outputs):
    """What was changed."""

    transaction_id: int | None = Field(
        description="To undo it with /anomalies/undo; null if everything was as requested already."
    )
    anomaly_ids: list[int] = Field(description="The anomalies that have changed.")
    total: int = Field(description="How many these are.")


@blueprint.route(
    "/anomalies/status",
    inputs=ManyStatusIn,
    outputs=ManyTriagedOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def change_many(inputs: ManyStatusIn) -> ManyTriagedOut:
    """Change the status of many anomalies at once, or snooze them: all of them or none.

    Everything is checked before anything is changed; the message names the anomaly that refused.
    """
    return _changed(inputs.anomaly_ids, inputs.change())


@blueprint.route(
    "/anomalies/assign",
    inputs=ManyAssignIn,
    outputs=ManyTriagedOut,
    access=EDITOR,
    changes=True,
)
def assign_many(inputs: ManyAssignIn) -> ManyTriagedOut:
    """Assign users to many anomalies at once: to all of them or to none. Each gets one letter."""
    return _changed(inputs.anomaly_ids, inputs.change())


@blueprint.route(
    "/anomalies/undo",
    inputs=TransactionIn,
    outputs=ManyTriagedOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def undo_many(inputs: TransactionIn) -> ManyTriagedOut:
    """Undo everything that one of your changes did, if it was made in the last ten minutes.

    409 with the reason as its code, as for /anomaly/ID/undo, and not_your_change, already_undone or
    is_an_undo.
    """
    return _json(undo_transaction(subject().org, inputs.transaction_id, actor()))


def _changed(anomaly_ids: list[int], change: TriageChange) -> ManyTriagedOut:
    base_url = app_state().settings.base_url
    wanted = dict.fromkeys(anomaly_ids, change)
    return _json(change_anomalies(subject().org, wanted, actor(), base_url))


def _json(changed: Changed) -> ManyTriagedOut:
    return ManyTriagedOut(
        transaction_id=changed.transaction_id,
        anomaly_ids=list(changed.anomaly_ids),
        total=len(changed.anomaly_ids),
    )
