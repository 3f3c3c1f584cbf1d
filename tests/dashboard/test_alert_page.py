"""The page of an admin alert, which its letter links to."""

from datetime import timedelta

import pytest

from anomify.admin_alert.model import RaisedAlert, SilentMetric
from anomify.clock import now
from anomify.db import session
from anomify.org.model import QuotaRefusal

CODE = "0123456789abcdef" * 2


def raise_alert(site, type_id, **more):
    with site.database.unit_of_work():
        raised = RaisedAlert(
            org_id=site.cast.acme.id,
            type_id=type_id,
            code=CODE,
            raised_at=now(),
            began_at=now() - timedelta(minutes=10),
            **{"metric_count": 1, **more},
        )
        session().add(raised)
        session().flush()
        return raised.id


@pytest.fixture
def silent(site):
    """A metric with a hostile name that has stopped."""
    metric = site.make_metric('"><b>cpu')
    alert_id = raise_alert(site, 2)
    with site.database.unit_of_work():
        session().add(
            SilentMetric(
                alert_id=alert_id,
                metric_id=metric.id,
                silent_since=now() - timedelta(minutes=10),
                noticed_at=now(),
                last_ms=0,
            )
        )
    return site


class TestPage:
    def test_lists_stopped_metrics_of_an_open_alert(self, silent):
        text = silent.text("/ui/adminalert", "dave", code=CODE)
        assert "Some metrics have stopped" in text
        assert "and not over yet" in text
        assert "Silent" in text
        assert "<b>cpu" not in text

    def test_shows_when_it_ended(self, silent):
        with silent.database.unit_of_work():
            session().query(RaisedAlert).one().recovered_at = now()
            session().query(SilentMetric).one().returned_at = now()
        text = silent.text("/ui/adminalert", code=CODE)
        assert ", ended <time" in text
        assert "Back <time" in text
        assert "<h1>Stopped metrics report again</h1>" in text
        assert "have stopped" not in text

    def test_is_headed_by_what_ended_it(self, silent):
        with silent.database.unit_of_work():
            session().query(RaisedAlert).one().recovered_at = now()
            session().query(SilentMetric).one().left_at = now()
        text = silent.text("/ui/adminalert", code=CODE)
        assert "<h1>Stopped metrics are no longer expected to report</h1>" in text

    def test_lists_the_names_that_the_quota_refused(self, site):
        raise_alert(site, 3)
        with site.database.unit_of_work():
            session().add(
                QuotaRefusal(org_id=site.cast.acme.id, refused_at=now(), names=["new.one"])
            )
        assert "new.one" in site.text("/ui/adminalert", code=CODE)

    def test_is_not_found_for_users_of_other_orgs(self, silent):
        assert silent.get("/ui/adminalert", "charlie", code=CODE).status_code == 404
        assert silent.get("/ui/adminalert", None, code=CODE).status_code in {302, 303}
