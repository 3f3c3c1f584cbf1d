"""/watcher, /watchers: who is notified about which metrics, and how."""

from collections.abc import Sequence
from datetime import timedelta

from anomify.auth.subject import UserSubject, subject
from anomify.clock import now
from anomify.delivery.enqueue import enqueue_test
from anomify.delivery.queries import latest_problems
from anomify.delivery.watcher_trial import WatcherTester
from anomify.edge.access import EDITOR, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.limits import Limit, spend_also
from anomify.edge.transaction import transaction
from anomify.native.envelope import NativeBlueprint
from anomify.native.watcher_inputs import (
    BacktestIn,
    BacktestOneIn,
    ChipsIn,
    CreateIn,
    CreateThresholdIn,
    DeletedIn,
    ListIn,
    UpdateIn,
    WatcherFieldsIn,
    WatcherIn,
    fields_of,
    fields_to_try,
)
from anomify.native.watcher_shapes import (
    BacktestOut,
    ChipOut,
    ChipsOut,
    OneWatcherOut,
    SavedOut,
    WatcherOut,
    WatchersOut,
    WatcherTestOut,
    backtest_json,
    test_json,
    watcher_json,
)
from anomify.pipeline.backtest import backtest
from anomify.user.profile import take_step
from anomify.watcher.chip import suggestions
from anomify.watcher.contact_view import shown_contacts
from anomify.watcher.editing import Saved, WatcherEditor, delete_watcher, undelete_watcher
from anomify.watcher.model import Watcher
from anomify.watcher.queries import counts_by_watcher, get_watcher, list_watchers, names_containing
from anomify.watcher.reach import why_unreached

blueprint = NativeBlueprint("watcher", __name__)

RECENT = timedelta(days=7)
NOTHING_MATCHED = "No metric fulfils every chip now; metrics that come later are watched."


@blueprint.route("/watcher/create", inputs=CreateIn, outputs=SavedOut, access=EDITOR, changes=True)
def create(inputs: CreateIn) -> SavedOut:
    """Create a watcher for metrics whose names fulfil every chip."""
    return _created(inputs)


@blueprint.route(
    "/watcher/threshold",
    inputs=CreateThresholdIn,
    outputs=SavedOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
)
def threshold(inputs: CreateThresholdIn) -> SavedOut:
    """Create a watcher of a threshold: it notifies when points are over a value, or none come.

    While it is on, each new point of its metrics is compared. What it finds is an anomaly of its
    own severity with the origin `threshold`, which only this watcher tells.
    """
    return _created(inputs)


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
        _editor().update(caller.org.id, inputs.watcher_id, fields_of(inputs), caller.label), inputs
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


@blueprint.route(
    "/watcher/<int:watcher_id>/test",
    inputs=WatcherIn,
    outputs=WatcherTestOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    limits=("write", "test"),
    # The test messages are sent while no transaction is open.
    has_own_transactions=True,
)
def test(inputs: WatcherIn) -> WatcherTestOut:
    """Send a test message now to everything that the watcher notifies; return what was answered.

    For each contact point it shows what was sent, without secrets. It takes some seconds at most.
    """
    caller = subject()
    state = app_state()
    trials = WatcherTester(state.database, state.settings).test(
        caller.org.id, inputs.watcher_id, caller.label
    )
    if isinstance(caller, UserSubject) and any(each.trial.is_delivered for each in trials):
        with transaction(write=True):
            take_step(caller.user.id, "test_alert_sent")
    return test_json(trials)


@blueprint.route("/watcher/backtest", inputs=BacktestIn, outputs=BacktestOut, access=VIEWER)
def backtest_unsaved(inputs: BacktestIn) -> BacktestOut:
    """Say what a watcher with these settings would have told in the last days.

    Recorded anomalies, or stored points where it has a threshold, are decided on as live: with
    severity, quiet time, waiting, grouping and flapping. Nothing is saved or sent.
    """
    org = subject().org
    tried = _editor().tried(org.id, fields_to_try(inputs))
    return _backtest(tried, inputs.days)


@blueprint.route(
    "/watcher/<int:watcher_id>/backtest", inputs=BacktestOneIn, outputs=BacktestOut, access=VIEWER
)
def backtest_saved(inputs: BacktestOneIn) -> BacktestOut:
    """Say what a watcher would have told in the last days with its present settings."""
    return _backtest(get_watcher(subject().org.id, inputs.watcher_id), inputs.days)


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


def _backtest(watcher: Watcher, days: int) -> BacktestOut:
    found = backtest(subject().org.id, watcher, now(), days, app_state().points)
    return backtest_json(found, days)


def _created(inputs: CreateIn | CreateThresholdIn) -> SavedOut:
    caller = subject()
    saved = _saved(_editor().create(caller.org.id, fields_of(inputs), caller.label), inputs)
    if isinstance(caller, UserSubject):
        take_step(caller.user.id, "alert_created")
    return saved


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
