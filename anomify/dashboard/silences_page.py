"""The list of silences and maintenance, and the form in which one is created and changed."""

from datetime import datetime
from typing import Any, Final, Literal

from flask import Response, make_response, redirect
from pydantic import Field

from anomify.auth.subject import user_subject
from anomify.clock import now, to_ms
from anomify.contact_point.queries import list_contact_points
from anomify.dashboard.anomaly_row import anomaly_row_of
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.paging import page_links
from anomify.dashboard.silence_form import (
    EditForm,
    RowId,
    ShownForm,
    SilenceForm,
    blank_form,
    fields_of,
    form_of,
    sent_form,
)
from anomify.dashboard.wording import Moment, within_sentence
from anomify.edge.access import EDITOR, USER
from anomify.edge.contract import Inputs, names
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.incident.queries import open_incidents_with
from anomify.metric.name import LABELLED_NAME_MAX_BYTES
from anomify.org.daily_times import WEEKDAYS
from anomify.org.muting import is_muted
from anomify.org.time_zone import zone_names
from anomify.silence.editing import (
    create_silence,
    end_silence,
    new_silence,
    update_silence,
)
from anomify.silence.model import Silence
from anomify.silence.preview import SilencePreview, preview_of
from anomify.silence.queries import (
    SilenceState,
    end_of,
    get_silence,
    list_silences,
    next_occurrence,
    state_of,
)
from anomify.silence.wording import affected_in_words, times_in_words

blueprint = PageBlueprint("silences_page", __name__)

PATH: Final = "/ui/silences"
ROWS: Final = 25
STATES: Final = {
    "current": (SilenceState.ACTIVE, SilenceState.UPCOMING),
    "expired": (SilenceState.EXPIRED,),
}


class SilencesPageIn(Inputs):
    """Which silences."""

    state: Literal["current", "expired"] = Field("current", description="current or expired")
    offset: int = Field(0, ge=0, le=10_000_000)


class NewIn(Inputs):
    """What a new silence is to be about."""

    metric: str = Field("", max_length=LABELLED_NAME_MAX_BYTES, json_schema_extra=names(None))
    chips: str = Field("", max_length=2_000)


class SilencePageIn(Inputs):
    """Which silence."""

    silence_id: RowId = Field(json_schema_extra=names("silence"))


@blueprint.route(PATH, inputs=SilencesPageIn, access=USER, methods=["GET"])
def page(inputs: SilencesPageIn) -> str:
    """List the silences of the org."""
    org, at = user_subject().org, now()
    found = list_silences(org.id, at, states=STATES[inputs.state], limit=ROWS, offset=inputs.offset)
    muted_until = org.muted_until if is_muted(org, at) and inputs.state == "current" else None
    return render_page(
        "dashboard/silences.html",
        state=inputs.state,
        rows=[_row(silence, at) for silence in found.items],
        muted_until=None if muted_until is None else local_moment(to_ms(muted_until)),
        page=page_links(
            inputs.offset,
            len(found.items),
            found.total,
            ROWS,
            lambda offset: address(
                PATH, state=None if inputs.state == "current" else inputs.state,
                offset=offset or None,
            ),
        ),
    )  # fmt: skip


@blueprint.route(f"{PATH}/new", inputs=NewIn, access=EDITOR, methods=["GET"], endpoint="new")
def show_new(inputs: NewIn) -> str:
    """Show the form for a new silence, about a metric where one is named."""
    org = user_subject().org
    return _form_page(blank_form(org.timezone, now(), inputs.metric, inputs.chips))


@blueprint.route(
    f"{PATH}/new",
    inputs=SilenceForm,
    access=EDITOR,
    methods=["POST"],
    changes=True,
    endpoint="create",
    has_own_transactions=True,
)
def create(inputs: SilenceForm) -> Response:
    """Create the silence, or show what it would hold back."""
    caller = user_subject()
    try:
        if inputs.action == "preview":
            with transaction(write=False):
                tried = new_silence(caller.org, fields_of(inputs), caller.label, now())
                return make_response(_form_page(sent_form(inputs), shown=tried))
        with transaction(write=True):
            create_silence(caller.org, fields_of(inputs), caller.label)
    except AnomifyError as error:
        return _again(inputs, error)
    return make_response(redirect(PATH, 303))


