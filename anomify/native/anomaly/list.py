"""/anomalies: lists of anomalies."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import Running, list_anomalies
from anomify.auth.seeing import note_seen
from anomify.auth.subject import subject
from anomify.db import Page
from anomify.edge.access import VIEWER
from anomify.edge.contract import names
from anomify.edge.transaction import transaction
from anomify.errors import Invalid
from anomify.metric.queries import get_metric
from anomify.native.anomaly.blueprint import blueprint
from anomify.native.anomaly.shapes import AnomaliesOut, anomalies_json
from anomify.native.params import Chips, Name, RowId, canonical
from anomify.native.window import DAY, PageIn, WindowIn
from anomify.triage.filter import TriageFilter
from anomify.triage.status import ARCHIVED, OPEN, Status
from anomify.user.queries import get_user
from anomify.watcher.queries import get_watcher


class TriageWord(StrEnum):
    """A status, or a word for several."""

    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    DISCARDED = "discarded"
    OPEN = "open"
    ARCHIVED = "archived"


class AnomaliesIn(WindowIn, PageIn):
    """The filters of a list of anomalies."""

    metric: Name | None = Field(
        None, description="The name or id of one metric.", json_schema_extra=names("metric")
    )
    chips: Chips = Field(default=[], description="Words that the metric's name must hold.")
    status: Running = Field(
        Running.ALL,
        description="all, open, ended, trained (people called them expected) or matched (a pattern"
        " explained them while they ran). What was explained from the begin on is in /matches.",
    )
    positive: bool | None = Field(
        None, description="Only those that people called unexpected, or only the others."
    )
    triage: list[TriageWord] = Field(
        default=[],
        max_length=len(TriageWord),
        description="Only those of one of these statuses: active, acknowledged, resolved,"
        " duplicate, invalid, discarded; open for the first two, archived for the others.",
    )
    assignee_id: RowId | None = Field(
        None,
        description="Only those to which this user is assigned.",
        json_schema_extra=names("user"),
    )
    unassigned: bool = Field(default=False, description="Only those to which nobody is assigned.")
    snoozed: bool | None = Field(
        None, description="Only those that are snoozed now, or only the others."
    )
    severity: Literal["low", "medium", "high"] = Field("low", description="The least severity.")
    min_score: float = Field(0.0, ge=0, le=1, description="The least score.")
    order: Literal["newest", "oldest"] = Field("newest", description="Which come first.")


class SoughtIn(AnomaliesIn):
    """Which anomalies of the org."""

    watcher_id: RowId | None = Field(
        None,
        description="Only those of the metrics that this watcher is about.",
        json_schema_extra=names("watcher"),
    )

    @property
    def shows_newest(self) -> bool:
        """Return whether the list begins with the newest anomalies of all."""
        narrowing = self.model_fields_set - {"from_timestamp", "limit"}
        plain = type(self).model_construct()
        return all(getattr(self, name) == getattr(plain, name) for name in narrowing)


@blueprint.route(
    "/anomalies",
    inputs=SoughtIn,
    outputs=AnomaliesOut,
    access=VIEWER,
    has_own_transactions=True,
)
def anomalies(inputs: SoughtIn) -> AnomaliesOut:
    """List the anomalies of a window, of the last seven days by default.

    An anomaly is in the window if it ran at any time of it. A signed-in user who lists the newest
    of all has seen them: /user/ping counts those that come later.
    """
    org = subject().org
    with transaction(write=False):
        metric = get_metric(org.id, canonical(inputs.metric)) if inputs.metric is not None else None
        chips = [] if inputs.watcher_id is None else get_watcher(org.id, inputs.watcher_id).chips
        page = _page(inputs, metric.id if metric else None, 7 * DAY, chips)
        listed = _listed(page)
    if inputs.shows_newest:
        note_seen(page.items)
    return listed


def anomalies_out(inputs: AnomaliesIn, metric_id: int, default_seconds: int) -> AnomaliesOut:
    """Return the requested page of a metric's anomalies."""
    return _listed(_page(inputs, metric_id, default_seconds))


def _page(
    inputs: AnomaliesIn, metric_id: int | None, default_seconds: int, chips: Sequence[str] = ()
) -> Page[Anomaly]:
    org = subject().org
    from_ms, until_ms = inputs.window_ms(default_seconds)
    return list_anomalies(
        org.id,
        metric_id=metric_id,
        from_ms=from_ms,
        until_ms=until_ms,
        running=inputs.status,
        least_severity=inputs.severity,
        words=[*inputs.chips, *chips],
        least_score=inputs.min_score,
        unexpected=inputs.positive,
        also=_triage(inputs).conditions(),
        oldest_first=inputs.order == "oldest",
        limit=inputs.limit,
        offset=inputs.offset,
    )


def _triage(inputs: AnomaliesIn) -> TriageFilter:
    """Return the filter by triage. Raises `NotFound` for a user whom the org does not have."""
    assignee_id = inputs.assignee_id
    if inputs.unassigned:
        if assignee_id is not None:
            raise Invalid(
                "Leave out assignee_id or unassigned.",
                fields={"unassigned": "Not together with assignee_id."},
            )
        assignee_id = 0
    elif assignee_id is not None:
        get_user(subject().org, assignee_id)
    return TriageFilter(
        statuses={status for word in inputs.triage for status in _statuses(word)},
        assignee_id=assignee_id,
        snoozed=inputs.snoozed,
    )


def _statuses(word: TriageWord) -> tuple[Status, ...]:
    match word:
        case TriageWord.OPEN:
            return OPEN
        case TriageWord.ARCHIVED:
            return ARCHIVED
        case _:
            return (Status(word.value),)


def _listed(page: Page[Anomaly]) -> AnomaliesOut:
    return AnomaliesOut(anomalies=anomalies_json(page.items), total=page.total)
