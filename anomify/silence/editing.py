"""Create, change and end silences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, or_, select

from anomify.audit.recording import record_audit
from anomify.clock import now, to_timestamp
from anomify.contact_point.queries import contact_points_among
from anomify.db import session
from anomify.errors import Conflict, Invalid, QuotaExceeded
from anomify.org.daily_times import WEEKDAYS, clock_time
from anomify.org.lock import lock_org
from anomify.org.model import Org
from anomify.silence.checking import (
    Problems,
    checked_affected,
    checked_comment,
    dates_of,
    minute_of,
    month_days_of,
    weekdays_of,
    zone_of,
)
from anomify.silence.model import Silence, SilenceKind
from anomify.silence.queries import SilenceState, count_unended, get_silence, state_of
from anomify.silence.window import is_unended

# Each is compared with every metric that something is to be sent about.
SILENCES_MAX: Final = 500
# Longer ones are more likely forgotten than wanted; one that recurs may have no end.
LONGEST: Final = timedelta(days=366)
# How long one lasts that does not recur and whose end is not given.
LASTS_BY_DEFAULT: Final = timedelta(hours=1)
CONTACT_POINTS_MAX: Final = 50
KEPT_AFTER_END: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class SilenceFields:
    """What to save; None leaves a value as it is, or at its default in a new silence.

    `metric`, `matchers`, `chips` and `everything` replace each other as soon as one is given.
    """

    kind: SilenceKind | None = None
    comment: str | None = None
    metric: str | None = None
    matchers: Sequence[str] | None = None
    chips: Sequence[str] | None = None
    everything: bool | None = None
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    # For one that recurs, in place of `ends_at`.
    has_no_end: bool = False
    # Local times such as 22:30; empty texts make it one that does not recur.
    local_from: str | None = None
    local_until: str | None = None
    weekdays: Sequence[str] | None = None
    month_days: Sequence[int] | None = None
    dates: Sequence[str] | None = None
    timezone: str | None = None
    notify_contact_point_ids: Sequence[int] | None = None
    notifies_start: bool | None = None
    notifies_end: bool | None = None

    @property
    def has_affected(self) -> bool:
        """Return whether it is said which metrics are meant."""
        given = (self.metric, self.matchers, self.chips, self.everything)
        return any(value is not None for value in given)


def create_silence(org: Org, requested: SilenceFields, who: str) -> Silence:
    """Create a silence, in force from now on unless it is to begin later.

    Raises Invalid with a sentence for each wrong field, NotFound for a metric or a contact point
    that the org has not, and QuotaExceeded where it has too many silences.
    """
    at = now()
    silence = new_silence(org, requested, who, at)
    lock_org(org.id)
    if count_unended(org.id, at) >= SILENCES_MAX:
        raise QuotaExceeded(f"An org may have {SILENCES_MAX} silences; end some first.")
    session().add(silence)
    session().flush()
    record_audit(
        org.id,
        actor=who,
        action="silence.create",
        target=name_of(silence),
        after=audit_facts(silence),
    )
    return silence


def new_silence(org: Org, requested: SilenceFields, who: str, at: datetime) -> Silence:
    """Return the silence that would be created, not stored. Raises what `create_silence` does."""
    silence = Silence(
        org_id=org.id,
        kind=SilenceKind.SILENCE.value,
        comment="",
        metric=None,
        matchers=[],
        chips=[],
        begins_at=at,
        ends_at=None,
        from_minute=None,
        until_minute=None,
        weekdays=[],
        month_days=[],
        dates=[],
        timezone=org.timezone,
        notify_contact_point_ids=[],
        notifies_start=False,
        notifies_end=False,
        created_by=who,
        created_at=at,
    )
    problems = Problems()
    _set_affected(silence, requested, problems)
    _set_fields(silence, requested, at, problems, has_begun=False)
    problems.raise_any()
    return silence


def update_silence(org: Org, silence_id: int, requested: SilenceFields, who: str) -> Silence:
    """Change a silence; one that is in force may be made shorter or longer, or end now.

    Raises Conflict for one that has ended, and what `create_silence` raises.
    """
    at = now()
    lock_org(org.id)
    silence = get_silence(org.id, silence_id)
    if state_of(silence, at) is SilenceState.EXPIRED:
        raise Conflict("This silence has ended and cannot be changed; create a new one.")
    before, until = audit_facts(silence), requested.ends_at
    ends_now = until is not None and silence.begins_at < until <= at
    if ends_now:
        requested = replace(requested, ends_at=None)
    problems = Problems()
    # What is wrong must not reach the database before it is refused.
    with session().no_autoflush:
        if requested.has_affected:
            _set_affected(silence, requested, problems)
        _set_fields(silence, requested, at, problems, has_begun=silence.begins_at <= at)
    problems.raise_any()
    session().flush()
    after = audit_facts(silence)
    changed = [field for field, value in after.items() if before[field] != value]
    if changed:
        record_audit(
            org.id,
            actor=who,
            action="silence.update",
            target=name_of(silence),
            before={field: before[field] for field in changed},
            after={field: after[field] for field in changed},
        )
    return end_silence(org.id, silence_id, who) if ends_now else silence


def end_silence(org_id: int, silence_id: int, who: str) -> Silence:
    """End a silence now, for good; it stays in the list. Ending it again changes nothing."""
    at = now()
    silence = get_silence(org_id, silence_id)
    if state_of(silence, at) is SilenceState.EXPIRED:
        return silence
    silence.ended_at, silence.ended_by = at, who
    session().flush()
    record_audit(
        org_id,
        actor=who,
        action="silence.end",
        target=name_of(silence),
        before={"until": silence.ends_at},
        after={"until": at},
    )
    return silence


def end_silences_of_metric(org_id: int, metric_name: str, who: str) -> None:
    """End the silences that are about one metric only, which is being deleted."""
    rows = session().scalars(
        select(Silence.id).where(
            Silence.org_id == org_id, Silence.metric == metric_name, *is_unended(now())
        )
    )
    for silence_id in list(rows):
        end_silence(org_id, silence_id, who)


def forget_ended(at: datetime) -> None:
    """Delete silences of all orgs that ended more than a year ago."""
    session().execute(
        delete(Silence).where(
            or_(Silence.ended_at < at - KEPT_AFTER_END, Silence.ends_at < at - KEPT_AFTER_END)
        )
    )


def name_of(silence: Silence) -> str:
    """Return the kind, the number and the comment, by which people identify the silence."""
    return f"{silence.kind} {silence.id}" + (f" ({silence.comment})" if silence.comment else "")


def audit_facts(silence: Silence) -> dict[str, object]:
    """Return the fields that people set, as the audit trail names them."""
    daily = silence.daily
    return {
        "kind": silence.kind,
        "comment": silence.comment,
        "metric": silence.metric,
        "matchers": silence.matchers,
        "chips": silence.chips,
        "from": silence.begins_at,
        "until": silence.ends_at,
        "local_from": None if daily is None else clock_time(daily.from_minute),
        "local_until": None if daily is None else clock_time(daily.until_minute),
        "weekdays": [WEEKDAYS[day] for day in silence.weekdays],
        "month_days": silence.month_days,
        "dates": silence.dates,
        "timezone": silence.timezone,
        "notify_contact_point_ids": silence.notify_contact_point_ids,
        "notify_start": silence.notifies_start,
        "notify_end": silence.notifies_end,
    }


def _set_affected(silence: Silence, requested: SilenceFields, problems: Problems) -> None:
    found = checked_affected(
        silence.org_id,
        requested.metric,
        requested.matchers or (),
        requested.chips or (),
        everything=bool(requested.everything),
        problems=problems,
    )
    if problems:
        return
    silence.metric = found.metric
    silence.matchers = [matcher.text for matcher in found.matchers]
    silence.chips = list(found.chips)


def _set_fields(
    silence: Silence,
    requested: SilenceFields,
    at: datetime,
    problems: Problems,
    *,
    has_begun: bool,
) -> None:
    if requested.kind is not None:
        silence.kind = requested.kind.value
    if requested.comment is not None:
        silence.comment = checked_comment(requested.comment, problems)
    if requested.timezone is not None:
        silence.timezone = zone_of(requested.timezone, problems)
    _set_daily_times(silence, requested, problems)
    _set_period(silence, requested, at, problems, has_begun=has_begun)
    _set_notices(silence, requested)
    if not problems and not silence.schedule.following(at, 1, LONGEST):
        field = "dates" if silence.dates else "until"
        problems[field] = "It would never be in force: no day and time lies within its period."


def _set_daily_times(silence: Silence, requested: SilenceFields, problems: Problems) -> None:
    if requested.local_from is not None:
        silence.from_minute = (
            minute_of(requested.local_from, "local_from", problems)
            if requested.local_from.strip()
            else None
        )
    if requested.local_until is not None:
        silence.until_minute = (
            minute_of(requested.local_until, "local_until", problems)
            if requested.local_until.strip()
            else None
        )
    if requested.weekdays is not None:
        silence.weekdays = weekdays_of(requested.weekdays, problems)
    if requested.month_days is not None:
        silence.month_days = month_days_of(requested.month_days, problems)
    if requested.dates is not None:
        silence.dates = dates_of(requested.dates, problems)
    if silence.from_minute is None and silence.until_minute is not None:
        problems["local_from"] = "Times of the day need both local_from and local_until."
    elif silence.until_minute is None and silence.from_minute is not None:
        problems["local_until"] = "Times of the day need both local_from and local_until."
    elif silence.daily is None:
        for field, days in (
            ("weekdays", silence.weekdays),
            ("month_days", silence.month_days),
            ("dates", silence.dates),
        ):
            if days and getattr(requested, field):
                problems[field] = "Days need times of the day: local_from and local_until."
        silence.weekdays, silence.month_days, silence.dates = [], [], []


def _set_period(
    silence: Silence,
    requested: SilenceFields,
    at: datetime,
    problems: Problems,
    *,
    has_begun: bool,
) -> None:
    recurs = silence.daily is not None
    wanted = requested.begins_at
    is_new = silence.id is None
    if wanted is not None and has_begun:
        if to_timestamp(wanted) != to_timestamp(silence.begins_at):
            problems["from"] = "It has begun, so its beginning cannot be changed."
    elif wanted is not None and wanted > at + LONGEST:
        problems["from"] = f"It has to begin within {LONGEST.days} days."
    elif wanted is not None:
        # What was sent before now cannot be held back any more.
        silence.begins_at = max(wanted, at)
    if requested.has_no_end:
        silence.ends_at = None
    elif requested.ends_at is not None:
        silence.ends_at = requested.ends_at
        if requested.ends_at <= at:
            problems["until"] = "This moment has passed; a silence ends later than now."
    if silence.ends_at is None and not recurs:
        if is_new and not requested.has_no_end:
            silence.ends_at = silence.begins_at + LASTS_BY_DEFAULT
        else:
            problems["until"] = "A silence that does not recur needs an end."
    elif silence.ends_at is None:
        return
    elif silence.ends_at <= silence.begins_at:
        problems.setdefault("until", "It has to end later than it begins.")
    elif not recurs and silence.ends_at - silence.begins_at > LONGEST:
        problems["until"] = f"A silence lasts at most {LONGEST.days} days."


def _set_notices(silence: Silence, requested: SilenceFields) -> None:
    if requested.notify_contact_point_ids is not None:
        ids = list(dict.fromkeys(requested.notify_contact_point_ids))
        if len(ids) > CONTACT_POINTS_MAX:
            raise Invalid(
                "Too many contact points.",
                fields={"notify_contact_point_ids": f"At most {CONTACT_POINTS_MAX} can be named."},
            )
        known = contact_points_among(silence.org_id, ids)
        if missing := [each for each in ids if each not in known]:
            raise Invalid(
                "One of the contact points does not exist.",
                fields={
                    "notify_contact_point_ids": f"There is no contact point {missing[0]} in your"
                    " org."
                },
            )
        silence.notify_contact_point_ids = ids
    is_told = bool(silence.notify_contact_point_ids)
    # By default those who are named are told of maintenance; a silence is more often private.
    by_default = is_told and silence.kind == SilenceKind.MAINTENANCE
    names_people = requested.notify_contact_point_ids is not None
    if requested.notifies_start is not None:
        silence.notifies_start = requested.notifies_start and is_told
    elif names_people or not is_told:
        silence.notifies_start = by_default
    if requested.notifies_end is not None:
        silence.notifies_end = requested.notifies_end and is_told
    elif names_people or not is_told:
        silence.notifies_end = by_default
