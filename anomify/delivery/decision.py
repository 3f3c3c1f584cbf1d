"""Decide what a contact point is told of an incident next, and when to decide again."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from anomify.anomaly.recording import is_more_severe

# What is held back is looked at again in this interval at the latest: people can end a silence.
HELD_LOOK: Final = timedelta(seconds=20)
# The same for what goes on: an anomaly can be resolved by a person.
OPEN_LOOK: Final = timedelta(seconds=60)
# A metric that has begun so often in this time flaps: that is told, and then nothing until it has
# been calm for so long.
FLAPPING_OPENINGS: Final = 4
FLAPPING_WINDOW: Final = timedelta(hours=1)
FLAPPING: Final = "flapping"


class Tell(StrEnum):
    """What to tell."""

    OPENED = "opened"
    UPDATED = "updated"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    FLAPPING = "flapping"
    # It came and went while messages were held back.
    MISSED = "missed"
    # The last message once more, for receivers that forget what is not repeated.
    RESENT = "resent"


@dataclass(frozen=True, slots=True)
class Hold:
    """Messages are held back: by what kind of rule, why, and until when."""

    kind: str
    # Completes the sentence "Not sent because ...".
    why: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """What a watcher wants for one of its contact points."""

    # How long to wait before the first message, for anomalies that belong to it or for its end.
    wait: timedelta = timedelta(0)
    # The least time between a message and one that more anomalies have joined.
    update_every: timedelta = timedelta(minutes=5)
    reminder_every: timedelta | None = None
    # How long the incident must have been over before that is told.
    recover_after: timedelta = timedelta(0)
    # A later step is told only what nobody has acknowledged for so long.
    escalate_after: timedelta | None = None
    # How often the channel needs to get the same again.
    resend_every: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is true of an incident at a moment, as far as one watcher watches it."""

    at: datetime
    is_open: bool
    severity: str
    # When the newest of its anomalies joined.
    joined_at: datetime
    is_acknowledged: bool = False
    # Holds back everything: a silence, a maintenance, a mute, or the quiet hours of a person.
    hold: Hold | None = None
    # Holds back openings: the watcher has told of the same metric lately.
    quiet: Hold | None = None
    # How often the one of its metrics that began most often did so in FLAPPING_WINDOW before the
    # present time, and when one last began.
    openings: int = 0
    last_onset_at: datetime | None = None
    # Until when openings are held back, because the contact point was told that a metric flaps.
    flaps_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a contact point was told so far; the columns of a notification."""

    is_told_open: bool = False
    told_at: datetime | None = None
    opening_told_at: datetime | None = None
    told_severity: str | None = None
    flapping_told_at: datetime | None = None
    held_since: datetime | None = None
    held_why: str | None = None
    held_kind: str | None = None
    is_missed: bool = False
    # Since when it goes on, and since when it is over; one of the two.
    live_since: datetime | None = None
    over_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to tell now, if anything; what was told after that; and when to decide again."""

    tell: Tell | None
    told: Told
    due_at: datetime | None


def decide(situation: Situation, told: Told, rules: Rules) -> Decision:
    """Return what to tell at this moment."""
    if situation.is_open:
        told = replace(told, live_since=told.live_since or situation.at, over_since=None)
    else:
        told = replace(told, live_since=None, over_since=told.over_since or situation.at)
    if told.is_told_open:
        return _of_told(situation, told, rules)
    if situation.is_open:
        return _of_untold(situation, told, rules)
    return _of_untold_and_over(situation, told)


