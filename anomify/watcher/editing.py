"""Create, change, delete and undelete a watcher; the rules that every API shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from anomify.anomaly.recording import SEVERITIES
from anomify.audit.recording import record_audit
from anomify.channel.kinds import EMAIL, WEBHOOK
from anomify.clock import now
from anomify.config import Settings
from anomify.contact_point.editing import ContactEditor
from anomify.contact_point.settings import SECRET
from anomify.db import session
from anomify.errors import Gone, Invalid, QuotaExceeded
from anomify.metric.folding import fold
from anomify.metric.name import has_unseen
from anomify.org.lock import lock_org
from anomify.org.sealing import seal
from anomify.watcher.chip import CHIP_MAX_CHARACTERS
from anomify.watcher.contact_plan import ContactPlan, RequestedContacts, WantedContact
from anomify.watcher.contacts import WatcherContacts
from anomify.watcher.model import Watcher
from anomify.watcher.queries import count_watchers, get_watcher, linked_contacts
from anomify.watcher.reach import why_unreached
from anomify.watcher.timing import (
    SECONDS_LIMITS,
    RequestedReport,
    RequestedThreshold,
    RequestedTiming,
    report_problems,
    store_report,
    store_threshold,
    store_timing,
    threshold_problems,
    timing_problems,
)

UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
EXPIRATION_DEFAULT_SECONDS = 3600
# Less would send a message for every point; more would suppress messages for over a year.
EXPIRATION_LEAST_SECONDS = 60
EXPIRATION_MOST_SECONDS = 366 * 86_400
SEVERITY_DEFAULT = "high"

WATCHERS_MAX = 1000
CHIPS_MAX = 20
NAME_MAX_CHARACTERS = 200
UNDELETE_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class WatcherFields:
    """The requested fields of a watcher; None leaves a field unchanged, or at its default."""

    chips: Sequence[str] | None = None
    name: str | None = None
    is_alerting: bool | None = None
    severity: str | None = None
    expiration_time: int | None = None
    expiration_time_unit: str | None = None
    contacts: RequestedContacts = field(default_factory=RequestedContacts)
    timing: RequestedTiming = field(default_factory=RequestedTiming)
    report: RequestedReport = field(default_factory=RequestedReport)
    threshold: RequestedThreshold = field(default_factory=RequestedThreshold)


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved watcher, and its webhook's secret if that is new: it is shown only once."""

    watcher: Watcher
    fresh_secret: str | None = None
    # Why its messages would reach nobody now, if so.
    unreached: str | None = None


# Further columns that the audit trail stores as they are.
AUDITED = (
    *SECONDS_LIMITS,
    "escalation_minutes",
    "summary_report_frequency",
    "summary_report_user_ids",
    "threshold_operator",
    "threshold_value",
    "threshold_times",
    "threshold_function",
    "threshold_function_seconds",
)
NOBODY_NOTIFIED = (
    "Nobody would be notified. Name whom to notify with contact_point_ids, email_user_ids,"
    " sms_user_ids, slack_channel, teams_webhook, webhook_url or escalation, or leave alert false."
)


