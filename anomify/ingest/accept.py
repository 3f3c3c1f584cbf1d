"""Store received datapoints: check times and values, register metrics, append to the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anomify.clock import now, now_ms
from anomify.edge.app_state import AppState
from anomify.metric.dry_run import Dropped, DryRunReport, save_dry_run
from anomify.metric.intake import Intake
from anomify.metric.registry import UNMADE, OverQuota
from anomify.org.refused_items import Refused
from anomify.org.verified_token import Holder
from anomify.protocol.batch import Batch, MetricIdLookup, Refusal
from anomify.storage.log import Entry


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender: an org by its token, and the id of its server, where one is given."""

    holder: Holder
    server_id: str | None = None

    @property
    def org_id(self) -> int:
        """Return the org for which the points are stored."""
        return self.holder.org_id


@dataclass(frozen=True, slots=True)
class Accepted:
    """The result of a request; items counted as stored are durable."""

    stored: int
    refused: Mapping[str, Refused]
    intakes: Sequence[Intake]
    # Of a dry run: the metrics that would be new.
    new_metrics: Sequence[str] = ()

    @property
    def refused_total(self) -> int:
        """Return how many items were not stored."""
        return sum(one.items for one in self.refused.values())

    def refusals(self) -> list[Refusal]:
        """Return the refused items with reasons, in the order of the request."""
        found = [refusal for intake in self.intakes for refusal in intake.refusals()]
        return sorted(found, key=lambda refusal: refusal.index)


def known_to(app_state: AppState, sender: Sender) -> MetricIdLookup:
    """Return the function that gives a decoder the ids of the sender's metrics."""
    return app_state.registry.known(sender.org_id, sender.server_id)


def accept(app_state: AppState, sender: Sender, batches: Sequence[tuple[Batch, bool]]) -> Accepted:
    """Store the valid points of some batches; each comes with whether it is history.

    When this returns, every point counted as stored is durable. Raises `Unavailable` where that
    failed; the same request may then be sent again, and no point is stored twice.
    """
    at = now_ms()
    intakes = []
    for batch, is_backfill in batches:
        intake = Intake(batch, at, sender.server_id)
        if intake.names or intake.ended_names:
            _register(app_state, sender, intake)
        entry = Entry(intake.points, intake.ended, is_backfill=is_backfill)
        if len(entry.points) or len(entry.ended):
            app_state.points.append(entry)
        intakes.append(intake)
    return _accepted(intakes)


def dry_run(app_state: AppState, sender: Sender, batches: Sequence[tuple[Batch, bool]]) -> Accepted:
    """Return what `accept` would do, and store only this result, for an hour.

    Raises `Unavailable` where the database cannot be used.
    """
    at = now_ms()
    intakes = []
    new: set[str] = set()
    is_over_quota = False
    for batch, _ in batches:
        intake = Intake(batch, at, sender.server_id)
        registered = app_state.registry.preview(sender.org_id, intake.names)
        intake.settle(registered.ids, registered.refused, registered.apart)
        new |= {intake.name_of(key) for key, metric in registered.ids.items() if metric == UNMADE}
        is_over_quota = is_over_quota or any(
            isinstance(reason, OverQuota) for reason in registered.refused.values()
        )
        intakes.append(intake)
    accepted = _accepted(intakes, sorted(new))
    names = list(dict.fromkeys(name for one in intakes for name in one.accepted_names()))
    result = DryRunReport(
        accepted=names,
        accepted_total=accepted.stored,
        new=accepted.new_metrics,
        dropped=[Dropped(one.metric, one.reason) for one in accepted.refusals()],
        dropped_total=accepted.refused_total,
        would_exceed_quota=is_over_quota,
    )
    with app_state.database.unit_of_work():
        save_dry_run(sender.org_id, sender.server_id, result, now())
    return accepted


def _register(app_state: AppState, sender: Sender, intake: Intake) -> None:
    registered = app_state.registry.register(sender.org_id, intake.names, sender.server_id)
    ended = app_state.registry.find(sender.org_id, intake.ended_names, sender.server_id)
    intake.settle(registered.ids | ended, registered.refused, registered.apart)


def _accepted(intakes: Sequence[Intake], new_metrics: Sequence[str] = ()) -> Accepted:
    refused: dict[str, Refused] = {}
    for intake in intakes:
        for kind, one in intake.refused_kinds().items():
            if kind in refused:
                refused[kind].items += one.items
            else:
                refused[kind] = one
    return Accepted(sum(intake.accepted for intake in intakes), refused, intakes, new_metrics)
