"""/anomaly/ID/status, /assign and /undo: what people do about one anomaly."""

from pydantic import Field

from anomify.anomaly.queries import get_anomaly
from anomify.auth.subject import subject
from anomify.edge.access import EDITOR
from anomify.edge.app_state import app_state
from anomify.native.anomaly.blueprint import blueprint
from anomify.native.anomaly.shapes import OneAnomalyOut, one_anomaly_json
from anomify.native.anomaly.triage_inputs import AnomalyPathIn, AssignIn, StatusIn
from anomify.native.shape.actor import actor
from anomify.triage.change import Changed, TriageChange, change_anomalies
from anomify.triage.undo import undo_latest


class AnomalyStatusIn(AnomalyPathIn, StatusIn):
    """Which anomaly, and what to change."""


class AnomalyAssignIn(AnomalyPathIn, AssignIn):
    """Which anomaly, and who is to be assigned."""


class TriagedOut(OneAnomalyOut):
    """The anomaly as it is now."""

    transaction_id: int | None = Field(
        description="The row of its history; null if everything was as requested already."
    )


@blueprint.route(
    "/anomaly/<int:anomaly_id>/status",
    inputs=AnomalyStatusIn,
    outputs=TriagedOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def change_status(inputs: AnomalyStatusIn) -> TriagedOut:
    """Acknowledge, resolve, archive, reopen or snooze an anomaly, with a comment if you like.

    Nobody is reminded of one that is not active. An archived one stays so while it runs on; if its
    metric becomes unusual again later, that is another anomaly. This is no answer to whether it was
    expected, which /anomaly/train takes. 409 with the code archived for snoozing an archived one,
    and duplicate_circle for duplicates of each other.
    """
    return _changed(inputs.anomaly_id, inputs.change())


@blueprint.route(
    "/anomaly/<int:anomaly_id>/assign",
    inputs=AnomalyAssignIn,
    outputs=TriagedOut,
    access=EDITOR,
    changes=True,
)
def assign(inputs: AnomalyAssignIn) -> TriagedOut:
    """Assign users to an anomaly; those who were not get a letter, except you."""
    return _changed(inputs.anomaly_id, inputs.change())


@blueprint.route(
    "/anomaly/<int:anomaly_id>/undo",
    inputs=AnomalyPathIn,
    outputs=TriagedOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def undo(inputs: AnomalyPathIn) -> TriagedOut:
    """Undo your latest change of an anomaly, if it was made in the last ten minutes.

    What was before is restored, as one more row of the history; called again, the change before
    that is undone. 409 with the reason as its code: nothing_to_undo, too_late, changed_since (by
    somebody, of the same) or comment_changed (its former text is not kept).
    """
    return _json(inputs.anomaly_id, undo_latest(subject().org, [inputs.anomaly_id], actor()))


def _changed(anomaly_id: int, change: TriageChange) -> TriagedOut:
    base_url = app_state().settings.base_url
    changed = change_anomalies(subject().org, {anomaly_id: change}, actor(), base_url)
    return _json(anomaly_id, changed)


def _json(anomaly_id: int, changed: Changed) -> TriagedOut:
    shown = one_anomaly_json(get_anomaly(subject().org.id, anomaly_id))
    return TriagedOut(
        anomaly=shown.anomaly,
        anomaly_graph_url=shown.anomaly_graph_url,
        transaction_id=changed.transaction_id,
    )
