"""/metric/.../yhat: the expected range of a metric, for past points and as a forecast."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, JsonValue, WithJsonSchema

from anomify.anomaly.queries import MOST_ANOMALIES, list_anomalies
from anomify.auth.subject import subject
from anomify.clock import now_ms
from anomify.edge.access import VIEWER
from anomify.edge.contract import Outputs
from anomify.metric.forecast import expected_ahead
from anomify.metric.reading import rate_in, three_sigma
from anomify.metric.status import MetricStatus
from anomify.native.metric.blueprint import blueprint
from anomify.native.metric.details import metric_of_whole_path
from anomify.native.metric.series import read_points, read_points_and_margin
from anomify.native.metric.shapes import MetricIn, is_counter, metric_status_named
from anomify.native.window import DAY, WindowIn, timestamp_of
from anomify.series import Series


def _number(description: str, kind: str = "number") -> dict[str, JsonValue]:
    return {"type": kind, "description": description}


# What was expected of one point, in the unit it is judged in. A reply has thousands of them, so
# they are plain dicts and described here.
Expected = dict[str, float]


_EXPECTED: dict[str, JsonValue] = {
    "yhat_lower": _number("The least value expected."),
    "yhat_upper": _number("The greatest value expected."),
    "yhat_real_lower": _number(
        "Only with include_yhat_real_lower: the least value expected, but not less than the least"
        " value of the window."
    ),
    "mean": _number("Only with include_mean: the middle of the expected range."),
    "value": _number("Only with include_value: what came, or a counter's rate a second."),
    "3sigma_lower": _number(
        "Three standard deviations below the mean of the window's points up to this one, the"
        " classical bound to compare with; unlike the range it depends on the window."
    ),
    "3sigma_upper": _number("The same above the mean."),
    "score": _number("How unusual it was, 0 to 1; 0.5 is unusual."),
    "forecast": _number(
        "True where no point has come yet: the range may still change.", kind="boolean"
    ),
}


Expectations = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": _EXPECTED,
                "required": ["yhat_lower", "yhat_upper"],
                "additionalProperties": False,
            },
        }
    ),
]


class YhatOut(Outputs):
    """The expected range by timestamp; a point that was not judged has none."""

    yhat: Expectations = Field(description="Expected ranges, by unix seconds as text.")


class RangesOut(YhatOut):
    """The expected range, and where it was left."""

    anomalous_periods: list[tuple[int | float, int | float | None]] | None = Field(
        None,
        description="Only with include_anomalous_periods: begin and end of each anomaly that ran"
        " in the window, oldest first, at most 500; one that runs has no end.",
    )


class YhatIn(MetricIn, WindowIn):
    """Which window, and which values beside the expected range."""

    include_value: bool = Field(default=False, description="Add the value that came.")
    include_mean: bool = Field(default=False, description="Add the middle of the range.")
    include_yhat_real_lower: bool = Field(
        default=False, description="Add the lower end, not below the least value of the window."
    )
    include_3sigma: bool = Field(
        default=False, description="Add the mean of the window less and plus three deviations."
    )


class RangesIn(YhatIn):
    """Which window, and whether to add the anomalies in it."""

    include_3sigma: bool = Field(
        default=True, description="Add the mean of the window less and plus three deviations."
    )
    include_anomalous_periods: bool = Field(
        default=False, description="Add when the metric was anomalous."
    )


@blueprint.route(
    "/metric/<path:metric>/yhat",
    "/metric/yhat",
    inputs=RangesIn,
    outputs=RangesOut,
    access=VIEWER,
    limits=("heavy",),
    otherwise=metric_of_whole_path,
)
def yhat(inputs: RangesIn) -> RangesOut:
    """Show the expected range of a window; it does not depend on the window.

    After the metric's newest point it is a forecast, up to a day ahead of now depending on `until`.
    """
    status = metric_status_named(inputs.metric)
    if is_counter(status):
        judged = rate_in(read_points_and_margin(status, inputs), inputs.window_ms(DAY)[0])
    else:
        judged = read_points(status, inputs)
    periods = _anomalous_periods(status, inputs) if inputs.include_anomalous_periods else None
    yhat = expected_json(judged, inputs) | forecast_json(status, judged, inputs)
    return RangesOut(yhat=yhat, anomalous_periods=periods)


def expected_json(judged: Series, inputs: YhatIn) -> dict[str, Expected]:
    """Return the expected range of the judged points among these, by timestamp."""
    judgements = judged.judgements
    least = float(judged.values.min()) if len(judged) else 0.0
    sigma_lowers, sigma_uppers = _three_sigma_bounds(judged, inputs)
    found = {}
    for time_ms, value, lower, upper, score, sigma_lower, sigma_upper in zip(
        judged.times.tolist(),
        judged.values.tolist(),
        judgements.lowers.tolist(),
        judgements.uppers.tolist(),
        judgements.scores.tolist(),
        sigma_lowers,
        sigma_uppers,
        strict=True,
    ):
        if math.isnan(lower) or math.isnan(upper):
            continue
        expected = {"yhat_lower": lower, "yhat_upper": upper}
        if inputs.include_yhat_real_lower:
            expected["yhat_real_lower"] = max(lower, least)
        if inputs.include_mean:
            expected["mean"] = (lower + upper) / 2
        if inputs.include_value:
            expected["value"] = value
        if sigma_lower is not None and sigma_upper is not None:
            expected["3sigma_lower"], expected["3sigma_upper"] = sigma_lower, sigma_upper
        if not math.isnan(score):
            expected["score"] = round(score, 4)
        found[str(timestamp_of(time_ms))] = expected
    return found


def forecast_json(status: MetricStatus, judged: Series, inputs: YhatIn) -> dict[str, Expected]:
    """Return the expected range after the metric's newest point, by timestamp.

    The ranges of the judged points of the window continue unchanged.
    """
    ahead = expected_ahead(status, *inputs.window_ms(DAY), now_ms())
    least = float(judged.values.min()) if len(judged) else -math.inf
    sigma_lowers, sigma_uppers = _three_sigma_bounds(judged, inputs)
    sigma_lower, sigma_upper = (
        bounds[-1] if bounds else None for bounds in (sigma_lowers, sigma_uppers)
    )
    found = {}
    for time_ms, lower, upper in zip(
        ahead.times.tolist(), ahead.lowers.tolist(), ahead.uppers.tolist(), strict=True
    ):
        expected = {"yhat_lower": lower, "yhat_upper": upper}
        if inputs.include_yhat_real_lower:
            expected["yhat_real_lower"] = max(lower, least)
        if inputs.include_mean:
            expected["mean"] = (lower + upper) / 2
        if sigma_lower is not None and sigma_upper is not None:
            expected["3sigma_lower"], expected["3sigma_upper"] = sigma_lower, sigma_upper
        expected["forecast"] = True
        found[str(timestamp_of(time_ms))] = expected
    return found


def _three_sigma_bounds(
    judged: Series, inputs: YhatIn
) -> tuple[Sequence[float | None], Sequence[float | None]]:
    """Return the bounds of each point as the wire has them; None where there is none."""
    if not inputs.include_3sigma:
        nothing: list[float | None] = [None] * len(judged)
        return nothing, nothing
    lowers, uppers = three_sigma(judged.values)
    return (
        [value if math.isfinite(value) else None for value in lowers.tolist()],
        [value if math.isfinite(value) else None for value in uppers.tolist()],
    )


def _anomalous_periods(
    status: MetricStatus, inputs: WindowIn
) -> list[tuple[int | float, int | float | None]]:
    from_ms, until_ms = inputs.window_ms(DAY)
    found = list_anomalies(
        subject().org.id,
        metric_id=status.metric.id,
        from_ms=from_ms,
        until_ms=until_ms,
        oldest_first=True,
        limit=MOST_ANOMALIES,
    )
    return [
        (
            timestamp_of(one.span.started_ms),
            None if one.span.ended_ms is None else timestamp_of(one.span.ended_ms),
        )
        for one in found.items
    ]
