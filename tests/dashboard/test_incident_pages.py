"""The pages of incidents and the alerts log, in a browser."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.db import session
from anomify.delivery.model import Delivery, DeliveryAttempt
from anomify.job.model import DEAD, PENDING
from anomify.org.model import Org
from anomify.triage.queries import states_of
from anomify.triage.status import Status
from tests.dashboard.test_sign_in import hidden
from tests.factories import make_anomaly, make_delivery, make_incident, make_watcher

ORIGIN = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
MINUTE = timedelta(minutes=1)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def told(site):
    """An incident of two metrics, one of them with a hostile name, and a message given up."""
    metrics = [site.make_metric("db.latency"), site.make_metric(HOSTILE)]
    with site.database.unit_of_work():
        members = [make_anomaly(each, now() - 9 * MINUTE, minutes=None) for each in metrics]
        made = make_incident(*members)
        watcher = make_watcher(session().get_one(Org, site.cast.acme.id), name="Shop")
        dead = make_delivery(
            watcher,
            members[0],
            state=DEAD,
            settled_at=now(),
            recipient=HOSTILE,
            last_error="The receiver answered 500.",
        )
        session().add(
            DeliveryAttempt(
                delivery_id=dead.id, ended_at=now(), is_delivered=False, answer=f"{HOSTILE} 500"
            )
        )
    return made.id, [each.id for each in members], dead.id


class TestIncidents:
    def test_are_empty_at_first(self, site):
        assert "No incident in this time" in site.text("/ui/incidents")
        assert "No incident is running" in site.text("/ui/incidents", state="open")
        assert site.get("/ui/incident/1").status_code == 404

    def test_are_listed_and_shown_with_all_that_belongs_to_them(self, site, told):
        incident_id, _, _ = told
        listed = site.text("/ui/incidents")
        assert f'href="/ui/incident/{incident_id}"' in listed
        assert "and 1 more anomaly" in listed
        page = site.text(f"/ui/incident/{incident_id}")
        for words in ("Running for", "Probably first.", "Told that it goes on", "Acknowledge all",
                      "The receiver answered 500.", "What else moved"):  # fmt: skip
            assert words in page
        assert HOSTILE not in page + listed
        assert site.get(f"/ui/incident/{incident_id}", "charlie").status_code == 404

    def test_all_of_one_is_acknowledged_at_once_and_that_can_be_undone(self, site, told):
        incident_id, anomaly_ids, _ = told
        browser = site.browser()
        path = f"/ui/incident/{incident_id}"
        token = hidden(browser.get(path).get_data(as_text=True))["csrf_token"]
        form = {"csrf_token": token, "do": "acknowledge", "next": path, "anomaly_ids": anomaly_ids}
        reply = browser.post("/ui/anomalies/triage", data=form, headers=ORIGIN)
        assert reply.status_code == 303
        with site.database.unit_of_work(write=False):
            found = {state.status for state in states_of(anomaly_ids).values()}
        assert found == {Status.ACKNOWLEDGED}
        page = browser.get(reply.headers["Location"]).get_data(as_text=True)
        assert "You acknowledged it (2 anomalies)." in page
        assert "Acknowledge all" not in page

    def test_a_viewer_has_no_buttons(self, site, told):
        page = site.text(f"/ui/incident/{told[0]}", "dave")
        assert "Acknowledge" not in page


class TestAlerts:
    def test_are_empty_at_first(self, site):
        assert "No messages yet" in site.text("/ui/alerts")
        assert "No message was given up" in site.text("/ui/alerts", state="dead")

    def test_shows_answers_and_sends_one_again(self, site, told):
        incident_id, _, dead_id = told
        page = site.text("/ui/alerts", state="dead", incident_id=incident_id)
        assert "&lt;script&gt;alert(1)&lt;/script&gt; 500" in page
        assert HOSTILE not in page
        assert "Send again" not in site.text("/ui/alerts", "dave")
        browser = site.browser()
        token = hidden(browser.get("/ui/alerts").get_data(as_text=True))["csrf_token"]
        path = f"/ui/alerts/{dead_id}/replay"
        form = {"csrf_token": token, "back": "https://evil.example/"}
        reply = browser.post(path, data=form, headers=ORIGIN)
        assert (reply.status_code, reply.headers["Location"]) == (303, "/ui/")
        with site.database.unit_of_work(write=False):
            assert session().get_one(Delivery, dead_id).state == PENDING
        assert "Waiting" in site.text("/ui/alerts", state="pending")
        assert site.text("/ui/alerts", "charlie").count("is-alert") == 0
