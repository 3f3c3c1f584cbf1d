"""The page of one metric: its chart, state and anomalies."""

from dataclasses import dataclass
from typing import Any, Final, Self

from flask import Response, make_response, redirect
from pydantic import AliasChoices, Field, model_validator

from anomify.auth.subject import subject
from anomify.clock import now, now_ms
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.metric_parts import Links, Selected, find_selected, parts_of
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.triage_part import done_of
from anomify.edge.access import USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.validation_sentences import WrongParameter
from anomify.errors import NotFound
from anomify.exclusion.wording import explained, rules_behind
from anomify.metric.name import NameRefused, plain_or_labelled_name
from anomify.metric.queries import get_metric_status
from anomify.metric.reading import end_with_newest
from anomify.metric.status import MetricStatus

blueprint = PageBlueprint("metric_page", __name__)

PATH: Final = "/ui/metric"
EVENTS_PATH: Final = "/ui/metric-events"
# Ten digits of unix seconds end in the year 2286.
MOST_TIMESTAMP: Final = 9_999_999_999
HOUR: Final = 3_600
RANGES: Final[dict[str, tuple[int, str]]] = {
    "1h": (HOUR, "Last hour"),
    "6h": (6 * HOUR, "Last 6 hours"),
    "24h": (24 * HOUR, "Last 24 hours"),
    "7d": (7 * 24 * HOUR, "Last 7 days"),
    "30d": (30 * 24 * HOUR, "Last 30 days"),
}
# A range that shows fewer points than this of a metric says little about it.
FEWEST_POINTS: Final = 60


