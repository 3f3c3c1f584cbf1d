"""The pages of contact points: the list, and the form with the result of its test message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from flask import Response, make_response, redirect
from pydantic import Field, create_model

from anomify.auth.subject import user_subject
from anomify.channel.kind import ChannelKind, Setting
from anomify.channel.kinds import KINDS, WEBHOOK
from anomify.clock import to_ms
from anomify.contact_point.editing import ContactEditor, ContactFields
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.queries import get_contact_point, list_contact_points
from anomify.contact_point.trial import Trial
from anomify.contact_point.view import ContactView, contact_view
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.dashboard.wording import Moment
from anomify.delivery.contact_saving import ContactSaver
from anomify.edge.access import EDITOR, USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.limits import Limit, spend_also
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.user.queries import list_users
from anomify.watcher.contact_changes import remove_contact_point
from anomify.watcher.queries import watchers_with

RowId = Annotated[int, Field(ge=1, le=2**31 - 1)]

blueprint = PageBlueprint("contact_points_page", __name__)

PATH: Final = "/ui/contact-points"
# What stands before the name of a setting in a form, and before that of the tick that removes it.
SETTING: Final = "setting_"
REMOVE: Final = "remove_"


@dataclass(frozen=True, slots=True)
class Row:
    """A contact point in the list."""

    id: int
    name: str
    kind: str
    problem: str | None
    delivered: Moment | None
    is_automatic: bool
    watchers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of the form for one setting."""

    setting: Setting
    # What the field holds; nothing for what is not shown again.
    value: str
    # What stands in an empty field whose stored value is not shown.
    placeholder: str
    is_set: bool
    is_hidden: bool
    is_removable: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What came of saving: the test message, and a secret that is shown once."""

    trial: Trial | None = None
    fresh_secret: str | None = None
    error: AnomifyError | None = None


class KindIn(Inputs):
    """Which kind a new contact point is to have; empty to choose one."""

    kind: str = Field("", max_length=32)


class OneContactPointIn(Inputs):
    """Which contact point."""

    contact_point_id: RowId = Field(json_schema_extra=names("contact_point"))


class OneWebhookIn(Inputs):
    """Which contact point of the kind webhook."""

    contact_point_id: RowId = Field(json_schema_extra=names("webhook_contact_point"))


class _CommonForm(Inputs):
    """What the form of each kind has."""

    name: str = Field("", max_length=400, json_schema_extra=names(None))
    user_id: int = Field(0, ge=0, le=2**31 - 1, json_schema_extra=names("user"))


def _form_of_all_kinds() -> type[_CommonForm]:
    """Return the form with the settings of every kind, of which each page shows some."""
    found = {setting.name for kind in KINDS.values() for setting in kind.settings}
    fields: dict[str, Any] = {}
    for name in sorted(found):
        fields[f"{SETTING}{name}"] = (
            str,
            Field("", max_length=4_000, repr=False, json_schema_extra=names(None)),
        )
        fields[f"{REMOVE}{name}"] = (bool, Field(default=False, json_schema_extra=names(None)))
    return create_model("SettingsForm", __base__=_CommonForm, **fields)


class CreateForm(_form_of_all_kinds()):  # type: ignore[misc] # made from the table of kinds
    """A new contact point."""

    kind: str = Field(max_length=32, examples=["email"])


class ChangeForm(_form_of_all_kinds()):  # type: ignore[misc] # made from the table of kinds
    """What a contact point is to be from now on."""

    contact_point_id: RowId = Field(json_schema_extra=names("contact_point"))


@blueprint.route(PATH, inputs=Inputs, access=USER, methods=["GET"])
def page(inputs: Inputs) -> str:
    """List the org's contact points, what is wrong with each, and which watchers use it."""
    del inputs
    found = list_contact_points(user_subject().org.id)
    watchers = watchers_with(user_subject().org.id, [each.id for each in found])
    rows = [
        Row(
            each.id,
            each.name,
            KINDS[each.kind].words,
            _view(each).problem,
            None if each.delivered_at is None else local_moment(to_ms(each.delivered_at)),
            each.is_automatic,
            tuple(watcher.name for watcher in watchers[each.id]),
        )
        for each in found
    ]
    return render_page("dashboard/contact_points.html", rows=rows)


@blueprint.route(f"{PATH}/new", inputs=KindIn, access=EDITOR, methods=["GET"], endpoint="new")
def new(inputs: KindIn) -> str:
    """Show the kinds to choose from, or the form of the chosen kind."""
    kinds = ContactEditor(app_state().settings).kinds()
    kind = next((each for each in kinds if each.name == inputs.kind), None)
    if kind is None:
        return render_page("dashboard/contact_point_kinds.html", kinds=kinds)
    return _form(kind, None, Result())


@blueprint.route(
    f"{PATH}/new",
    inputs=CreateForm,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    # The test message is sent while no transaction is open.
    has_own_transactions=True,
)
def create(inputs: CreateForm) -> Response:
    """Save a new contact point, and show what came of the test message."""
    caller = user_subject()
    spend_also(Limit.TEST)
    kind = KINDS.get(inputs.kind)
    given = _given(kind, inputs, removes=False)
    requested = ContactFields(inputs.kind, inputs.name, inputs.user_id or None, given)
    try:
        saved = _saver().create(caller.org.id, requested, caller.label)
    except AnomifyError as error:
        if kind is None:
            raise
        with transaction(write=False):
            shown = _form(kind, None, Result(error=error), inputs)
        return make_response(shown, error.status)
    return _done(saved.contact_point_id, Result(saved.trial, saved.fresh_secret))


