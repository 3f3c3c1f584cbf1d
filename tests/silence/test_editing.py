"""What happens to silences when a metric is deleted, and a year after their end."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.db import session
from anomify.metric_deletion.delete_metric import delete_metric_and_anomalies
from anomify.silence.editing import forget_ended
from anomify.silence.model import Silence
from anomify.silence.queries import SilenceState, state_of
from tests.factories import make_metric, make_org, make_silence

DAY = timedelta(days=1)


@pytest.mark.usefixtures("unit")
class TestEnds:
    def test_with_the_one_metric_it_is_about(self):
        org = make_org()
        metric = make_metric(org, "cpu.load")
        own = make_silence(org, metric="cpu.load")
        broad = make_silence(org, chips=["cpu"])
        foreign = make_silence(make_org("Globex"), metric="cpu.load")
        delete_metric_and_anomalies(metric, "Bob")
        assert (own.ended_by, state_of(own, now())) == ("Bob", SilenceState.EXPIRED)
        assert broad.ended_at is foreign.ended_at is None


@pytest.mark.usefixtures("unit")
class TestForgetEnded:
    def test_deletes_what_ended_more_than_a_year_ago(self):
        org, at = make_org(), now()
        long_ago = at - 500 * DAY
        make_silence(org, begins_at=long_ago)
        make_silence(org, begins_at=long_ago, ends_at=None, ended_at=long_ago + DAY)
        kept = [
            make_silence(org, begins_at=at - 366 * DAY).id,
            make_silence(org, begins_at=long_ago, ends_at=None, from_minute=0, until_minute=1).id,
        ]
        forget_ended(at)
        session().expire_all()
        assert [row.id for row in session().query(Silence).order_by(Silence.id)] == kept
