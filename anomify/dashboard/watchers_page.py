"""The pages of watchers: the list, and the editor with preview, test and backtest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from flask import Response, make_response, redirect, url_for
from pydantic import Field

from anomify.auth.subject import user_subject
from anomify.clock import now, to_ms
from anomify.contact_point.queries import list_contact_points
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.dashboard.watcher_form import (
    ESCALATION_ROWS,
    RowId,
    WatcherForm,
    fields_of,
    given_of,
    values_of,
)
from anomify.dashboard.wording import Moment
from anomify.delivery.decision import Tell
from anomify.delivery.queries import latest_problems
from anomify.delivery.watcher_trial import ContactTrial, WatcherTester
from anomify.edge.access import EDITOR, USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.pipeline.backtest import Backtest, backtest
from anomify.user.profile import take_step
from anomify.user.queries import list_users
from anomify.watcher.chip import Suggestion, suggestions
from anomify.watcher.editing import (
    UNIT_SECONDS,
    WatcherEditor,
    WatcherFields,
    delete_watcher,
    undelete_watcher,
)
from anomify.watcher.model import Watcher
from anomify.watcher.queries import (
    MOST_WATCHERS,
    WatcherOrder,
    counts_by_watcher,
    get_watcher,
    linked_contacts,
    list_watchers,
    names_containing,
)
from anomify.watcher.reach import why_unreached
from anomify.watcher.threshold import FUNCTIONS, Operator, Threshold

blueprint = PageBlueprint("watchers_page", __name__)

PATH: Final = "/ui/watchers"
RECENT: Final = timedelta(days=7)
NAMES_SHOWN: Final = 8
BACKTEST_DAYS: Final = 30
BACKTEST_SHOWN: Final = 20
OPERATOR_WORDS: Final[Mapping[str, str]] = {
    "": "Anomalies that Anomify finds by itself",
    Operator.GREATER: "A value above a threshold",
    Operator.LESS: "A value below a threshold",
    Operator.DROP_OFF: "A drop, in percent",
    Operator.NO_DATA: "No data, for some seconds",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A watcher in the list."""

    id: int
    name: str
    chips: tuple[str, ...]
    condition: str
    severity: str
    is_alerting: bool
    problem: str | None
    metrics: int
    anomalies: int
    notified: tuple[str, ...]
    deleted: Moment | None


@dataclass(frozen=True, slots=True)
class Matches:
    """Which metrics the chips match now, and what could be added."""

    count: int
    names: list[str]
    suggested: list[Suggestion]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of what was sent."""

    error: AnomifyError | None = None
    notice: str = ""
    fresh_secret: str | None = None
    trials: Sequence[ContactTrial] = ()
    backtest: Backtest | None = None


class OneWatcherIn(Inputs):
    """Which watcher."""

    watcher_id: RowId = Field(json_schema_extra=names("watcher"))


class DeletedWatcherIn(Inputs):
    """Which deleted watcher."""

    watcher_id: RowId = Field(json_schema_extra=names("deleted_watcher"))


class ChangeForm(WatcherForm):
    """What a watcher is to be from now on."""

    watcher_id: RowId = Field(json_schema_extra=names("watcher"))


@blueprint.route(PATH, inputs=Inputs, access=USER, methods=["GET"])
def page(inputs: Inputs) -> str:
    """List the org's watchers with what is wrong with each."""
    del inputs
    org = user_subject().org
    found = list_watchers(
        org.id, with_deleted=True, order=WatcherOrder.NAME, limit=MOST_WATCHERS
    ).items
    counts = counts_by_watcher(org.id, found, now() - RECENT)
    linked = linked_contacts([each.id for each in found])
    problems = {
        **latest_problems(org.id, [each.id for each in found]),
        **why_unreached([each for each in found if each.is_alerting]),
    }
    rows = [
        Row(
            each.id,
            each.name,
            tuple(each.chips),
            _condition(each),
            each.severity,
            each.is_alerting,
            problems.get(each.id),
            counts[each.id].metrics,
            counts[each.id].anomalies,
            tuple(point.name for _, point in linked[each.id]),
            None if each.deleted_at is None else local_moment(to_ms(each.deleted_at)),
        )
        for each in found
    ]
    return render_page(
        "dashboard/watchers.html",
        rows=[row for row in rows if row.deleted is None],
        deleted=[row for row in rows if row.deleted is not None],
    )


