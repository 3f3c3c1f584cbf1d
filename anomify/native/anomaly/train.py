"""/anomaly/train and /anomaly/untrain: what people say of an anomaly."""

from typing import Final, Self

from pydantic import Field, model_validator

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import get_anomaly, get_anomaly_at
from anomify.auth.subject import subject
from anomify.edge.access import EDITOR
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.validation_sentences import WrongParameter
from anomify.errors import Invalid
from anomify.metric.queries import get_metric
from anomify.native.anomaly.blueprint import blueprint
from anomify.native.anomaly.shapes import OneAnomalyOut, one_anomaly_json
from anomify.native.params import Name, RowId, canonical
from anomify.native.shape.pattern import PatternOut, WindowName, patterns_json
from anomify.native.shape.trainer import trainer
from anomify.native.window import Timestamp
from anomify.pattern.figures import window_in_words
from anomify.pattern.model import LABEL_CHARACTERS_MAX, Scope
from anomify.pattern.trainability import DURATIONS, SENTENCES
from anomify.pattern.training import TrainingRequest, train, withdraw_label

# What is made where a request names no windows.
USUAL_WINDOWS: Final = (WindowName.DAY, WindowName.WEEK)


class WhichAnomalyIn(Inputs):
    """Which anomaly, by its id or by a metric and a moment at which it ran."""

    anomaly_id: RowId | None = Field(
        None, description="The anomaly's id.", json_schema_extra=names("anomaly")
    )
    metric: Name | None = Field(
        None,
        description="With `timestamp`, instead of an id: the metric's name or id.",
        json_schema_extra=names("metric"),
    )
    timestamp: Timestamp | None = Field(
        None, description="With `metric`: a moment at which it was running, unix seconds."
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.anomaly_id is None and (self.metric is None or self.timestamp is None):
            raise WrongParameter("anomaly_id", "anomaly_id is needed, or metric and timestamp.")
        return self

    def find(self) -> Anomaly:
        """Return the org's anomaly. Raises `NotFound`."""
        org_id = subject().org.id
        if self.anomaly_id is not None:
            return get_anomaly(org_id, self.anomaly_id)
        metric = get_metric(org_id, canonical(self.metric or ""))
        return get_anomaly_at(org_id, metric.id, round((self.timestamp or 0) * 1000))


class TrainIn(WhichAnomalyIn):
    """What to say of an anomaly."""

    expected: bool = Field(
        description="True for a behaviour that is normal: the same is no anomaly any more, from the"
        " next judged point on. False for one that is not: what is like it stays an anomaly."
    )
    durations: list[WindowName] = Field(
        default=[],
        max_length=len(DURATIONS),
        description="Windows of the patterns that are made: 24h and 7d at once, 30d an hour after"
        " the event. 24h and 7d when left out.",
    )
    label: str = Field(
        "",
        max_length=LABEL_CHARACTERS_MAX,
        description="What it was, for people.",
        examples=["nightly backup"],
    )
    scope: Scope = Field(
        Scope.METRIC,
        description="metric, or family: also for the metrics of the same name with other values of"
        " labels.",
    )
    layers: list[str] = Field(default=[], description="Always empty: this server has no layers.")


class RefusedWindowOut(Outputs):
    """A window of which no pattern was made."""

    name: WindowName = Field(description="The window.")
    duration_string: str = Field(description="The same in words.", examples=["7 days"])
    reason: str = Field(description="Why, in a sentence.")


class TrainedOut(OneAnomalyOut):
    """The anomaly as it is now, and what was made of it."""

    patterns: list[PatternOut] = Field(description="The new patterns, the longest first.")
    refused: list[RefusedWindowOut] = Field(
        description="Windows that were requested and of which no pattern could be made."
    )


class UntrainedOut(OneAnomalyOut):
    """The anomaly as it is now, and what is not used any more."""

    disabled: list[PatternOut] = Field(description="The patterns that were made of it.")


@blueprint.route(
    "/anomaly/train",
    inputs=TrainIn,
    outputs=TrainedOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def train_anomaly(inputs: TrainIn) -> TrainedOut:
    """Say of an anomaly whether it was expected, so that the product learns it.

    An expected one is stored as a pattern. From the next judged point on, a deviation that is like
    it is a match and nobody is notified, unless it is larger or longer, to the other side, or at
    another time of the day. One that is unexpected is stored, too: what is more like it than like
    an expected one stays an anomaly. The other answer replaces an earlier one.

    409 with the reason as its code: too_old (over 14 days), no_data, too_short or gaps where
    nothing can be made of it, already_trained where this was said before.
    """
    if inputs.layers:
        raise Invalid("This server has no layers.", fields={"layers": "Leave it out."})
    found = inputs.find()
    request = TrainingRequest(
        expected=inputs.expected,
        durations=[DURATIONS[name] for name in inputs.durations or USUAL_WINDOWS],
        label=inputs.label,
        scope=inputs.scope,
    )
    trained = train(subject().org, found, request, app_state().points, trainer())
    shown = one_anomaly_json(found)
    return TrainedOut(
        anomaly=shown.anomaly,
        anomaly_graph_url=shown.anomaly_graph_url,
        patterns=patterns_json(trained.patterns),
        refused=[
            RefusedWindowOut(
                name=WindowName(name),
                duration_string=window_in_words(seconds),
                reason=SENTENCES[why],
            )
            for name, seconds in DURATIONS.items()
            if (why := trained.refused.get(seconds)) is not None
        ],
    )


@blueprint.route(
    "/anomaly/untrain",
    inputs=WhichAnomalyIn,
    outputs=UntrainedOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def untrain_anomaly(inputs: WhichAnomalyIn) -> UntrainedOut:
    """Take back what was said of an anomaly: its patterns are disabled, pending ones removed.

    409 with the code not_trained where nothing was said.
    """
    found = inputs.find()
    disabled = withdraw_label(found, trainer())
    shown = one_anomaly_json(found)
    return UntrainedOut(
        anomaly=shown.anomaly,
        anomaly_graph_url=shown.anomaly_graph_url,
        disabled=patterns_json(disabled),
    )
