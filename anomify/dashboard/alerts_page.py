"""The alerts log: every message with its attempts and answers, and sending one again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from flask import Response, make_response, redirect
from pydantic import Field

from anomify.auth.subject import subject, user_subject
from anomify.channel.kinds import KINDS
from anomify.clock import to_ms
from anomify.contact_point.queries import get_contact_point
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint, address, local_path
from anomify.dashboard.paging import Choice, page_links
from anomify.dashboard.wording import Moment, within_sentence
from anomify.delivery.facts import Facts
from anomify.delivery.model import Delivery, DeliveryAttempt
from anomify.delivery.queries import attempts_of, list_deliveries
from anomify.delivery.replaying import replay
from anomify.delivery.wording import subject_of
from anomify.edge.access import EDITOR, USER
from anomify.edge.contract import Inputs, names
from anomify.incident.queries import get_incident

blueprint = PageBlueprint("alerts_page", __name__)

PATH: Final = "/ui/alerts"
ROWS: Final = 25
STATES: Final = (("", "All"), ("pending", "Waiting"), ("sent", "Sent"), ("dead", "Given up"))


class AlertsIn(Inputs):
    """Which messages."""

    state: Literal["", "pending", "sent", "dead"] = Field("", description="the state")
    incident_id: int | None = Field(None, ge=1, le=2**31 - 1, json_schema_extra=names("incident"))
    contact_point_id: int | None = Field(
        None, ge=1, le=2**31 - 1, json_schema_extra=names("contact_point")
    )
    offset: int = Field(0, ge=0, le=10_000_000)

    def url(self, **changes: object) -> str:
        """Return the address of this list with changes."""
        given = {
            "state": self.state,
            "incident_id": self.incident_id,
            "contact_point_id": self.contact_point_id,
        }
        return address(PATH, **{**given, **changes})


class ReplayForm(Inputs):
    """Which message is sent again, and the page to return to."""

    delivery_id: str = Field(max_length=36, json_schema_extra=names("delivery"))
    back: str = Field("", max_length=2_000)


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """An attempt, formatted for a page."""

    at: Moment
    is_delivered: bool
    answer: str


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A message, formatted for a page."""

    id: str
    subject: str
    kind: str
    recipient: str
    state: str
    written: Moment
    next: Moment | None
    problem: str
    attempts: int
    lines: tuple[AttemptLine, ...]
    incident_url: str


@blueprint.route(PATH, inputs=AlertsIn, access=USER, methods=["GET"])
def page(inputs: AlertsIn) -> str:
    """Show the messages of the org, the latest first."""
    org_id = subject().org.id
    point = None
    if inputs.contact_point_id is not None:
        point = get_contact_point(org_id, inputs.contact_point_id)
    if inputs.incident_id is not None:
        get_incident(org_id, inputs.incident_id)

    def of_state(state: str, limit: int) -> tuple[list[Delivery], int]:
        found = list_deliveries(
            org_id,
            state=state or None,
            incident_id=inputs.incident_id,
            contact_point_id=inputs.contact_point_id,
            limit=limit,
            offset=inputs.offset if limit else 0,
        )
        return found.items, found.total

    items, total = of_state(inputs.state, ROWS)
    attempts = attempts_of([each.id for each in items])
    return render_page(
        "dashboard/alerts.html",
        inputs=inputs,
        states=[
            Choice(
                words,
                inputs.url(state=state),
                total if state == inputs.state else of_state(state, 0)[1],
                state == inputs.state,
            )
            for state, words in STATES
        ],
        point=None if point is None else point.name,
        rows=[_row(each, attempts[each.id]) for each in items],
        page=page_links(
            inputs.offset, len(items), total, ROWS, lambda at: inputs.url(offset=at or None)
        ),
        here=inputs.url(offset=inputs.offset or None),
    )


@blueprint.route(
    "/ui/alerts/<delivery_id>/replay",
    inputs=ReplayForm,
    access=EDITOR,
    changes=True,
    methods=["POST"],
)
def replay_message(inputs: ReplayForm) -> Response:
    """Send a message that was given up again."""
    caller = user_subject()
    replay(caller.org.id, inputs.delivery_id, caller.label)
    return make_response(redirect(local_path(inputs.back) if inputs.back else PATH, code=303))


def _row(found: Delivery, attempts: Sequence[DeliveryAttempt]) -> AlertRow:
    kind = KINDS.get(found.channel)
    is_settled = found.settled_at is not None
    incident_url = f"/ui/incident/{found.incident_id}" if found.incident_id is not None else ""
    return AlertRow(
        id=found.id,
        subject=_subject(found),
        kind=found.channel if kind is None else kind.words,
        recipient=found.recipient,
        state=found.state,
        written=within_sentence(local_moment(to_ms(found.created_at))),
        next=None
        if is_settled or not found.attempts
        else within_sentence(local_moment(to_ms(found.due_at))),
        problem=found.last_error or "",
        attempts=found.attempts,
        lines=tuple(
            AttemptLine(local_moment(to_ms(each.ended_at)), each.is_delivered, each.answer)
            for each in attempts
        ),
        incident_url=incident_url,
    )


def _subject(found: Delivery) -> str:
    try:
        return subject_of(Facts.from_row(found.facts))
    except (msgspec.ValidationError, KeyError):
        # Written by another version.
        return found.transition.capitalize()
