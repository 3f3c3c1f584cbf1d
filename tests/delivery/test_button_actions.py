"""Buttons of an incident act on all of it that goes on."""

from pathlib import Path

import pytest
from sqlalchemy import select

from anomify.channel.message import Action
from anomify.contact_point.button import subject_of_incident
from anomify.db import Database, session
from anomify.delivery.button_actions import MUTED_AT_ONCE_MAX, act
from anomify.errors import Conflict, NotFound
from anomify.metric.open_store import open_points
from anomify.silence.model import Silence
from anomify.triage.queries import states_of
from anomify.triage.status import Status
from tests.factories import make_anomaly, make_cast, make_incident, make_metric

BASE = "https://a.example"


def test_acknowledging_and_muting_concern_what_goes_on(database: Database, tmp_path: Path) -> None:
    points = open_points(database, tmp_path)
    with database.unit_of_work():
        cast = make_cast()
        running = [
            make_anomaly(make_metric(cast.acme, name), minutes=None) for name in ("cpu.a", "cpu.b")
        ]
        ended = make_anomaly(make_metric(cast.acme, "cpu.c"))
        subject = subject_of_incident(make_incident(*running, ended).id)
        said = act(cast.bob, Action.ACKNOWLEDGE, subject, points, BASE)
        assert said == "Bob acknowledged cpu.a and 1 more."
        states = states_of([each.id for each in (*running, ended)])
        assert [states[each.id].status for each in (*running, ended)] == [
            Status.ACKNOWLEDGED,
            Status.ACKNOWLEDGED,
            Status.ACTIVE,
        ]
        for _ in range(2):
            act(cast.bob, Action.MUTE, subject, points, BASE)
        assert set(session().scalars(select(Silence.metric))) == {"cpu.a", "cpu.b"}
        assert len(session().scalars(select(Silence)).all()) == 2

        over = subject_of_incident(make_incident(make_anomaly(make_metric(cast.acme, "x"))).id)
        with pytest.raises(Conflict, match="over"):
            act(cast.bob, Action.ACKNOWLEDGE, over, points, BASE)
        with pytest.raises(NotFound):
            act(cast.charlie, Action.ACKNOWLEDGE, subject, points, BASE)
        names = [f"many.{number}" for number in range(MUTED_AT_ONCE_MAX + 1)]
        many = [make_anomaly(make_metric(cast.acme, name), minutes=None) for name in names]
        with pytest.raises(Conflict, match="21 metrics"):
            act(cast.bob, Action.MUTE, subject_of_incident(make_incident(*many).id), points, BASE)
    points.close()
