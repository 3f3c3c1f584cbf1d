"""Triage by the forms of the inbox and of an anomaly, which work without JavaScript."""

import re
from datetime import timedelta
from html import unescape

import pytest

from anomify.anomaly.queries import get_anomaly
from anomify.clock import now
from anomify.triage.actor import Actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.triage.history import list_history
from anomify.triage.queries import states_of
from anomify.triage.status import Status
from tests.factories import make_anomaly

HOSTILE = '"><svg onload=alert(1)>'


@pytest.fixture
def ids(site):
    found = []
    for name in ("api.errors", "cpu.load", "disk.full"):
        metric = site.make_metric(name)
        with site.database.unit_of_work():
            found.append(make_anomaly(metric, now() - timedelta(hours=len(found) + 1)).id)
    return found


def post(site, url, who, **sent):
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    return site.browser(who).post(url, data=sent, headers=headers)


def state(site, anomaly_id):
    with site.database.unit_of_work(write=False):
        return states_of([anomaly_id])[anomaly_id]


def rows(site, anomaly_id):
    with site.database.unit_of_work(write=False):
        found = list_history(get_anomaly(site.cast.acme.id, anomaly_id))
        return [row for row in found if row.transaction_id is not None]


def listed(site, **filters):
    return re.findall(r'<bdi class="name" title="([^"]*)"', site.text("/ui/", **filters))


def act(site, who="alice", url="/ui/anomalies/triage", **sent):
    reply = post(site, url, who, **{"next": "/ui/?severity=medium", **sent})
    assert reply.status_code == 303, reply.text
    return reply.headers["Location"]


class TestActions:
    def test_write_the_same_history_as_the_api(self, site, ids):
        bob = site.cast.bob.id
        wanted = {
            "acknowledge": TriageChange(status=Status.ACKNOWLEDGED),
            "resolve": TriageChange(status=Status.RESOLVED),
            "invalid": TriageChange(status=Status.INVALID),
            "discard": TriageChange(status=Status.DISCARDED),
            "reopen": TriageChange(status=Status.ACTIVE),
            "duplicate": TriageChange(status=Status.DUPLICATE, duplicate_of=ids[2]),
            "assign": TriageChange(assign=[bob]),
            "mine": TriageChange(assign=[site.cast.alice.id]),
            "unassign": TriageChange(assignees=[]),
            "comment": TriageChange(comment=f"@[Bob]({bob}) look.", mentioned=[bob]),
        }
        by_page, by_api, original = ids
        for do, change in wanted.items():
            sent = {"assignee": bob, "duplicate_of": original, "comment": "@Bob look."}
            act(site, do=f"{do} {by_page}", **sent)
            with site.database.unit_of_work():
                by = Actor("Alice", site.cast.alice.id)
                change_anomalies(site.cast.acme, {by_api: change}, by, "http://a.example")
        of_page, of_api = (
            [(row.actor, row.user_id, set(row.changeset)) for row in rows(site, anomaly_id)]
            for anomaly_id in (by_page, by_api)
        )
        assert len(of_page) == len(wanted)
        assert of_page == of_api
        statuses = [
            [row.changeset.get("status") for row in rows(site, anomaly_id)]
            for anomaly_id in (by_page, by_api)
        ]
        assert statuses[0] == statuses[1]

    def test_apply_to_all_that_are_selected(self, site, ids):
        # As a browser sends the form: the fields that nobody filled in are empty.
        act(site, do="resolve", anomaly_ids=ids[:2], assignee="", duplicate_of="", comment="")
        assert listed(site) == ["disk.full"]
        assert listed(site, triage="archived") == ["api.errors", "cpu.load"]
        act(site, do="resolve")
        assert listed(site) == ["disk.full"]

    @pytest.mark.parametrize("snooze", ["1h", "4h", "tomorrow", "7d"])
    def test_snooze_hides_until_then(self, site, ids, snooze):
        act(site, do=f"snooze {ids[0]}", snooze=snooze)
        assert timedelta(0) < state(site, ids[0]).snoozed_until - now() <= timedelta(days=7)
        assert listed(site) == ["cpu.load", "disk.full"]
        assert listed(site, triage="snoozed") == ["api.errors"]
        assert "Snoozed until" in site.text("/ui/", triage="snoozed")
        act(site, do=f"wake {ids[0]}")
        assert listed(site, triage="snoozed") == []

    def test_are_undone_by_the_form_that_is_shown_after_them(self, site, ids):
        location = act(site, do=f"resolve {ids[0]}")
        assert location.startswith("/ui/?severity=medium&done=")
        shown = site.get(location, "alice").text
        assert "You resolved it." in shown
        transaction_id = re.search(r'name="transaction_id" value="(\d+)"', shown)[1]
        # Nobody else is shown what Alice has done.
        assert "You resolved it." not in site.get(location, "bob").text
        location = act(site, url="/ui/anomalies/undo", transaction_id=transaction_id)
        assert "Undone." in site.get(location, "alice").text
        assert state(site, ids[0]).status is Status.ACTIVE

    def test_are_refused_where_they_make_no_sense(self, site, ids):
        for sent in (
            {"do": "explode 1"},
            {"do": f"resolve {ids[0]}x"},
            {"do": f"assign {ids[0]}"},
            {"do": f"comment {ids[0]}", "comment": " "},
        ):
            assert post(site, "/ui/anomalies/triage", "alice", **sent).status_code == 400, sent
        reply = post(site, "/ui/anomalies/triage", "dave", do=f"resolve {ids[0]}")
        assert reply.status_code == 403
        assert state(site, ids[0]).status is Status.ACTIVE

    def test_lead_back_to_own_pages_only(self, site, ids):
        for foreign in ("https://evil.example/", "//evil.example", "/ui/\\evil", "javascript:1"):
            assert act(site, do=f"mine {ids[0]}", next=foreign).startswith("/ui/")


