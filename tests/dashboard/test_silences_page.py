"""The pages of silences, in a browser."""

import re
from datetime import timedelta

from anomify.clock import now
from anomify.db import session
from anomify.org.model import Org
from anomify.silence.queries import list_silences
from tests.dashboard.test_sign_in import hidden
from tests.factories import make_anomaly, make_contact_point, make_metric, make_silence

PATH = "/ui/silences"
ORIGIN = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}


def send(browser, path, **requested):
    """Fill in the form of a new silence, and send it to that path."""
    token = hidden(browser.get(f"{PATH}/new").get_data(as_text=True))["csrf_token"]
    return browser.post(path, data={"csrf_token": token, **requested}, headers=ORIGIN)


def acme(site) -> Org:
    return session().get_one(Org, site.cast.acme.id)


def stored(site):
    with site.database.unit_of_work(write=False):
        return list_silences(site.cast.acme.id, now()).items


class TestList:
    def test_is_empty_at_first(self, site):
        assert "Nothing is silenced" in site.browser().get(PATH).text
        assert "No silence has ended yet" in site.browser().get(f"{PATH}?state=expired").text

    def test_shows_each_by_its_state_and_the_mute_of_the_org(self, site):
        at, hour = now(), timedelta(hours=1)
        with site.database.unit_of_work():
            make_silence(acme(site), matchers=['env="dev"'], comment="<b>swap</b>")
            make_silence(acme(site), begins_at=at + hour, chips=["later", "!never"])
            make_silence(acme(site), begins_at=at - 9 * hour, chips=["over"])
            acme(site).muted_until = at + hour
        text = site.browser().get(PATH).text
        assert "env=&#34;dev&#34;" in text
        assert "&lt;b&gt;swap" in text
        assert "Names with later, without never" in text
        assert "The whole org is muted." in text
        assert "with over" not in text
        assert "with over" in site.browser().get(f"{PATH}?state=expired").text


class TestForm:
    def test_creates_a_silence(self, site):
        reply = send(
            site.browser(),
            f"{PATH}/new",
            kind="maintenance",
            chips="cpu, !staging",
            matchers='env="prod"\r\njob=~"a|b"\r\n',
            comment="upgrade",
            timezone="Asia/Tokyo",
            ends="2026-12-24T18:00",
        )
        assert reply.location == PATH
        (one,) = stored(site)
        assert (one.kind, one.chips) == ("maintenance", ["cpu", "!staging"])
        assert one.matchers == ['env="prod"', 'job=~"a|b"']
        assert one.ends_at.isoformat() == "2026-12-24T09:00:00+00:00"

    def test_shows_what_is_wrong_and_keeps_the_input(self, site):
        browser = site.browser()
        for sent, field in (
            ({"matchers": "env"}, "matchers"),
            ({"chips": "cpu", "ends": "tomorrow"}, "until"),
            ({"chips": "cpu", "ends": "2026-12-24T18:00", "timezone": "Mars"}, "until"),
            ({}, "metric"),
            ({"chips": "cpu", "recurs": "true", "local_from": "1:00"}, "local_until"),
        ):
            reply = send(browser, f"{PATH}/new", comment="kept input", **sent)
            assert reply.status_code == 400, sent
            assert f"{field}-fault" in reply.text, sent
            assert 'value="kept input"' in reply.text
        assert stored(site) == []

    def test_preview_shows_the_effect_and_stores_nothing(self, site):
        with site.database.unit_of_work():
            make_anomaly(make_metric(acme(site), "cpu.load"), minutes=None)
            make_metric(acme(site), "disk.free")
        reply = send(site.browser(), f"{PATH}/new", action="preview", chips="cpu")
        assert "1 of 2 metrics match, with 1 open anomaly." in reply.text
        assert stored(site) == []

    def test_is_about_the_metric_that_a_link_names(self, site):
        assert 'value="cpu.load"' in site.browser().get(f"{PATH}/new?metric=cpu.load").text

    def test_names_contact_points_to_tell(self, site):
        with site.database.unit_of_work():
            contact = make_contact_point(acme(site), name="On-call room").id
        browser = site.browser()
        assert "On-call room" in browser.get(f"{PATH}/new").text
        send(browser, f"{PATH}/new", chips="cpu", contacts=contact, notify_end="true")
        (one,) = stored(site)
        assert one.notify_contact_point_ids == [contact]
        assert (one.notifies_start, one.notifies_end) == (False, True)

    def test_changes_what_was_changed_only(self, site):
        with site.database.unit_of_work():
            made = make_silence(acme(site), chips=["cpu"], begins_at=now() - timedelta(seconds=90))
            before = (made.begins_at, made.ends_at)
        browser = site.browser()
        text = browser.get(f"{PATH}/{made.id}").text
        begins, ends = re.findall(r'type="datetime-local" value="(.{16})"', text)
        send(browser, f"{PATH}/{made.id}", chips="cpu", comment="new", begins=begins, ends=ends,
             timezone="UTC")  # fmt: skip
        (one,) = stored(site)
        assert (one.comment, one.begins_at, one.ends_at) == ("new", *before)

    def test_ends_one_now(self, site):
        with site.database.unit_of_work():
            made = make_silence(acme(site), chips=["cpu"]).id
        assert send(site.browser(), f"{PATH}/{made}/end").location == PATH
        (one,) = stored(site)
        assert one.ended_by == "Alice"
        page = site.browser().get(f"{PATH}/{made}").text
        assert "What it held back" in page
        assert "data-silence-form" not in page


class TestBanner:
    def test_names_the_silences_in_force(self, site):
        with site.database.unit_of_work():
            for number in range(5):
                make_silence(acme(site), comment=f"reason {number}", hours=2 + number)
            make_silence(acme(site), begins_at=now() + timedelta(hours=1), comment="not yet")
        text = site.browser().get("/ui/").text
        assert "reason 2" in text
        assert "2 more" in text
        assert "reason 3" not in text
        assert "not yet" not in text
