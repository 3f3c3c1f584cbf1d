"""/anomaly/ID/history: what was done about an anomaly, by whom and when."""

from pydantic import Field, JsonValue

from anomify.anomaly.queries import get_anomaly
from anomify.auth.subject import subject
from anomify.clock import to_timestamp
from anomify.edge.access import VIEWER
from anomify.edge.contract import Outputs
from anomify.native.anomaly.blueprint import blueprint
from anomify.native.anomaly.shapes import UserStubOut
from anomify.native.anomaly.triage_inputs import AnomalyPathIn
from anomify.triage.history import HistoryRow, list_history


class HistoryRowOut(Outputs):
    """What one request changed, or what the product recorded."""

    transaction_id: int | None = Field(
        description="The same for all anomalies that one request changed; null for what the product"
        " recorded, and for whether it was expected."
    )
    user: UserStubOut | None = Field(
        description="The user who did it, with the name of that time; null for others."
    )
    actor: str = Field(description="Who did it: a user, a token, or Anomify.")
    timestamp: int = Field(description="When, unix seconds.")
    changeset: dict[str, list[JsonValue]] = Field(
        description="By field, the value before and the value after; lists are whole on both sides."
        " The fields are status, duplicate_of, snoozed_until, assignees, comments, expected,"
        " running, ended_by_pattern and ended_by_silence.",
        examples=[{"status": ["active", "acknowledged"]}],
    )
    undoes: int | None = Field(description="The transaction that this one undid.")
    undone: bool = Field(description="It was undone.")


class HistoryOut(Outputs):
    """The history of an anomaly."""

    history: list[HistoryRowOut] = Field(description="The newest first.")
    total: int = Field(description="How many rows there are.")


@blueprint.route(
    "/anomaly/<int:anomaly_id>/history",
    inputs=AnomalyPathIn,
    outputs=HistoryOut,
    access=VIEWER,
)
def history(inputs: AnomalyPathIn) -> HistoryOut:
    """List what was done about an anomaly, the newest first: who changed what and when.

    It begins with the row of its creation, in which everything was null before.
    """
    rows = list_history(get_anomaly(subject().org.id, inputs.anomaly_id))
    return HistoryOut(history=[_json(row) for row in rows], total=len(rows))


def _json(row: HistoryRow) -> HistoryRowOut:
    return HistoryRowOut(
        transaction_id=row.transaction_id,
        user=None if row.user_id is None else UserStubOut(id=row.user_id, name=row.actor),
        actor=row.actor,
        timestamp=to_timestamp(row.at),
        changeset=row.changeset,
        undoes=row.undoes_id,
        undone=row.is_undone,
    )
