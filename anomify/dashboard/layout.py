"""Render pages in the common layout: signed-in user, org, and number of open anomalies."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import render_template

from anomify.anomaly.queries import Running, list_anomalies
from anomify.auth.subject import UserSubject, user_subject
from anomify.clock import now, to_ms
from anomify.dashboard.wording import Moment, initials, moment, within_sentence
from anomify.detection.state import LEARNING_POINTS
from anomify.edge.access import ADMIN, EDITOR
from anomify.org.muting import is_muted, minutes_left
from anomify.silence.model import Silence, SilenceKind
from anomify.silence.queries import SilenceState, list_silences, next_occurrence
from anomify.silence.wording import affected_in_words

# How many silences the banner names.
SILENCES_NAMED = 3
# How much of a comment or of matchers the banner shows.
WORDS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class BannerSilence:
    """A silence in force, as the banner shows it."""

    id: int
    words: str
    is_maintenance: bool
    until: Moment


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in user, as the layout shows them."""

    name: str
    email: str
    initials: str
    role: str
    org_name: str
    timezone: str
    running: int
    # Until when the org's notifications are muted; None if they are not.
    muted_until: Moment | None
    muted_minutes: int
    may_unmute: bool
    # Silences that are in force now, and how many more there are.
    silences: list["BannerSilence"]
    more_silences: int
    # They may say whether something was expected, and disable patterns.
    may_edit: bool


def render_page(template: str, **facts: Any) -> str:
    """Return the page in the layout; needs a unit of work and a signed-in user."""
    return render_template(
        template, viewer=_viewer(user_subject()), learning_points=LEARNING_POINTS, **facts
    )


def zone() -> ZoneInfo:
    """Return the time zone of the signed-in user's org."""
    return ZoneInfo(user_subject().org.timezone)


def local_moment(time_ms: int) -> Moment:
    """Return a time formatted in the time zone of the signed-in user's org."""
    return moment(time_ms, zone(), now())


def _viewer(caller: UserSubject) -> Viewer:
    user, org, at = caller.user, caller.org, now()
    muted_until = org.muted_until if is_muted(org, at) else None
    silenced = list_silences(
        org.id, at, states=(SilenceState.ACTIVE,), limit=0 if muted_until else SILENCES_NAMED
    )
    return Viewer(
        name=user.name,
        email=user.email,
        initials=initials(user.name),
        role=user.role,
        org_name=org.name,
        timezone=org.timezone,
        running=list_anomalies(org.id, running=Running.OPEN, limit=0).total,
        muted_until=local_moment(to_ms(muted_until)) if muted_until else None,
        muted_minutes=minutes_left(org, at),
        may_unmute=ADMIN.allows(caller),
        silences=[_banner(silence, at) for silence in silenced.items],
        more_silences=silenced.total - len(silenced.items),
        may_edit=EDITOR.allows(caller),
    )


def _banner(silence: Silence, at: datetime) -> BannerSilence:
    following = next_occurrence(silence, at)
    words = silence.comment or affected_in_words(silence)
    return BannerSilence(
        id=silence.id,
        words=words if len(words) <= WORDS_SHOWN else f"{words[:WORDS_SHOWN]}…",
        is_maintenance=silence.kind == SilenceKind.MAINTENANCE,
        until=within_sentence(local_moment(to_ms(following.end if following else at))),
    )
