"""Set-up pages: the first account, connecting a source, and what has arrived."""

from dataclasses import dataclass
from typing import Annotated, Final
from zoneinfo import available_timezones

from flask import Response, make_response, render_template
from pydantic import Field, StringConstraints

from anomify.auth.sign_in import remember_client, start_session
from anomify.auth.subject import subject, user_subject
from anomify.clock import now, now_ms
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.dashboard.send_instructions import PLACEHOLDER, send_instructions
from anomify.dashboard.wording import Moment
from anomify.detection.state import LEARNING_POINTS
from anomify.edge.access import ADMIN, ANYONE, USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.metric.queries import MetricOrder, list_metrics
from anomify.metric.status import MetricStatus
from anomify.org.onboarding import find_setup_link
from anomify.org.refused_items import list_refused
from anomify.org.token import create_token
from anomify.user.queries import needs_setup
from anomify.user.second_factor import EMAIL
from anomify.user.setup import finish_setup

blueprint = PageBlueprint("set_up", __name__)

PATH: Final = "/ui/setup"
CONNECT_PATH: Final = "/ui/connect"
NEWEST: Final = 5
DAY_MS: Final = 86_400_000
# The names of the ingestion routes on pages.
ROUTES: Final = {
    "flux": "JSON",
    "telegraf": "Telegraf",
    "prometheus": "Prometheus",
    "flux_prometheus": "Prometheus",
    "page_events": "web pages",
}

Text = Annotated[str, StringConstraints(max_length=1_024)]


class LinkIn(Inputs):
    """The secret of the one-time link."""

    link: str = Field("", max_length=200, repr=False)


class SetUpIn(LinkIn):
    """The first org and its first account; the domain packages check the values."""

    org_name: Text = Field("", json_schema_extra=names(None))
    timezone: Text = "UTC"
    name: Text = Field("", json_schema_extra=names(None))
    email: Text = ""
    password: Text = Field("", repr=False)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """The items that one route refused in the last 24 hours for one kind of reason."""

    items: int
    route: str
    metric: str
    reason: str
    last_seen: Moment


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The metrics that have arrived and the items that were refused."""

    total: int
    newest: list[MetricStatus]
    refused: list[RefusedRow]
    learning_points: int = LEARNING_POINTS


@blueprint.route(PATH, inputs=LinkIn, access=ANYONE, methods=["GET"])
def page(inputs: LinkIn) -> Response:
    """Show the form for the first org and account to the owner of the set-up link."""
    if needs_setup() and find_setup_link(inputs.link) is not None:
        return _form(SetUpIn(link=inputs.link))
    return _closed(has_link=bool(inputs.link))


@blueprint.route(
    PATH,
    inputs=SetUpIn,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="finish",
    has_own_transactions=True,
)
def finish(inputs: SetUpIn) -> Response:
    """Create the first org and account, sign in, and redirect to connecting a source."""
    with transaction(write=False):
        if not needs_setup() or find_setup_link(inputs.link) is None:
            return _closed(has_link=True)
    try:
        with transaction(write=True):
            user = finish_setup(
                inputs.link,
                inputs.org_name,
                inputs.email,
                inputs.name,
                inputs.password,
                timezone=inputs.timezone,
            )
            remember_client(user, EMAIL)
            start_session(user)
    except AnomifyError as error:
        return _form(inputs, error)
    with transaction(write=True):
        return make_response(_connect_page(key=_new_key(), is_first=True))


@blueprint.route(CONNECT_PATH, inputs=Inputs, access=USER, methods=["GET"])
def connect(inputs: Inputs) -> str:
    """Show how to send metrics."""
    del inputs
    return _connect_page()


@blueprint.route(
    CONNECT_PATH,
    inputs=Inputs,
    access=ADMIN,
    changes=True,
    methods=["POST"],
    endpoint="make_key",
)
def make_key(inputs: Inputs) -> str:
    """Create an ingest key and show how to send metrics with it; the key is shown once."""
    del inputs
    return _connect_page(key=_new_key())


@blueprint.route("/ui/arrivals", inputs=Inputs, access=USER, methods=["GET"])
def arrivals(inputs: Inputs) -> str:
    """Show what has arrived so far."""
    del inputs
    return render_template("dashboard/arrivals.html", arrivals=_arrivals())


def _form(inputs: SetUpIn, error: AnomifyError | None = None) -> Response:
    faults = dict(error.fields) if error else {}
    if "name" in faults and inputs.name.strip():
        # Both the org and the user have a field called name.
        faults["org_name"] = faults.pop("name")
    page = render_template(
        "dashboard/setup.html",
        link=inputs.link,
        given=inputs,
        zones=zones(),
        faults=faults,
        fault_sentence=error.message if error else "",
    )
    return make_response(page, error.status if error else 200)


def _closed(*, has_link: bool) -> Response:
    if not needs_setup():
        heading = "Anomify is set up already"
        sentence = "Sign in, or ask an admin of your organisation for an account."
        status = 404 if has_link else 200
    else:
        heading = "This link does not work" if has_link else "Anomify is not set up yet"
        sentence = (
            "It has been used, has expired or was not copied completely."
            if has_link
            else "Open the one-time set-up link that the server printed when it started."
        )
        status = 403 if has_link else 200
    page = render_template(
        "dashboard/setup.html",
        link=None,
        heading=heading,
        sentence=sentence,
        is_unset=needs_setup(),
        example=f"{app_state().settings.base_url}{PATH}?link=…",
        faults={},
    )
    return make_response(page, status)


def _connect_page(*, key: str | None = None, is_first: bool = False) -> str:
    return render_page(
        "dashboard/connect.html",
        key=key,
        placeholder=PLACEHOLDER,
        send_instructions=send_instructions(app_state().settings.base_url, key or PLACEHOLDER),
        is_first=is_first,
        is_reply=key is not None,
        may_make_key=ADMIN.allows(user_subject()) and not subject().org.is_demo,
        is_demo=subject().org.is_demo,
        arrivals=_arrivals(),
    )


def _new_key() -> str:
    caller = subject()
    name = f"Ingest key of {now():%Y-%m-%d %H:%M}"
    _, text = create_token(caller.org, name, ["ingest"], caller.label)
    return text


def _arrivals() -> Arrivals:
    found = list_metrics(subject().org.id, now(), order=MetricOrder.NEWEST, limit=NEWEST)
    return Arrivals(found.total, found.items, refused_lately(subject().org.id))


def refused_lately(org_id: int) -> list[RefusedRow]:
    """Return the items refused in the last 24 hours, the most recent first."""
    at = now_ms()
    return [
        RefusedRow(one.items, ROUTES[one.route], one.metric, one.reason, local_moment(one.last_ms))
        for one in list_refused(org_id, at - DAY_MS, at + 1)
    ]


def zones() -> list[str]:
    """Return the names of time zones by continent and city, and UTC."""
    aliases = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    places = (zone for zone in available_timezones() if "/" in zone)
    return ["UTC", *sorted(zone for zone in places if not zone.startswith(aliases))]
