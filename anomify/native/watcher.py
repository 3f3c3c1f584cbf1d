"""/watcher, /watchers: who is notified about which metrics, and how."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from anomify.auth.subject import UserSubject, subject
from anomify.clock import now, to_timestamp
from anomify.delivery.enqueue import enqueue_test
from anomify.delivery.queries import latest_problems
from anomify.edge.access import EDITOR, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.limits import Limit, spend_also
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Chips, RowId, RowIds, Words
from anomify.native.window import PageIn
from anomify.user.profile import take_step
from anomify.watcher.chip import suggestions
from anomify.watcher.contact_view import ShownContacts, shown_contacts
from anomify.watcher.contacts import RequestedContacts
from anomify.watcher.editing import (
    UNIT_SECONDS,
    Saved,
    WatcherEditor,
    WatcherFields,
    delete_watcher,
    undelete_watcher,
)
from anomify.watcher.model import Watcher
from anomify.watcher.queries import (
    WatchedCounts,
    WatcherOrder,
    counts_by_watcher,
    list_watchers,
    names_containing,
)
from anomify.watcher.reach import why_unreached

blueprint = NativeBlueprint("watcher", __name__)

RECENT = timedelta(days=7)
NOTHING_MATCHED = "No metric holds every chip now; metrics that come later are watched."


class WatcherContactOut(Outputs):
    """A contact point that a watcher notifies."""

    id: int = Field(description="The contact point's id.")
    name: str = Field(description="What people call it.")
    kind: str = Field(description="Its kind, such as email or slack.")
    step: int = Field(
        description="0 is notified at once; n as the n-th step, if nobody has acknowledged."
    )
    automatic: bool = Field(description="Whether it was made from a field of a watcher.")
    problem: str | None = Field(description="Why messages to it cannot arrive now.")


class WatcherOut(Outputs):
    """A watcher and what it is about."""

    id: int = Field(description="Its id.")
    name: str = Field(description="What people call it.")
    chips: list[str] = Field(description="Words that a metric's name must all hold.")
    alert: bool = Field(description="Whether anybody is notified.")
    severity: Literal["low", "medium", "high"] = Field(
        description="The least severity that is notified about."
    )
    expiration_time: int = Field(
        description="How long nothing is sent about a metric after a notification."
    )
    expiration_time_unit: str = Field(description="The unit of expiration_time.")
    contact_points: list[WatcherContactOut] = Field(
        description="Everything that it notifies, those made from its other fields included."
    )
    contact_point_ids: list[int] = Field(description="The contact points that were chosen for it.")
    email_user_ids: list[int] = Field(description="Users of the org who get e-mails.")
    sms_user_ids: list[int] = Field(description="Users of the org who get text messages.")
    slack_channel: str | None = Field(description="The Slack channel that it posts to.")
    slack_mention_user_ids: list[int] = Field(
        description="Users of the org whom its Slack messages mention."
    )
    teams_webhook: str | None = Field(description="To those who may not change it, the host only.")
    webhook_url: str | None = Field(description="To those who may not change it, the host only.")
    webhook_stopped: bool = Field(description="The receiver answered 410; set the URL anew.")
    problem: str | None = Field(
        description="Why it reaches nobody now, or why the latest message has not arrived."
    )
    created_by: str = Field(description="Who made it.")
    created_timestamp: int = Field(description="When, unix seconds.")
    deleted: bool = Field(description="Whether it is deleted.")
    deleted_timestamp: int | None = Field(description="When it was deleted, unix seconds.")
    metrics: int = Field(description="How many metrics hold every chip now.")
    anomalies_7d: int = Field(description="How many anomalies they had in the last seven days.")


class WatchersOut(Outputs):
    """A page of watchers."""

    watchers: list[WatcherOut] = Field(description="The watchers, newest first.")
    total: int = Field(description="How many there are in all.")


class SavedOut(Outputs):
    """A watcher as it was saved."""

    watcher: WatcherOut = Field(description="The watcher as it is now.")
    metrics_matched: int = Field(description="How many metrics hold every chip now.")
    warning: str | None = Field(
        None, description="What to think about, such as that no metric matches."
    )
    webhook_secret: str | None = Field(
        None, description="Verifies our signatures; present only when it is new, and never again."
    )
    test_alert: int | None = Field(None, description="How many test messages are on their way.")


class OneWatcherOut(Outputs):
    """A watcher."""

    watcher: WatcherOut = Field(description="The watcher as it is now.")


class ChipOut(Outputs):
    """A word that could be added."""

    chip: str = Field(description="The word.")
    count: int = Field(description="How many metrics would be left.")


class ChipsOut(Outputs):
    """Words to add to the chosen ones."""

    chips: list[ChipOut] = Field(description="Words, the commonest first; at most 20.")
    metrics_matched: int = Field(description="How many metrics hold the chosen chips.")


class WatcherFieldsIn(Inputs):
    """The settings of a watcher."""

    name: str | None = Field(
        None, description="The chips when it is left out.", json_schema_extra=names(None)
    )
    alert: bool | None = Field(None, description="Whether to notify anybody; false at first.")
    severity: str | None = Field(
        None, description="The least severity to notify about: low, medium or high; high at first."
    )
    expiration_time: int | None = Field(
        None,
        description="How long nothing is sent about a metric after a message; 3600 s at first.",
    )
    expiration_time_unit: str | None = Field(
        None, description=f"{', '.join(UNIT_SECONDS)}; second when left out."
    )
    email_user_ids: RowIds | None = Field(
        None, description="Users of the org who get e-mails.", json_schema_extra=names("user")
    )
    contact_point_ids: RowIds | None = Field(
        None,
        description="Contact points to notify; see /contact_points/list.",
        json_schema_extra=names("contact_point"),
    )
    sms_user_ids: RowIds | None = Field(
        None,
        description="Users of the org who get text messages; needs a contact point of the kind sms"
        " with the account at the provider.",
        json_schema_extra=names("user"),
    )
    slack_channel: str | None = Field(
        None,
        max_length=200,
        description="A channel of the connected Slack workspace, or the name of a contact point of"
        " the kind slack; empty for none.",
    )
    slack_mention_user_ids: RowIds | None = Field(
        None,
        description="Users of the org whom its Slack messages mention.",
        json_schema_extra=names("user"),
    )
    teams_webhook: str | None = Field(
        None,
        max_length=2000,
        description="The address of a Microsoft Teams workflow; empty for none.",
    )
    webhook_url: str | None = Field(None, description="Where to post to; empty for nowhere.")
    webhook_secret: str | None = Field(
        None, description="whsec_ and base64 of 24 to 64 bytes; made for you when left out."
    )
    send_test_alert: bool = Field(default=False, description="Also send a test message now.")


class CreateIn(WatcherFieldsIn):
    """A new watcher."""

    chips: Words = Field(description="Words that a metric's name must all hold.")


class UpdateIn(WatcherFieldsIn):
    """What to change; the rest stays."""

    watcher_id: RowId = Field(description="The watcher's id.", json_schema_extra=names("watcher"))
    chips: Words | None = Field(None, description="Words that a metric's name must all hold.")


class WatcherIn(Inputs):
    """Which watcher."""

    watcher_id: RowId = Field(description="The watcher's id.", json_schema_extra=names("watcher"))


class DeletedIn(Inputs):
    """Which deleted watcher."""

    watcher_id: RowId = Field(
        description="The watcher's id.", json_schema_extra=names("deleted_watcher")
    )


class ListIn(PageIn):
    """The filters of a list of watchers."""

    include_deleted: bool = Field(default=False, description="Deleted ones too.")
    order: WatcherOrder = Field(
        WatcherOrder.NEWEST, description="Which come first: newest, oldest or by name."
    )


class ChipsIn(Inputs):
    """What has been chosen and typed so far."""

    chips: Chips = Field(default=[], description="The chips chosen so far.")
    q: str = Field("", max_length=200, description="What has been typed of the next one.")


@blueprint.route("/watcher/create", inputs=CreateIn, outputs=SavedOut, access=EDITOR, changes=True)
def create(inputs: CreateIn) -> SavedOut:
    """Create a watcher for metrics whose names contain every chip."""
    caller = subject()
    saved = _saved(_editor().create(caller.org.id, _fields(inputs), caller.label), inputs)
    if isinstance(caller, UserSubject):
        take_step(caller.user.id, "alert_created")
    return saved


@blueprint.route(
    "/watcher/<int:watcher_id>/update",
    inputs=UpdateIn,
    outputs=SavedOut,
    access=EDITOR,
    changes=True,
)
def update(inputs: UpdateIn) -> SavedOut:
    """Change a watcher; a value that is left out does not change."""
    caller = subject()
    return _saved(
        _editor().update(caller.org.id, inputs.watcher_id, _fields(inputs), caller.label), inputs
    )


@blueprint.route(
    "/watcher/<int:watcher_id>/delete",
    inputs=WatcherIn,
    outputs=OneWatcherOut,
    access=EDITOR,
    changes=True,
)
def delete(inputs: WatcherIn) -> OneWatcherOut:
    """Delete a watcher; it can be brought back for thirty days."""
    return _one(delete_watcher(subject().org.id, inputs.watcher_id, subject().label))


@blueprint.route(
    "/watcher/<int:watcher_id>/undelete",
    inputs=DeletedIn,
    outputs=OneWatcherOut,
    access=EDITOR,
    changes=True,
    errors=(410, 429),
)
def undelete(inputs: DeletedIn) -> OneWatcherOut:
    """Bring a deleted watcher back, as it was; after thirty days it is gone for good."""
    return _one(undelete_watcher(subject().org.id, inputs.watcher_id, subject().label))


@blueprint.route("/watchers/list", inputs=ListIn, outputs=WatchersOut, access=VIEWER)
def watchers(inputs: ListIn) -> WatchersOut:
    """List the org's watchers with the number of metrics and anomalies of each."""
    org = subject().org
    page = list_watchers(
        org.id,
        with_deleted=inputs.include_deleted,
        order=inputs.order,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return WatchersOut(watchers=_all_json(page.items), total=page.total)


@blueprint.route("/watchers/chips", inputs=ChipsIn, outputs=ChipsOut, access=VIEWER)
def chips(inputs: ChipsIn) -> ChipsOut:
    """Suggest words of metric names to add to the chosen chips."""
    found = names_containing(subject().org.id, inputs.chips)
    return ChipsOut(chips=chips_json(found, inputs.chips, inputs.q), metrics_matched=len(found))


def chips_json(found: Sequence[str], chosen: Sequence[str], begun: str = "") -> list[ChipOut]:
    """Return words of those names that could be added to the chosen ones, the commonest first."""
    return [ChipOut(chip=each.chip, count=each.count) for each in suggestions(found, chosen, begun)]


def watcher_json(
    watcher: Watcher, counts: WatchedCounts, notified: ShownContacts, problem: str | None
) -> WatcherOut:
    """Return a watcher as the wire has it."""
    return WatcherOut(
        id=watcher.id,
        name=watcher.name,
        chips=watcher.chips,
        alert=watcher.is_alerting,
        severity=watcher.severity,
        expiration_time=watcher.expiration_seconds // UNIT_SECONDS[watcher.expiration_unit],
        expiration_time_unit=watcher.expiration_unit,
        contact_points=[
            WatcherContactOut(
                id=shown.contact_point.id,
                name=shown.contact_point.name,
                kind=shown.contact_point.kind,
                step=shown.step,
                automatic=shown.contact_point.is_automatic,
                problem=shown.problem,
            )
            for shown in notified.contacts
        ],
        contact_point_ids=[
            shown.contact_point.id
            for shown in notified.contacts
            if not shown.contact_point.is_automatic
        ],
        email_user_ids=list(notified.email_user_ids),
        sms_user_ids=list(notified.sms_user_ids),
        slack_channel=notified.slack_channel or None,
        slack_mention_user_ids=list(notified.slack_mention_user_ids),
        teams_webhook=_shown_url(notified.teams_webhook),
        webhook_url=_shown_url(notified.webhook_url),
        webhook_stopped=notified.is_webhook_stopped or watcher.webhook_stopped_at is not None,
        problem=problem,
        created_by=watcher.created_by,
        created_timestamp=to_timestamp(watcher.created_at),
        deleted=watcher.deleted_at is not None,
        deleted_timestamp=None if watcher.deleted_at is None else to_timestamp(watcher.deleted_at),
        metrics=counts.metrics,
        anomalies_7d=counts.anomalies,
    )


def _saved(saved: Saved, inputs: WatcherFieldsIn) -> SavedOut:
    if inputs.send_test_alert:
        spend_also(Limit.TEST)
    org, watcher = subject().org, saved.watcher
    (shown,) = _all_json([watcher])
    warnings = (None if shown.metrics else NOTHING_MATCHED, saved.unreached)
    return SavedOut(
        watcher=shown,
        metrics_matched=shown.metrics,
        warning=" ".join(filter(None, warnings)) or None,
        webhook_secret=saved.fresh_secret,
        test_alert=enqueue_test(org, watcher) if inputs.send_test_alert else None,
    )


def _one(watcher: Watcher) -> OneWatcherOut:
    (shown,) = _all_json([watcher])
    return OneWatcherOut(watcher=shown)


def _all_json(found: Sequence[Watcher]) -> list[WatcherOut]:
    org = subject().org
    counts = counts_by_watcher(org.id, found, now() - RECENT)
    problems = {
        **latest_problems(org.id, [each.id for each in found]),
        **why_unreached([each for each in found if each.is_alerting]),
    }
    notified = shown_contacts(found, _editor().contacts)
    return [
        watcher_json(each, counts[each.id], notified[each.id], problems.get(each.id))
        for each in found
    ]


def _editor() -> WatcherEditor:
    return WatcherEditor(app_state().settings)


def _fields(inputs: CreateIn | UpdateIn) -> WatcherFields:
    return WatcherFields(
        chips=inputs.chips,
        name=inputs.name,
        is_alerting=inputs.alert,
        severity=inputs.severity,
        expiration_time=inputs.expiration_time,
        expiration_time_unit=inputs.expiration_time_unit,
        contacts=RequestedContacts(
            contact_point_ids=inputs.contact_point_ids,
            email_user_ids=inputs.email_user_ids,
            sms_user_ids=inputs.sms_user_ids,
            slack_channel=inputs.slack_channel,
            slack_mention_user_ids=inputs.slack_mention_user_ids,
            teams_webhook=inputs.teams_webhook,
            webhook_url=inputs.webhook_url,
            webhook_secret=inputs.webhook_secret,
        ),
    )


def _shown_url(url: str | None) -> str | None:
    # The path of many receivers' URLs is a password.
    if url is None or EDITOR.allows(subject()):
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"