@blueprint.route(f"{PATH}/new", inputs=Inputs, access=EDITOR, methods=["GET"], endpoint="new")
def new(inputs: Inputs) -> str:
    """Show the form of a new watcher."""
    del inputs
    return _form(None, values_of(None, {}), Result())


@blueprint.route(f"{PATH}/new", inputs=WatcherForm, access=EDITOR, changes=True, methods=["POST"])
def create(inputs: WatcherForm) -> Response:
    """Save a new watcher, or show what it would match or would have told."""
    return _sent(None, inputs)


@blueprint.route(
    f"{PATH}/<int:watcher_id>", inputs=OneWatcherIn, access=USER, methods=["GET"], endpoint="one"
)
def one(inputs: OneWatcherIn) -> str:
    """Show a watcher and the form to change it."""
    watcher = get_watcher(user_subject().org.id, inputs.watcher_id)
    return _form(watcher, _values(watcher), Result())


@blueprint.route(
    f"{PATH}/<int:watcher_id>", inputs=ChangeForm, access=EDITOR, changes=True, methods=["POST"]
)
def change(inputs: ChangeForm) -> Response:
    """Save what was changed, or show what it would match or would have told."""
    return _sent(get_watcher(user_subject().org.id, inputs.watcher_id), inputs)


@blueprint.route(
    f"{PATH}/<int:watcher_id>/test",
    inputs=OneWatcherIn,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    limits=("write", "test"),
    # The test messages are sent while no transaction is open.
    has_own_transactions=True,
    endpoint="test",
)
def test(inputs: OneWatcherIn) -> str:
    """Send a test message to everything that the watcher notifies, and show what was answered."""
    caller, state = user_subject(), app_state()
    trials = WatcherTester(state.database, state.settings).test(
        caller.org.id, inputs.watcher_id, caller.label
    )
    with transaction(write=True):
        if any(each.trial.is_delivered for each in trials):
            take_step(caller.user.id, "test_alert_sent")
        watcher = get_watcher(caller.org.id, inputs.watcher_id)
        notice = "" if trials else "It notifies nobody yet."
        return _form(watcher, _values(watcher), Result(trials=trials, notice=notice))


@blueprint.route(
    f"{PATH}/<int:watcher_id>/delete",
    inputs=OneWatcherIn,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    endpoint="delete",
)
def delete(inputs: OneWatcherIn) -> Response:
    """Delete a watcher; the list offers to bring it back."""
    caller = user_subject()
    delete_watcher(caller.org.id, inputs.watcher_id, caller.label)
    return make_response(redirect(PATH, code=303))


@blueprint.route(
    f"{PATH}/<int:watcher_id>/undelete",
    inputs=DeletedWatcherIn,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    endpoint="undelete",
)
def undelete(inputs: DeletedWatcherIn) -> Response:
    """Bring a deleted watcher back."""
    caller = user_subject()
    undelete_watcher(caller.org.id, inputs.watcher_id, caller.label)
    return make_response(redirect(PATH, code=303))