@blueprint.route(
    f"{PATH}/<int:contact_point_id>",
    inputs=OneContactPointIn,
    access=USER,
    methods=["GET"],
    endpoint="one",
)
def one(inputs: OneContactPointIn) -> str:
    """Show a contact point and the form to change it."""
    point = get_contact_point(user_subject().org.id, inputs.contact_point_id)
    return _form(KINDS[point.kind], point, Result())


@blueprint.route(
    f"{PATH}/<int:contact_point_id>",
    inputs=ChangeForm,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    has_own_transactions=True,
)
def change(inputs: ChangeForm) -> Response:
    """Save what was changed, and show what came of the test message."""
    caller = user_subject()
    spend_also(Limit.TEST)
    with transaction(write=False):
        kind = KINDS[get_contact_point(caller.org.id, inputs.contact_point_id).kind]
    requested = ContactFields(
        name=inputs.name or None,
        user_id=inputs.user_id if kind.person else None,
        settings=_given(kind, inputs, removes=True),
    )
    try:
        saved = _saver().update(caller.org.id, inputs.contact_point_id, requested, caller.label)
    except AnomifyError as error:
        with transaction(write=False):
            point = get_contact_point(caller.org.id, inputs.contact_point_id)
            shown = _form(kind, point, Result(error=error), inputs)
        return make_response(shown, error.status)
    return _done(saved.contact_point_id, Result(saved.trial, saved.fresh_secret))


@blueprint.route(
    f"{PATH}/<int:contact_point_id>/test",
    inputs=OneContactPointIn,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    limits=("write", "test"),
    has_own_transactions=True,
    endpoint="test",
)
def test(inputs: OneContactPointIn) -> Response:
    """Send a test message now, and show what came of it."""
    trial = _saver().test(user_subject().org.id, inputs.contact_point_id)
    return _done(inputs.contact_point_id, Result(trial))


@blueprint.route(
    f"{PATH}/<int:contact_point_id>/rotate",
    inputs=OneWebhookIn,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    endpoint="rotate",
)
def rotate(inputs: OneWebhookIn) -> str:
    """Replace the secret of a webhook, and show the new one once."""
    caller = user_subject()
    editor = ContactEditor(app_state().settings)
    saved = editor.rotate_secret(caller.org.id, inputs.contact_point_id, caller.label)
    point = saved.contact_point
    return _form(KINDS[point.kind], point, Result(fresh_secret=saved.fresh_secret))


@blueprint.route(
    f"{PATH}/<int:contact_point_id>/delete",
    inputs=OneContactPointIn,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    endpoint="delete",
)
def delete(inputs: OneContactPointIn) -> Response:
    """Delete a contact point."""
    caller = user_subject()
    remove_contact_point(caller.org.id, inputs.contact_point_id, caller.label)
    return make_response(redirect(PATH, code=303))


def _done(contact_point_id: int, result: Result) -> Response:
    with transaction(write=False):
        point = get_contact_point(user_subject().org.id, contact_point_id)
        return make_response(_form(KINDS[point.kind], point, result))


def _form(kind: ChannelKind, point: ContactPoint | None, result: Result, given: Any = None) -> str:
    org = user_subject().org
    view = None if point is None else _view(point)
    faults = {} if result.error is None else dict(result.error.fields)
    return render_page(
        "dashboard/contact_point.html",
        kind=kind,
        point=point,
        problem=None if view is None else view.problem,
        is_webhook=kind.name == WEBHOOK,
        fields=_fields(kind, view, given),
        name=given.name if given is not None else ("" if point is None else point.name),
        user_id=given.user_id if given is not None else (None if point is None else point.user_id),
        users=list_users(org) if kind.person else [],
        delivered=_delivered(point),
        watchers=[] if point is None else watchers_with(org.id, [point.id])[point.id],
        result=result,
        faults={name.removeprefix("settings."): each for name, each in faults.items()},
        may_edit=EDITOR.allows(user_subject()),
    )


def _fields(kind: ChannelKind, view: ContactView | None, given: Any) -> list[FieldRow]:
    shown = {} if view is None else {each.setting.name: each for each in view.settings}
    rows = []
    for setting in kind.settings:
        stored = shown.get(setting.name)
        is_hidden = setting.is_secret or setting.is_url
        is_set = stored is not None and stored.is_set
        value = "" if stored is None or is_hidden else stored.shown or ""
        if given is not None and not setting.is_secret:
            value = str(getattr(given, f"{SETTING}{setting.name}"))
        placeholder = ""
        if is_set and is_hidden:
            at = stored.shown if stored is not None else None
            placeholder = f"Stored ({at}); empty keeps it" if at else "Stored; empty keeps it"
        rows.append(
            FieldRow(
                setting,
                value,
                placeholder,
                is_set,
                is_hidden,
                is_removable=is_set and is_hidden and not setting.is_required,
            )
        )
    return rows


def _given(kind: ChannelKind | None, inputs: Any, *, removes: bool) -> Mapping[str, str]:
    """Return the settings that the form changes: an empty field keeps what is not shown."""
    given = {}
    for setting in () if kind is None else kind.settings:
        value = str(getattr(inputs, f"{SETTING}{setting.name}")).strip()
        is_removed = getattr(inputs, f"{REMOVE}{setting.name}")
        if is_removed:
            given[setting.name] = ""
        elif value or (removes and not (setting.is_secret or setting.is_url)):
            given[setting.name] = value
    return given


def _delivered(point: ContactPoint | None) -> Moment | None:
    taken_at = None if point is None else point.delivered_at
    return None if taken_at is None else local_moment(to_ms(taken_at))


def _view(point: ContactPoint) -> ContactView:
    return contact_view(point, ContactEditor(app_state().settings).key)


def _saver() -> ContactSaver:
    return ContactSaver(app_state().database, app_state().settings)