class WatcherEditor:
    """Saves watchers and the contact points that are made from their fields."""

    def __init__(self, settings: Settings) -> None:
        """Check URLs with the outbound rules of these settings, and seal with their key."""
        editor = ContactEditor(settings)
        self._key = editor.key
        self.contacts = WatcherContacts(editor)

    def create(self, org_id: int, requested: WatcherFields, maker: str) -> Saved:
        """Create a watcher. Raises `Invalid` with each wrong field, or `QuotaExceeded`."""
        if requested.chips is None:
            raise Invalid(
                "A watcher needs at least one chip.", fields={"chips": "Name the words to watch."}
            )
        _check_count(org_id)
        watcher = _new(org_id, maker)
        plan = self._apply(watcher, requested)
        watcher.name = watcher.name or _name_from(watcher.chips)
        session().add(watcher)
        session().flush()
        fresh = self._link(watcher, plan, maker)
        _record(watcher, maker, "watcher.create", after=_audit_fields(watcher))
        return Saved(watcher, fresh, _noted_reach(watcher))

    def update(self, org_id: int, watcher_id: int, requested: WatcherFields, actor: str) -> Saved:
        """Change the given fields. Raises `NotFound`, or `Invalid` with each wrong field."""
        watcher = get_watcher(org_id, watcher_id)
        before = _audit_fields(watcher)
        plan = self._apply(watcher, requested)
        watcher.name = watcher.name or _name_from(watcher.chips)
        session().flush()
        fresh = self._link(watcher, plan, actor)
        changed = {name for name, value in _audit_fields(watcher).items() if value != before[name]}
        _record(
            watcher,
            actor,
            "watcher.update",
            before={name: before[name] for name in changed},
            after={name: _audit_fields(watcher)[name] for name in changed},
        )
        return Saved(watcher, fresh, _noted_reach(watcher))

    def tried(self, org_id: int, requested: WatcherFields) -> Watcher:
        """Return the watcher that would be made, without saving it and without contact points.

        Raises `Invalid` with each wrong field.
        """
        tried = _new(org_id, "")
        problems = {
            **_problems(requested),
            **timing_problems(requested.timing),
            **threshold_problems(None, requested.threshold),
        }
        if problems:
            raise Invalid("There can be no watcher like this.", fields=problems)
        _change(tried, requested)
        return tried

    def _apply(self, watcher: Watcher, requested: WatcherFields) -> ContactPlan:
        changes_contacts = requested.contacts != RequestedContacts()
        if changes_contacts or requested.report.user_ids:
            # So that no user is deleted between this check and the commit.
            lock_org(watcher.org_id)
        plan = self.contacts.plan(watcher.org_id, watcher, requested.contacts)
        problems = {
            **_problems(requested),
            **timing_problems(requested.timing),
            **report_problems(watcher.org_id, watcher, requested.report),
            **threshold_problems(watcher, requested.threshold),
            **plan.problems,
        }
        alerts = watcher.is_alerting if requested.is_alerting is None else requested.is_alerting
        if (
            alerts
            and (requested.is_alerting or changes_contacts)
            and not plan.problems
            and not self.contacts.would_notify(watcher, plan)
        ):
            problems["alert"] = NOBODY_NOTIFIED
        if problems:
            raise Invalid("The watcher cannot be saved like this.", fields=problems)
        _change(watcher, requested)
        return plan

    def _link(self, watcher: Watcher, plan: ContactPlan, actor: str) -> str | None:
        fresh = self.contacts.carry_out(watcher, plan, actor)
        self._fill_former_columns(watcher, plan.wanted)
        return fresh

    def _fill_former_columns(
        self, watcher: Watcher, wanted: Mapping[str, Sequence[object]]
    ) -> None:
        if EMAIL in wanted:
            people = [each.user_id for each in wanted[EMAIL] if isinstance(each, WantedContact)]
            watcher.email_user_ids = [each for each in people if each is not None]
        if WEBHOOK not in wanted:
            return
        webhook = next((each for each in wanted[WEBHOOK] if isinstance(each, WantedContact)), None)
        watcher.webhook_stopped_at = None
        if webhook is None:
            watcher.webhook_url = watcher.webhook_secret_sealed = None
            watcher.former_secret_sealed = None
            return
        watcher.webhook_url = webhook.settings["url"]
        point = next(
            each
            for _, each in linked_contacts([watcher.id])[watcher.id]
            if each.kind == WEBHOOK and each.is_automatic
        )
        watcher.webhook_secret_sealed = seal(self._key, watcher.org_id, webhook.settings[SECRET])
        watcher.former_secret_sealed = point.former_secret_sealed
        watcher.former_secret_until = point.former_secret_until


def delete_watcher(org_id: int, watcher_id: int, actor: str) -> Watcher:
    """Mark a watcher as deleted; it can be restored. Raises `NotFound`."""
    watcher = get_watcher(org_id, watcher_id)
    watcher.deleted_at = now()
    session().flush()
    _record(watcher, actor, "watcher.delete", before=_audit_fields(watcher))
    return watcher


def undelete_watcher(org_id: int, watcher_id: int, actor: str) -> Watcher:
    """Restore a deleted watcher. Raises `NotFound`, `QuotaExceeded`, or `Gone` after 30 days."""
    watcher = get_watcher(org_id, watcher_id, is_deleted=True)
    if watcher.deleted_at is not None and now() - watcher.deleted_at > UNDELETE_WITHIN:
        raise Gone(
            f"It was deleted more than {UNDELETE_WITHIN.days} days ago; make a new one instead."
        )
    _check_count(org_id)
    watcher.deleted_at = None
    session().flush()
    _record(watcher, actor, "watcher.undelete", after=_audit_fields(watcher))
    return watcher


def _check_count(org_id: int) -> None:
    if count_watchers(org_id) >= WATCHERS_MAX:
        raise QuotaExceeded(f"An org may have {WATCHERS_MAX:,} watchers; delete some first.")


def _record(watcher: Watcher, actor: str, action: str, **how: dict[str, object]) -> None:
    target = f"{watcher.name} ({watcher.id})"
    record_audit(watcher.org_id, actor=actor, action=action, target=target, **how)


def _audit_fields(watcher: Watcher) -> dict[str, object]:
    """Return what the audit trail stores of a watcher: only the host of its webhook."""
    return {
        "name": watcher.name,
        "chips": list(watcher.chips),
        "alert": watcher.is_alerting,
        "severity": watcher.severity,
        "expiration_seconds": watcher.expiration_seconds,
        **{name: getattr(watcher, name) for name in AUDITED},
        "contact_points": [
            f"{found.name} ({found.id})" + (f", step {step}" if step else "")
            for step, found in linked_contacts([watcher.id])[watcher.id]
        ],
    }