def _sent(watcher: Watcher | None, inputs: WatcherForm) -> Response:
    caller, editor = user_subject(), _editor()
    given = given_of(inputs)
    if inputs.add:
        given["chips"] = ", ".join([*filter(None, [given["chips"].strip(", ")]), inputs.add])
        return make_response(_form(watcher, given, Result()))
    if inputs.action == "preview":
        return make_response(_form(watcher, given, Result()))
    try:
        requested = fields_of(inputs)
        if inputs.action == "backtest":
            tried = editor.tried(caller.org.id, _without_contacts(requested))
            found = backtest(caller.org.id, tried, now(), BACKTEST_DAYS, app_state().points)
            return make_response(_form(watcher, given, Result(backtest=found)))
        if watcher is None:
            saved = editor.create(caller.org.id, requested, caller.label)
            take_step(caller.user.id, "alert_created")
        else:
            saved = editor.update(caller.org.id, watcher.id, requested, caller.label)
    except AnomifyError as error:
        # Nothing of it is kept; what was typed is shown again.
        shown = _form(watcher, given, Result(error=error))
        return make_response(shown, error.status)
    if saved.unreached or saved.fresh_secret:
        result = Result(notice=saved.unreached or "", fresh_secret=saved.fresh_secret)
        return make_response(_form(saved.watcher, _values(saved.watcher), result))
    address = url_for("watchers_page.one", watcher_id=saved.watcher.id)
    return make_response(redirect(address, code=303))


def _form(watcher: Watcher | None, values: Mapping[str, Any], result: Result) -> str:
    org = user_subject().org
    points = [each for each in list_contact_points(org.id) if not each.is_automatic]
    linked = [] if watcher is None else linked_contacts([watcher.id])[watcher.id]
    problem = None
    if watcher is not None and watcher.is_alerting:
        problem = why_unreached([watcher]).get(watcher.id)
    return render_page(
        "dashboard/watcher.html",
        watcher=watcher,
        form=values,
        points=points,
        users=list_users(org),
        others=[
            point.name
            for step, point in linked
            if point.is_automatic and not step and point.kind != "email"
        ],
        matches=_matches(str(values["chips"])),
        units=list(UNIT_SECONDS),
        operators=OPERATOR_WORDS,
        functions=list(FUNCTIONS),
        escalation_rows=ESCALATION_ROWS,
        problem=problem,
        result=result,
        faults={} if result.error is None else dict(result.error.fields),
        told=_told(result.backtest),
        backtest_days=BACKTEST_DAYS,
        may_edit=EDITOR.allows(user_subject()),
    )


def _told(found: Backtest | None) -> list[dict[str, Any]]:
    return [
        {
            "at": local_moment(to_ms(each.at)),
            "metric": each.first.metric_name,
            "severity": each.first.severity,
            "what": each.first.what,
            "more": each.anomaly_count - 1,
            "flaps": each.tell is Tell.FLAPPING,
        }
        for each in ([] if found is None else found.openings[:BACKTEST_SHOWN])
    ]


def _matches(text: str) -> Matches:
    chips = [each.strip() for each in text.split(",") if each.strip()]
    found = names_containing(user_subject().org.id, chips)
    return Matches(
        len(found) if chips else 0,
        found[:NAMES_SHOWN] if chips else [],
        suggestions(found, chips)[:12],
    )


def _condition(watcher: Watcher) -> str:
    threshold = Threshold.of(watcher)
    return "" if threshold is None else threshold.condition()


def _values(watcher: Watcher) -> dict[str, Any]:
    steps: dict[str, Any] = {
        "contact_point_ids": [],
        "email_user_ids": [],
        "later": [],
    }
    for step, point in linked_contacts([watcher.id])[watcher.id]:
        if step:
            minutes = watcher.escalation_minutes
            steps["later"].append(
                (minutes[min(step, len(minutes)) - 1] if minutes else 0, point.id)
            )
        elif not point.is_automatic:
            steps["contact_point_ids"].append(point.id)
        elif point.kind == "email" and point.user_id is not None:
            steps["email_user_ids"].append(point.user_id)
    return values_of(watcher, steps)


def _without_contacts(requested: WatcherFields) -> WatcherFields:
    return WatcherFields(
        chips=requested.chips,
        severity=requested.severity,
        expiration_time=requested.expiration_time,
        expiration_time_unit=requested.expiration_time_unit,
        timing=requested.timing,
        threshold=requested.threshold,
    )


def _editor() -> WatcherEditor:
    return WatcherEditor(app_state().settings)