def _of_untold(now: Situation, told: Told, rules: Rules) -> Decision:
    """Decide about an incident that goes on and was not told."""
    since = told.live_since or now.at
    waits_until = since + rules.wait
    if rules.escalate_after is not None:
        if now.is_acknowledged:
            return Decision(None, told, now.at + OPEN_LOOK)
        waits_until = max(waits_until, since + rules.escalate_after)
    if now.at < waits_until:
        return Decision(None, told, min(waits_until, now.at + OPEN_LOOK))
    hold = _longest(now.hold, now.quiet, _flapping_hold(now))
    if hold is not None:
        held = replace(
            told,
            held_since=told.held_since or now.at,
            held_why=hold.why,
            held_kind=hold.kind,
            is_missed=False,
        )
        return Decision(None, held, _held_look(now, hold))
    is_flapping = now.openings >= FLAPPING_OPENINGS
    opened = Told(
        is_told_open=True,
        told_at=now.at,
        opening_told_at=now.at,
        told_severity=now.severity,
        flapping_told_at=now.at if is_flapping else None,
        live_since=since,
    )
    return Decision(
        Tell.FLAPPING if is_flapping else Tell.OPENED, opened, _next_look(now, opened, rules)
    )


def _of_told(now: Situation, told: Told, rules: Rules) -> Decision:
    """Decide about an incident of which the last thing told is that it goes on."""
    if now.hold is not None:
        return Decision(None, told, _held_look(now, now.hold))
    is_flapping = told.flapping_told_at is not None
    if not now.is_open:
        over_since = told.over_since or now.at
        over_at = over_since + rules.recover_after
        if is_flapping:
            calm_since = max(over_since, now.last_onset_at or over_since)
            over_at = max(over_at, calm_since + FLAPPING_WINDOW)
        if now.at < over_at:
            return Decision(None, told, min(over_at, now.at + OPEN_LOOK))
        over = replace(told, is_told_open=False, told_at=now.at, flapping_told_at=None)
        return Decision(Tell.RECOVERED, over, None)
    tell = None
    told_at = told.told_at or now.at
    has_risen = told.told_severity is not None and is_more_severe(now.severity, told.told_severity)
    has_grown = now.joined_at > told_at and not is_flapping
    if has_risen or (has_grown and now.at >= told_at + rules.update_every):
        tell = Tell.UPDATED
    elif (
        rules.reminder_every is not None
        and not now.is_acknowledged
        and now.at >= told_at + rules.reminder_every
    ):
        tell = Tell.REMINDER
    elif rules.resend_every is not None and now.at >= told_at + rules.resend_every:
        tell = Tell.RESENT
    if tell is not None:
        told = replace(told, told_at=now.at, told_severity=now.severity)
    return Decision(tell, told, _next_look(now, told, rules))


def _of_untold_and_over(now: Situation, told: Told) -> Decision:
    """Decide about an incident that is over and was not told, or was told to be over."""
    if told.held_since is None:
        return Decision(None, told, None)
    if told.held_kind == FLAPPING:
        # That it begins and ends again was told.
        return Decision(None, replace(told, held_since=None, held_why=None, held_kind=None), None)
    missed = replace(told, is_missed=True)
    hold = now.hold or now.quiet
    if hold is not None:
        return Decision(None, missed, _held_look(now, hold))
    listed = replace(
        missed, is_missed=False, held_since=None, held_why=None, held_kind=None, told_at=now.at
    )
    return Decision(Tell.MISSED, listed, None)


def _held_look(now: Situation, hold: Hold) -> datetime:
    """Return when to decide again about what is held back; never at once, whatever its end."""
    return max(min(hold.until, now.at + HELD_LOOK), now.at + timedelta(seconds=1))


def _flapping_hold(now: Situation) -> Hold | None:
    if now.flaps_until is None or now.flaps_until <= now.at:
        return None
    return Hold(FLAPPING, "it begins and ends too often to tell each time", now.flaps_until)


def _longest(*holds: Hold | None) -> Hold | None:
    """Return the hold that ends last; of equal ones the first."""
    found = None
    for hold in holds:
        if hold is not None and (found is None or hold.until > found.until):
            found = hold
    return found


def _next_look(now: Situation, told: Told, rules: Rules) -> datetime:
    """Return when to decide again about an incident that was told and goes on."""
    told_at = told.told_at or now.at
    moments = [now.at + OPEN_LOOK]
    if now.joined_at > told_at and told.flapping_told_at is None:
        moments.append(told_at + rules.update_every)
    repeats = (rules.reminder_every, rules.resend_every)
    moments += [told_at + every for every in repeats if every is not None]
    return max(min(moments), now.at + timedelta(seconds=1))