@blueprint.route(
    f"{PATH}/<int:silence_id>",
    inputs=SilencePageIn,
    access=USER,
    methods=["GET"],
    endpoint="silence",
)
def show(inputs: SilencePageIn) -> str:
    """Show a silence with what it holds back; editors may change it here."""
    silence = get_silence(user_subject().org.id, inputs.silence_id)
    return _form_page(form_of(silence), stored=silence, shown=silence)


@blueprint.route(
    f"{PATH}/<int:silence_id>",
    inputs=EditForm,
    access=EDITOR,
    methods=["POST"],
    changes=True,
    endpoint="change",
    has_own_transactions=True,
)
def change(inputs: EditForm) -> Response:
    """Change the silence."""
    caller = user_subject()
    try:
        with transaction(write=True):
            stored = get_silence(caller.org.id, inputs.silence_id)
            fields = fields_of(inputs, stored=stored)
            update_silence(caller.org, inputs.silence_id, fields, caller.label)
    except AnomifyError as error:
        return _again(inputs, error, silence_id=inputs.silence_id)
    return make_response(redirect(PATH, 303))


@blueprint.route(
    f"{PATH}/<int:silence_id>/end",
    inputs=SilencePageIn,
    access=EDITOR,
    methods=["POST"],
    changes=True,
)
def end(inputs: SilencePageIn) -> Response:
    """End the silence now."""
    caller = user_subject()
    end_silence(caller.org.id, inputs.silence_id, caller.label)
    return make_response(redirect(PATH, 303))


def _again(inputs: SilenceForm, error: AnomifyError, silence_id: int | None = None) -> Response:
    with transaction(write=False):
        stored = None
        if silence_id is not None:
            stored = get_silence(user_subject().org.id, silence_id)
        text = _form_page(
            sent_form(inputs), stored=stored, faults=dict(error.fields), sentence=error.message
        )
    reply = make_response(text, error.status)
    if error.retry_after_seconds is not None:
        reply.headers["Retry-After"] = str(error.retry_after_seconds)
    return reply


def _form_page(
    form: ShownForm,
    *,
    stored: Silence | None = None,
    shown: Silence | None = None,
    faults: dict[str, str] | None = None,
    sentence: str = "",
) -> str:
    at = now()
    return render_page(
        "dashboard/silence.html",
        form=form,
        silence=None if stored is None else _row(stored, at),
        is_over=stored is not None and state_of(stored, at) is SilenceState.EXPIRED,
        has_begun=stored is not None and stored.begins_at <= at,
        effect=None if shown is None else _effect(preview_of(shown, at)),
        contacts=list_contact_points(user_subject().org.id),
        weekdays=WEEKDAYS,
        zones=zone_names(),
        faults=faults or {},
        fault_sentence=sentence,
    )


def _effect(found: SilencePreview) -> dict[str, Any]:
    return {
        "metrics_matched": found.metrics_matched,
        "metrics_total": found.metrics_total,
        "names": found.names,
        "anomalies_matched": len(found.anomaly_ids),
        "incidents_matched": len(open_incidents_with(found.anomaly_ids)),
        "anomalies": [anomaly_row_of(anomaly, None) for anomaly in found.anomalies],
        "occurrences": [(_moment(each.start), _moment(each.end)) for each in found.occurrences],
    }


def _row(silence: Silence, at: datetime) -> dict[str, Any]:
    following, ends = next_occurrence(silence, at), end_of(silence)
    return {
        "id": silence.id,
        "kind": silence.kind,
        "state": state_of(silence, at).value,
        "about": affected_in_words(silence),
        "comment": silence.comment,
        "times": times_in_words(silence),
        "from": None if following is None else _moment(following.start),
        "until": None if following is None else _moment(following.end),
        "ended": None if following is not None or ends is None else _moment(ends),
        "ended_by": silence.ended_by,
        "made_by": silence.created_by,
        "made": within_sentence(local_moment(to_ms(silence.created_at))),
    }


def _moment(moment: datetime) -> Moment:
    return within_sentence(local_moment(to_ms(moment)))
