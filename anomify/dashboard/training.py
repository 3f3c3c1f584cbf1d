"""The forms below an anomaly: whether it was expected, and taking that answer back."""

from typing import Final, Literal

from flask import Response, make_response, redirect
from pydantic import Field

from anomify.anomaly.queries import get_anomaly
from anomify.auth.subject import user_subject
from anomify.dashboard.anomaly_row import metric_page_url
from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.edge.access import EDITOR
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.pattern.made_patterns import Trainer
from anomify.pattern.model import LABEL_CHARACTERS_MAX, Scope
from anomify.pattern.trainability import DURATIONS
from anomify.pattern.training import TrainingRequest, train, withdraw_label

blueprint = PageBlueprint("training", __name__)

# What is made where no window was chosen.
USUAL_WINDOWS: Final = ("24h", "7d")


class AnomalyForm(Inputs):
    """Which anomaly, and which window of its metric was shown."""

    anomaly_id: int = Field(ge=1, le=2**31 - 1, json_schema_extra=names("anomaly"))


class TrainForm(AnomalyForm):
    """What a person says of an anomaly."""

    expected: bool
    durations: list[Literal["24h", "7d", "30d"]] = Field(default=[], max_length=len(DURATIONS))
    label: str = Field("", max_length=LABEL_CHARACTERS_MAX)
    scope: Scope = Scope.METRIC


@blueprint.route(
    "/ui/anomaly/train", inputs=TrainForm, access=EDITOR, changes=True, methods=["POST"]
)
def train_anomaly(inputs: TrainForm) -> Response:
    """Store the answer, make patterns of it, and show the anomaly again."""
    caller = user_subject()
    found = get_anomaly(caller.org.id, inputs.anomaly_id)
    request = TrainingRequest(
        expected=inputs.expected,
        durations=[DURATIONS[name] for name in inputs.durations or USUAL_WINDOWS],
        label=inputs.label,
        scope=inputs.scope,
    )
    train(caller.org, found, request, app_state().points, page_trainer())
    return make_response(redirect(metric_page_url(found), code=303))


@blueprint.route(
    "/ui/anomaly/untrain", inputs=AnomalyForm, access=EDITOR, changes=True, methods=["POST"]
)
def untrain_anomaly(inputs: AnomalyForm) -> Response:
    """Take the answer back, and show the anomaly again."""
    found = get_anomaly(user_subject().org.id, inputs.anomaly_id)
    withdraw_label(found, page_trainer())
    return make_response(redirect(metric_page_url(found), code=303))


def page_trainer() -> Trainer:
    """Return the signed-in user as the one who trains."""
    caller = user_subject()
    return Trainer(caller.label, caller.user.id)