class TestInbox:
    def test_counts_each_status(self, site, ids):
        act(site, do=f"acknowledge {ids[0]}")
        act(site, do=f"discard {ids[1]}")
        counts = dict(
            re.findall(
                r"(Open|Acknowledged|Snoozed|Archived|Any status) <span class=\"count\">(\d+)",
                site.text("/ui/"),
            )
        )
        assert counts == {
            "Open": "2",
            "Acknowledged": "1",
            "Snoozed": "0",
            "Archived": "1",
            "Any status": "3",
        }

    def test_filters_by_assignee(self, site, ids):
        act(site, do=f"assign {ids[0]}", assignee=site.cast.bob.id)
        act(site, do=f"mine {ids[1]}")
        assert listed(site, assignee=site.cast.bob.id) == ["api.errors"]
        assert listed(site, assignee="none") == ["disk.full"]
        mine = site.get("/ui/?assignee=me", "alice").text
        assert re.findall(r'<bdi class="name" title="([^"]*)"', mine) == ["cpu.load"]
        assert site.get("/ui/?assignee=you", "alice").status_code == 400

    @pytest.mark.usefixtures("ids")
    def test_offers_no_buttons_to_viewers(self, site):
        assert 'name="do"' in site.get("/ui/", "bob").text
        assert 'name="do"' not in site.get("/ui/", "dave").text


class TestPart:
    def page(self, site, anomaly_id, who="alice"):
        link = f"/ui/metric?name=api.errors&event={anomaly_id}"
        reply = site.get(link, who)
        return (
            site.get(reply.headers["Location"], who).text
            if reply.status_code == 302
            else (reply.text)
        )

    def test_shows_comments_and_history(self, site, ids):
        act(site, "bob", do=f"acknowledge {ids[0]}")
        url = "/ui/anomaly/comment"
        act(site, "dave", url, anomaly_id=ids[0], message=f"@Alice <b> {HOSTILE}")
        text = self.page(site, ids[0])
        assert "Acknowledged by <bdi>Bob</bdi>" in text
        assert "@Alice &lt;b&gt;" in text
        assert HOSTILE not in text
        history = unescape(re.sub(r"<[^>]+>", "", text[text.index("<summary>History") :]))
        assert "Dave commented" in history
        assert "Bob acknowledged it" in history
        assert "Anomify found it" in history

    def test_lets_authors_and_admins_delete_comments(self, site, ids):
        url = "/ui/anomaly/comment"
        act(site, "dave", url, anomaly_id=ids[0], message="Hello.")
        found = {
            who: re.search(r'name="comment_id" value="(\d+)"', self.page(site, ids[0], who))
            for who in ("alice", "bob", "dave")
        }
        assert found["bob"] is None
        comment_id = found["dave"][1]
        reply = post(site, f"{url}/delete", "bob", comment_id=comment_id)
        assert reply.status_code == 403
        act(site, "dave", f"{url}/delete", comment_id=comment_id)
        assert "Hello." not in self.page(site, ids[0])
