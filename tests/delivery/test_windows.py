"""What is told of an incident that begins or ends inside a time in which messages are held back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select

from anomify.clock import now, to_ms
from anomify.db import Database, session
from anomify.delivery.model import SENT
from anomify.org.model import Org
from anomify.user.model import User
from tests.delivery.deliveries import (
    NOON,
    end,
    look_again,
    make_open_anomaly,
    make_webhook_watcher,
    rows,
    tell_ended,
    tell_opened,
)
from tests.factories import make_metric, make_org, make_silence, make_user, make_watcher

MINUTE = timedelta(minutes=1)
STEP = 10 * MINUTE
LENGTH = 60 * MINUTE


@dataclass(frozen=True)
class Course:
    """When an incident begins and ends, in minutes from the start of the window; None is never."""

    begins: int
    ends: int | None


COURSES = (
    # Before the window, until before it, inside it, after it, and for ever.
    *(Course(-30, ends) for ends in (-10, 30, 90, None)),
    # Inside the window.
    *(Course(20, ends) for ends in (40, 90, None)),
    # At its very end, and after it.
    *(Course(59, ends) for ends in (61, None)),
    *(Course(70, ends) for ends in (90, None)),
)


def expected_of(course: Course) -> list[tuple[str, int]]:
    """Return what is told and when, in minutes from the start of the window of an hour."""
    begins, ends = course.begins, course.ends
    if 0 <= begins < 60:
        if ends is not None and ends < 60:
            return [("missed", 60)]
        told = [("opened", 60)]
    else:
        told = [("opened", begins)]
    if ends is not None:
        told.append(("recovered", 60 if 0 <= ends < 60 else ends))
    return told


def mute(org: Org, begins_at: datetime) -> None:
    org.muted_until = begins_at + LENGTH


def silence(org: Org, begins_at: datetime) -> None:
    make_silence(org, begins_at=begins_at, hours=1)


def maintenance(org: Org, begins_at: datetime) -> None:
    make_silence(org, kind="maintenance", begins_at=begins_at, hours=1)


def send_all() -> None:
    for row in rows():
        row.state = SENT


def quiet_hours(org: Org, begins_at: datetime) -> None:
    """Give the only recipient quiet hours, every day at this time."""
    user = session().scalars(select(User).where(User.org_id == org.id)).one()
    user.quiet_timezone = "UTC"
    user.quiet_from_minute = begins_at.hour * 60 + begins_at.minute
    user.quiet_until_minute = user.quiet_from_minute + 60


@contextmanager
def course_of_time(at: datetime) -> Iterator[Callable[[datetime], None]]:
    """Yield a function that lets time pass until a moment; what is due meanwhile is told."""
    with time_machine.travel(at, tick=False) as traveller:

        def until(moment: datetime) -> None:
            # The worker looks far more often; every tenth minute is enough to see what it would do.
            while now() < moment:
                traveller.move_to(min(now() + STEP - (now() - NOON) % STEP, moment))
                send_all()
                look_again()

        yield until


@pytest.mark.parametrize("window", [mute, silence, maintenance, quiet_hours])
def test_every_course_is_told_right(
    database: Database, window: Callable[[Org, datetime], None]
) -> None:
    for course in COURSES:
        with (
            database.unit_of_work() as unit,
            course_of_time(NOON - LENGTH) as until,
        ):
            org = make_org()
            make_watcher(org, email_user_ids=[make_user(org, "Bob").id])
            metric = make_metric(org)
            if window is not mute or course.begins >= 0:
                window(org, NOON)
            begins_at = NOON + course.begins * MINUTE
            until(begins_at)
            anomaly = make_open_anomaly(metric, begins_at)
            tell_opened(anomaly)
            if window is mute and course.begins < 0:
                # A mute begins the moment it is asked for.
                if course.ends is not None and course.ends < 0:
                    unit.rollback()
                    continue
                until(NOON)
                window(org, NOON)
            if course.ends is not None:
                until(NOON + course.ends * MINUTE)
                end(anomaly)
                anomaly.span.ended_ms = to_ms(NOON + course.ends * MINUTE)
                tell_ended(anomaly)
            until(NOON + 4 * LENGTH)
            told = [
                (row.transition, round((row.created_at - NOON) / MINUTE))
                for row in rows()
                if row.org_id == org.id
            ]
            assert told == expected_of(course), (window.__name__, course)
            unit.rollback()


def test_quiet_time_holds_back_openings_only(database: Database) -> None:
    for course in (each for each in COURSES if each.begins > 0):
        with database.unit_of_work() as unit, course_of_time(NOON) as until:
            org = make_org()
            make_webhook_watcher(org, expiration_seconds=3600)
            metric = make_metric(org)
            first = make_open_anomaly(metric)
            tell_opened(first)
            until(NOON + 5 * MINUTE)
            end(first)
            tell_ended(first)
            begins_at = NOON + course.begins * MINUTE
            until(begins_at)
            anomaly = make_open_anomaly(metric, begins_at)
            tell_opened(anomaly)
            if course.ends is not None:
                until(NOON + course.ends * MINUTE)
                end(anomaly)
                tell_ended(anomaly)
            until(NOON + 4 * LENGTH)
            told = [(row.transition, round((row.created_at - NOON) / MINUTE)) for row in rows()]
            assert told == [("opened", 0), ("recovered", 5), *expected_of(course)], course
            unit.rollback()