class MetricPageIn(Inputs):
    """The metric, the time window, and the selected anomaly, match or pattern."""

    name: str = Field(max_length=4_096, json_schema_extra=names("metric"))
    range: str | None = Field(None, pattern="^(1h|6h|24h|7d|30d)$")
    from_timestamp: int | None = Field(
        None, ge=0, le=MOST_TIMESTAMP, validation_alias=AliasChoices("from")
    )
    until_timestamp: int | None = Field(
        None, ge=1, le=MOST_TIMESTAMP, validation_alias=AliasChoices("until")
    )
    event: int | None = Field(None, ge=1, le=2**31 - 1, json_schema_extra=names("anomaly"))
    match: int | None = Field(None, ge=1, le=2**31 - 1, json_schema_extra=names("match"))
    pattern: int | None = Field(None, ge=1, le=2**31 - 1, json_schema_extra=names("pattern"))
    ask: bool = Field(default=False, description="Whether the anomaly was expected is asked.")
    done: int | None = Field(
        None, ge=1, description="What was just done.", json_schema_extra=names(None)
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        start, end = self.from_timestamp, self.until_timestamp
        if start is not None and start * 1000 >= (now_ms() if end is None else end * 1000):
            raise WrongParameter("from", "from must lie before until, which is now when left out.")
        return self

    @property
    def has_window(self) -> bool:
        """Return whether the window's start or end is given; the range determines the other."""
        return self.from_timestamp is not None or self.until_timestamp is not None

    def window_ms(self, default_range: str) -> tuple[int, int]:
        """Return the window in unix milliseconds."""
        until_ms = now_ms() if self.until_timestamp is None else self.until_timestamp * 1000
        if self.from_timestamp is not None:
            return self.from_timestamp * 1000, until_ms
        return max(until_ms - RANGES[self.range or default_range][0] * 1000, 0), until_ms

    def url(self, **changes: Any) -> str:
        """Return the address of this page with changes."""
        parameters = {
            "name": self.name,
            "range": self.range,
            "from": self.from_timestamp,
            "until": self.until_timestamp,
            "event": self.event,
            "match": self.match,
            "pattern": self.pattern,
            "ask": "true" if self.ask else None,
        }
        return address(PATH, **{**parameters, **changes})


@dataclass(frozen=True, slots=True)
class RangeLink:
    """A range that ends now."""

    key: str
    words: str
    url: str
    is_chosen: bool


@blueprint.route(PATH, inputs=MetricPageIn, access=USER, methods=["GET"])
def page(inputs: MetricPageIn) -> str | Response:
    """Show one metric."""
    status = _status_of_metric(inputs)
    inputs = inputs.model_copy(update={"name": status.metric.name})
    selected = find_selected(status, inputs.event, inputs.match, inputs.pattern)
    default = default_range(status)
    if better_url := _better_window(inputs, status, selected, default):
        return make_response(redirect(better_url))
    from_ms, until_ms = _window_ms(inputs, status)
    window = {"from": from_ms // 1000, "until": -(-until_ms // 1000)}
    name = status.metric.name
    progress = status.progress
    return render_page(
        "dashboard/metric.html",
        name=name,
        **parts_of(status, selected, (from_ms, until_ms), _links(inputs)),
        done=done_of(inputs.done),
        here=inputs.url(),
        ranges=[
            RangeLink(
                key,
                words,
                inputs.url(**{"range": key, "from": None, "until": None}),
                key == (None if inputs.has_window else inputs.range or default),
            )
            for key, (_, words) in RANGES.items()
        ],
        reset_url=address(PATH, name=name),
        is_custom=inputs.has_window,
        is_counter=bool(progress and progress.is_counter),
        window_words=f"{local_moment(from_ms).words} \N{EN DASH} {local_moment(until_ms).words}",
        default_range=default,
        bundle_url=address("/metric/bundle", metric=name),
        events_url=EVENTS_PATH,
        last_timestamp=progress.judged_until_ms // 1000 if progress else "",
        picture_url=address("/metric/graph", metric=name, **window),
    )


@blueprint.route(EVENTS_PATH, inputs=MetricPageIn, access=USER, methods=["GET"])
def events(inputs: MetricPageIn) -> str:
    """Show the parts of the page that change with its window and its selection."""
    status = _status_of_metric(inputs)
    window = _window_ms(inputs, status)
    return render_page(
        "dashboard/metric_events.html",
        **parts_of(
            status,
            find_selected(status, inputs.event, inputs.match, inputs.pattern),
            window,
            _links(inputs),
        ),
    )


def _window_ms(inputs: MetricPageIn, status: MetricStatus) -> tuple[int, int]:
    """Return the window in unix milliseconds; one that ends now ends with the newest point."""
    from_ms, until_ms = inputs.window_ms(default_range(status))
    if not inputs.has_window:
        until_ms = end_with_newest(app_state().points, status.metric.id, until_ms)
    return from_ms, until_ms


def default_range(status: MetricStatus) -> str:
    """Return the range in which a metric is first shown, which holds enough points."""
    progress = status.progress
    if progress is None or progress.resolution_ms <= 0:
        return "1h"
    step = progress.resolution_ms // 1000
    covered = progress.points_seen * step
    for key in ("1h", "6h"):
        if covered <= 2 * RANGES[key][0]:
            return key
    return next((key for key in ("24h", "7d") if step * FEWEST_POINTS <= RANGES[key][0]), "30d")


def _status_of_metric(inputs: MetricPageIn) -> MetricStatus:
    name = plain_or_labelled_name(inputs.name)
    if isinstance(name, NameRefused):
        raise NotFound(f"No metric can have this name: {name.reason}.")
    org_id = subject().org.id
    try:
        status = get_metric_status(org_id, name, now())
    except NotFound:
        raise NotFound(
            "Your organisation has no metric of this name. It has never reported, or its name is "
            "spelled differently."
        ) from None
    return explained([status], rules_behind(org_id, [status]))[0]


def _links(inputs: MetricPageIn) -> Links:
    """Return how the parts of the page lead to the page with something else selected."""

    def url(**selected: int) -> str:
        return inputs.url(
            **{"event": None, "match": None, "pattern": None, "ask": None, **selected}
        )

    return Links(url, asks=inputs.ask)


def _better_window(
    inputs: MetricPageIn, status: MetricStatus, selected: Selected, default: str
) -> str | None:
    """Return the window of the last points, if none is given and the default one is empty."""
    if inputs.has_window or inputs.range:
        return None
    progress = status.progress
    found = selected.window_ms(progress)
    if found is not None:
        from_ms, until_ms = found
    elif progress and progress.judged_until_ms < now_ms() - RANGES[default][0] * 1000:
        until_ms = progress.judged_until_ms + max(progress.resolution_ms, 1000)
        from_ms = until_ms - RANGES[default][0] * 1000
    else:
        return None
    window = {"from": max(from_ms, 0) // 1000, "until": -(-until_ms // 1000)}
    return inputs.url(**window, done=inputs.done)