def _new(org_id: int, maker: str) -> Watcher:
    return Watcher(
        org_id=org_id,
        chips=[],
        name="",
        is_alerting=False,
        severity=SEVERITY_DEFAULT,
        expiration_seconds=EXPIRATION_DEFAULT_SECONDS,
        expiration_unit="second",
        group_wait_seconds=0,
        sustain_seconds=0,
        group_interval_seconds=300,
        recover_seconds=0,
        escalation_minutes=[],
        threshold_times=1,
        threshold_function="last",
        threshold_function_seconds=0,
        summary_report_user_ids=[],
        email_user_ids=[],
        created_by=maker,
        created_at=now(),
    )


def _change(watcher: Watcher, requested: WatcherFields) -> None:
    """Store the requested fields, which have no problems, but for the contact points."""
    before = _judged(watcher)
    if requested.chips is not None:
        watcher.chips = _chips(requested.chips)
    if requested.name is not None:
        watcher.name = " ".join(requested.name.split())
    if requested.is_alerting is not None:
        watcher.is_alerting = requested.is_alerting
    if requested.severity is not None:
        watcher.severity = requested.severity
    if requested.expiration_time is not None:
        watcher.expiration_unit = requested.expiration_time_unit or "second"
        watcher.expiration_seconds = (
            requested.expiration_time * UNIT_SECONDS[watcher.expiration_unit]
        )
    store_timing(watcher, requested.timing)
    store_report(watcher, requested.report)
    store_threshold(watcher, requested.threshold)
    if watcher.threshold_operator is not None and _judged(watcher) != before:
        watcher.threshold_since = now()


def _judged(watcher: Watcher) -> tuple[object, ...]:
    """Return what decides which points are over the threshold of a watcher."""
    return (
        watcher.is_alerting,
        tuple(watcher.chips),
        watcher.threshold_operator,
        watcher.threshold_value,
        watcher.threshold_times,
        watcher.threshold_function,
        watcher.threshold_function_seconds,
    )


def _noted_reach(watcher: Watcher) -> str | None:
    """Return why the watcher reaches nobody, and note it: whoever saves it is told now."""
    session().flush()
    unreached = why_unreached([watcher]).get(watcher.id) if watcher.is_alerting else None
    if unreached is None:
        watcher.unreached_at = None
    elif watcher.unreached_at is None:
        watcher.unreached_at = now()
    return unreached


def _problems(requested: WatcherFields) -> dict[str, str]:
    problems = {}
    if requested.chips is not None and (problem := _chips_problem(_chips(requested.chips))):
        problems["chips"] = problem
    if requested.name is not None and (problem := _name_problem(requested.name)):
        problems["name"] = problem
    if requested.severity is not None and requested.severity not in SEVERITIES:
        problems["severity"] = f"One of {', '.join(SEVERITIES)} is needed."
    problems.update(_expiration_problems(requested))
    return problems


def _expiration_problems(requested: WatcherFields) -> dict[str, str]:
    unit = requested.expiration_time_unit or "second"
    if unit not in UNIT_SECONDS:
        return {"expiration_time_unit": f"One of {', '.join(UNIT_SECONDS)} is needed."}
    if requested.expiration_time is None:
        if requested.expiration_time_unit is not None:
            return {"expiration_time": "The unit needs a number."}
        return {}
    seconds = requested.expiration_time * UNIT_SECONDS[unit]
    if not EXPIRATION_LEAST_SECONDS <= seconds <= EXPIRATION_MOST_SECONDS:
        return {"expiration_time": "At least one minute and at most one year is needed."}
    return {}


def _chips(given: Sequence[str]) -> list[str]:
    """Return the chips stripped, without empty ones and without duplicates in another case."""
    chips: dict[str, str] = {}
    for chip in given:
        if chip.strip():
            chips.setdefault(fold(chip.strip()), chip.strip())
    return list(chips.values())


def _chips_problem(chips: list[str]) -> str | None:
    if not chips:
        return "Name the words to watch."
    if len(chips) > CHIPS_MAX:
        return f"At most {CHIPS_MAX} chips are allowed."
    if any(len(chip) > CHIP_MAX_CHARACTERS for chip in chips):
        return f"A chip has at most {CHIP_MAX_CHARACTERS} characters."
    if any(has_unseen(chip) for chip in chips):
        return "No metric's name holds control or direction characters."
    return None


def _name_problem(name: str) -> str | None:
    if len(name) > NAME_MAX_CHARACTERS:
        return f"A name has at most {NAME_MAX_CHARACTERS} characters."
    # It is part of mail subjects; line breaks are replaced by spaces.
    if has_unseen(" ".join(name.split())):
        return "A name holds no control or direction characters."
    return None


def _name_from(chips: Sequence[str]) -> str:
    return " ".join(chips)[:NAME_MAX_CHARACTERS]
