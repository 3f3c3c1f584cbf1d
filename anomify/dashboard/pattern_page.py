"""The page of a pattern: its picture, its matches, what is disabled with it, and its buttons."""

from typing import Final

from flask import Response, make_response, redirect
from pydantic import Field

from anomify.anomaly.model import Anomaly
from anomify.auth.subject import subject, user_subject
from anomify.dashboard.anomaly_row import AnomalyRow, anomaly_row_of
from anomify.dashboard.layout import render_page
from anomify.dashboard.match_row import match_rows
from anomify.dashboard.page_blueprint import PageBlueprint, address, local_path
from anomify.dashboard.paging import Choice, page_links
from anomify.dashboard.pattern_link import name_of, pattern_url
from anomify.dashboard.pattern_row import STATES_IN_WORDS, pattern_rows
from anomify.edge.access import EDITOR, USER
from anomify.edge.contract import Inputs, names
from anomify.match.queries import list_matches
from anomify.metric.queries import find_progress
from anomify.pattern.charts import window_of_pattern
from anomify.pattern.figures import window_in_words
from anomify.pattern.groups import disable_group, enable_group, group_of, members_of
from anomify.pattern.lineage import REASON_CHARACTERS_MAX, descendants_of
from anomify.pattern.model import Pattern, PatternState
from anomify.pattern.queries import get_pattern, list_would_hide

blueprint = PageBlueprint("pattern_page", __name__)

ROWS: Final = 12
MOST_HIDDEN: Final = 50


class PatternPageIn(Inputs):
    """Which pattern, and which of its matches."""

    pattern_id: int = Field(ge=1, le=2**31 - 1, json_schema_extra=names("pattern"))
    offset: int = Field(0, ge=0, le=10_000_000)


class PatternForm(Inputs):
    """Which pattern, and the page to return to."""

    pattern_id: int = Field(ge=1, le=2**31 - 1, json_schema_extra=names("pattern"))
    back: str = Field("", max_length=8_192)

    def done(self) -> Response:
        """Return a redirect to the page that the form was on."""
        back = local_path(self.back) if self.back else pattern_url(self.pattern_id)
        return make_response(redirect(back, code=303))


class DisableForm(PatternForm):
    """Which pattern, and why it is not to be used."""

    reason: str = Field("", max_length=REASON_CHARACTERS_MAX)


@blueprint.route("/ui/pattern/<int:pattern_id>", inputs=PatternPageIn, access=USER, methods=["GET"])
def page(inputs: PatternPageIn) -> str:
    """Show a pattern with the others of its training and all their matches."""
    org_id = subject().org.id
    pattern = get_pattern(org_id, inputs.pattern_id)
    members = members_of(org_id, [pattern]).get(group_of(pattern), [pattern])
    matches = list_matches(
        org_id, pattern_ids=[one.id for one in members], limit=ROWS, offset=inputs.offset
    )
    (row,) = pattern_rows([pattern])
    url = pattern_url(pattern.id)
    hidden = list_would_hide(org_id, pattern.id, limit=MOST_HIDDEN)
    return render_page(
        "dashboard/pattern.html",
        row=row,
        url=url,
        picture=picture_of(pattern),
        windows=[
            Choice(
                window_in_words(one.duration_seconds),
                pattern_url(one.id),
                0,
                one.id == pattern.id,
            )
            for one in reversed(members)
        ],
        lineage=_lineage(pattern, members),
        anomaly_url=(
            None
            if pattern.anomaly_id is None
            else address("/ui/metric", name=pattern.metric.name, event=pattern.anomaly_id)
        ),
        hidden=_anomaly_rows(hidden.items),
        hidden_total=hidden.total,
        matches=match_rows(matches.items),
        page=page_links(
            inputs.offset,
            len(matches.items),
            matches.total,
            ROWS,
            lambda at: address(url, offset=at or None),
        ),
    )


@blueprint.route(
    "/ui/pattern/<int:pattern_id>/disable",
    inputs=DisableForm,
    access=EDITOR,
    changes=True,
    methods=["POST"],
)
def disable(inputs: DisableForm) -> Response:
    """Stop using a pattern and the others of its training, or refuse a proposed one."""
    caller = user_subject()
    disable_group(caller.org.id, inputs.pattern_id, actor=caller.label, reason=inputs.reason)
    return inputs.done()


@blueprint.route(
    "/ui/pattern/<int:pattern_id>/enable",
    inputs=PatternForm,
    access=EDITOR,
    changes=True,
    methods=["POST"],
)
def enable(inputs: PatternForm) -> Response:
    """Use a pattern and the others of its training again, or accept a proposed one."""
    caller = user_subject()
    enable_group(caller.org.id, inputs.pattern_id, actor=caller.label)
    return inputs.done()


def picture_of(pattern: Pattern) -> str:
    """Return the address of the picture of a pattern, without a theme."""
    from_ms, until_ms = window_of_pattern(pattern)
    window = {"from": from_ms // 1000, "until": -(-until_ms // 1000)}
    return address(f"/pattern/{pattern.id}/graph", **window)


def _lineage(pattern: Pattern, members: list[Pattern]) -> list[dict[str, object]]:
    """Return the other patterns that are disabled together with one."""
    found = {one.id: one for member in members for one in (member, *descendants_of(member))}
    return [
        {
            "name": name_of(one),
            "windows": window_in_words(one.duration_seconds),
            "url": pattern_url(one.id),
            "state": one.state,
            "state_words": STATES_IN_WORDS[PatternState(one.state)],
        }
        for one in found.values()
        if one.id != pattern.id
    ]


def _anomaly_rows(anomalies: list[Anomaly]) -> list[AnomalyRow]:
    metric_ids = [anomaly.span.metric_id for anomaly in anomalies]
    progresses = find_progress(subject().org.id, metric_ids)
    return [anomaly_row_of(one, progresses.get(one.span.metric_id)) for one in anomalies]
