"""The pages of patterns, matches and proposals: empty, full, and for whom."""

import re
from datetime import timedelta
from html import unescape

import pytest

from anomify.clock import now
from anomify.db import session
from anomify.match.model import Match, Validated
from anomify.org.model import Org
from anomify.pattern.model import Pattern, PatternOrigin, PatternState, WouldHide
from tests.factories import make_anomaly, make_match, make_pattern

LISTS = ("/ui/patterns", "/ui/matches", "/ui/proposals")


@pytest.fixture
def learnt(site):
    """A pattern of Acme with its twin, and two matches, one of which became an anomaly."""
    metric = site.make_metric("shop.import")
    with site.database.unit_of_work():
        anomaly = make_anomaly(metric, now() - timedelta(days=2))
        anomaly.expected, anomaly.label = True, "Import"
        week = make_pattern(metric, anomaly, duration_seconds=604_800, label="Import")
        day = make_pattern(metric, anomaly, parent_id=week.id, group_id=week.id, label="echo")
        quiet = make_match(week, now() - timedelta(days=1))
        outgrown = make_match(
            day,
            now() - timedelta(hours=20),
            outgrown_by_anomaly_id=anomaly.id,
            outgrown_reason="Like “Import”, but longer.",
        )
    site.metric, site.anomaly, site.week, site.day = metric, anomaly, week, day
    site.quiet, site.outgrown = quiet, outgrown
    return site


@pytest.fixture
def proposed(site):
    """A proposal of Acme that would have hidden seven anomalies."""
    metric = site.make_metric("queue.depth")
    with site.database.unit_of_work() as unit:
        found = make_pattern(
            metric,
            state=PatternState.PROPOSED,
            origin=PatternOrigin.LEARNT,
            creator_type="machine",
            created_by="Anomify",
            state_by="Anomify",
            state_reason="It recurred on 7 days.",
            label="",
        )
        for days in range(7):
            anomaly = make_anomaly(metric, now() - timedelta(days=days + 1))
            hidden = WouldHide(
                pattern_id=found.id, anomaly_id=anomaly.id, similarity=95.0, found_at=now()
            )
            unit.add(hidden)
    site.proposal = found
    return site


def words(text: str) -> str:
    """Return the text of a page without tags, and with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def post(site, path: str, who: str = "alice", **fields):
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    return site.browser(who).post(path, data=fields, headers=headers)


def state_of(site, pattern: Pattern) -> str:
    with site.database.unit_of_work(write=False):
        return session().get_one(Pattern, pattern.id).state


class TestEmpty:
    @pytest.mark.parametrize(
        ("path", "sentence"),
        [
            ("/ui/patterns", "When an anomaly is normal, such as a nightly backup, say so once"),
            ("/ui/patterns?state=unused", "They can be enabled again."),
            ("/ui/matches", "it is no anomaly and nobody is notified"),
            ("/ui/matches?said=valid", "There may be others in the last 30 days."),
            ("/ui/proposals", "it is proposed here with the anomalies"),
            ("/ui/?state=trained", "once a person has called it expected"),
            ("/ui/?state=matched", "when a pattern explained it while it ran"),
        ],
    )
    def test_teaches_what_will_be_listed(self, site, path, sentence):
        site.make_metric()
        assert sentence in words(site.text(path))

    @pytest.mark.parametrize("path", LISTS)
    def test_states_that_nothing_was_spared(self, site, path):
        text = words(site.text(path))
        assert "1.0 alarms" not in text
        assert re.search("Patterns 0 Matches 0 Proposals 0", text)


class TestPatterns:
    def test_shows_the_patterns_of_one_training_as_one(self, learnt):
        text = words(learnt.text("/ui/patterns"))
        assert text.count("“Import”") == 1
        assert "from the 24 hours and 7 days before it" in text
        assert "Explained 2 times" in text
        assert "none judged yet" in text
        assert "Patterns 1 Matches 1 Proposals 0" in text

    def test_shows_how_many_alarms_were_spared_with_a_link_to_them(self, learnt):
        text = learnt.text("/ui/patterns")
        assert "0.2 alarms a week" in words(text)
        assert '<a href="/ui/matches">See each of them</a>' in text

    def test_shows_those_of_one_metric(self, learnt):
        other = learnt.make_metric("other")
        assert "“Import”" in learnt.text("/ui/patterns", metric="shop.import")
        assert "“Import”" not in learnt.text("/ui/patterns", metric=other.name)

    def test_shows_what_was_called_unexpected(self, learnt):
        with learnt.database.unit_of_work():
            make_pattern(learnt.metric, positive=True, label="The import hung")
        text = words(learnt.text("/ui/patterns"))
        assert "Unexpected “The import hung”" in text
        assert "Always reported" in text

    def test_shows_hostile_labels_as_text(self, learnt):
        with learnt.database.unit_of_work():
            make_pattern(learnt.metric, label='"><svg onload=alert(1)>')
        for path in ("/ui/patterns", f"/ui/pattern/{learnt.week.id}"):
            assert "<svg onload" not in learnt.text(path)


class TestPattern:
    def test_shows_the_figures_and_matches_of_all_its_windows(self, learnt):
        for pattern in (learnt.week, learnt.day):
            text = learnt.text(f"/ui/pattern/{pattern.id}")
            assert "Explained 2 times" in words(text)
            assert f'href="/ui/match/{learnt.quiet.id}"' in text
            assert f'href="/ui/match/{learnt.outgrown.id}"' in text
            assert "Like “Import”, but longer. It became an anomaly." in words(text)
            assert f"/pattern/{pattern.id}/graph?" in text

    def test_lists_what_is_disabled_with_it(self, learnt):
        text = words(learnt.text(f"/ui/pattern/{learnt.week.id}"))
        assert "Disabled with it" in text
        assert "24 hours, in use" in text

    def test_is_disabled_and_enabled_with_the_others_of_its_training(self, learnt):
        reply = post(learnt, f"/ui/pattern/{learnt.day.id}/disable", back="/ui/patterns")
        assert (reply.status_code, reply.location) == (303, "/ui/patterns")
        both = (learnt.week, learnt.day)
        assert [state_of(learnt, one) for one in both] == ["disabled"] * 2
        assert "Disabled since" in words(learnt.text(f"/ui/pattern/{learnt.week.id}"))
        assert "“Import”" in learnt.text("/ui/patterns", state="unused")
        reply = post(learnt, f"/ui/pattern/{learnt.day.id}/enable")
        assert reply.location == f"/ui/pattern/{learnt.day.id}"
        assert [state_of(learnt, one) for one in both] == ["active"] * 2

    def test_returns_to_pages_of_this_site_only(self, learnt):
        path = f"/ui/pattern/{learnt.week.id}/disable"
        assert post(learnt, path, back="https://elsewhere.example/ui/").location == "/ui/"

    def test_refuses_to_disable_what_is_disabled(self, learnt):
        path = f"/ui/pattern/{learnt.week.id}/disable"
        assert post(learnt, path).status_code == 303
        assert post(learnt, path).status_code == 409


class TestMatches:
    def test_lists_each_with_the_reason(self, learnt):
        text = words(learnt.text("/ui/matches"))
        assert "Like “Import”, marked as expected by Alice: 93 % similar" in text
        assert text.count("shop.import") >= 2

    def test_is_narrowed_to_what_people_said(self, learnt):
        assert (
            post(learnt, f"/ui/match/{learnt.quiet.id}/validate", valid="true").status_code == 303
        )
        assert f"/ui/match/{learnt.quiet.id}" in learnt.text("/ui/matches", said="valid")
        assert f"/ui/match/{learnt.quiet.id}" not in learnt.text("/ui/matches", said="unset")


class TestMatch:
    def test_shows_its_pictures_and_its_pattern(self, learnt):
        text = learnt.text(f"/ui/match/{learnt.quiet.id}")
        for theme in ("light", "dark"):
            assert f"/match/{learnt.quiet.id}/graph?theme={theme}" in text
            assert f"/match/{learnt.quiet.id}/motif/graph?theme={theme}" in text
        assert f'href="/ui/pattern/{learnt.week.id}"' in text

    def test_leads_nowhere_where_the_anomaly_that_it_became_is_deleted(self, learnt):
        with learnt.database.unit_of_work():
            session().get_one(Match, learnt.outgrown.id).outgrown_by_anomaly_id = None
        text = learnt.text(f"/ui/match/{learnt.outgrown.id}")
        assert "It became an anomaly, which has been deleted since." in words(text)
        assert 'href="None"' not in text

    def test_has_no_close_up_where_no_shapes_were_compared(self, learnt):
        with learnt.database.unit_of_work():
            usual = make_match(
                learnt.week, now() - timedelta(hours=5), kind="usual", motif_index=None
            )
        assert "motif/graph" not in learnt.text(f"/ui/match/{usual.id}")

    def test_is_called_right_and_then_wrong(self, learnt):
        path = f"/ui/match/{learnt.quiet.id}"
        assert post(learnt, f"{path}/validate", valid="true").location == path
        assert "Called right by Alice" in words(learnt.text(path))
        assert "100 % right of 1 judged" in words(learnt.text("/ui/patterns"))
        assert post(learnt, f"{path}/validate", valid="true").status_code == 409
        assert (
            post(learnt, f"{path}/validate", valid="false", back="/ui/matches").status_code == 303
        )
        with learnt.database.unit_of_work(write=False):
            found = session().get_one(Match, learnt.quiet.id)
            assert (found.validated, found.validated_by) == (Validated.INVALID, "Alice")


class TestProposals:
    def test_shows_what_each_would_have_hidden(self, proposed):
        text = words(proposed.text("/ui/proposals"))
        assert "It recurred on 7 days." in text
        assert "Would have hidden 7" in text
        assert "2 more" in text
        text = words(proposed.text(f"/ui/pattern/{proposed.proposal.id}"))
        assert "7 anomalies of the past" in text

    def test_is_accepted(self, proposed):
        path = f"/ui/pattern/{proposed.proposal.id}/enable"
        assert post(proposed, path, back="/ui/proposals").location == "/ui/proposals"
        assert state_of(proposed, proposed.proposal) == "active"
        assert "Nothing is proposed" in words(proposed.text("/ui/proposals"))

    def test_is_refused(self, proposed):
        post(proposed, f"/ui/pattern/{proposed.proposal.id}/disable")
        assert state_of(proposed, proposed.proposal) == "disabled"

    def test_is_switched_off_by_admins_only(self, proposed):
        assert "Switch proposals off" in proposed.text("/ui/proposals")
        reply = post(proposed, "/ui/proposals/learning", learning="false")
        assert reply.status_code == 303
        with proposed.database.unit_of_work(write=False):
            assert session().get_one(Org, proposed.cast.acme.id).learns_patterns is False
        assert state_of(proposed, proposed.proposal) == "retired"
        text = words(proposed.text("/ui/proposals"))
        assert "Proposals are switched off" in text
        assert "Switch proposals on" in text


class TestAccess:
    def test_another_org_finds_nothing(self, learnt):
        for path in (f"/ui/pattern/{learnt.week.id}", f"/ui/match/{learnt.quiet.id}"):
            assert learnt.get(path, who="charlie").status_code == 404
        for path in (
            f"/ui/pattern/{learnt.week.id}/disable",
            f"/ui/pattern/{learnt.week.id}/enable",
        ):
            assert post(learnt, path, "charlie").status_code == 404
        path = f"/ui/match/{learnt.quiet.id}/validate"
        assert post(learnt, path, "charlie", valid="false").status_code == 404
        for path in LISTS:
            assert "Import" not in learnt.text(path, who="charlie")
        assert learnt.get("/ui/matches", "charlie", metric="shop.import").status_code == 404

    def test_a_viewer_sees_all_and_can_change_nothing(self, learnt):
        for path in (*LISTS, f"/ui/pattern/{learnt.week.id}", f"/ui/match/{learnt.quiet.id}"):
            text = learnt.text(path, who="dave")
            assert not re.search(r'action="/ui/(pattern|match|proposals)/', text), path
        for path, fields in (
            (f"/ui/pattern/{learnt.week.id}/disable", {}),
            (f"/ui/pattern/{learnt.week.id}/enable", {}),
            (f"/ui/match/{learnt.quiet.id}/validate", {"valid": "true"}),
            ("/ui/proposals/learning", {"learning": "false"}),
        ):
            assert post(learnt, path, "dave", **fields).status_code == 403
        assert state_of(learnt, learnt.week) == "active"

    def test_nobody_is_sent_to_the_sign_in_page(self, learnt):
        for path in (*LISTS, f"/ui/pattern/{learnt.week.id}", f"/ui/match/{learnt.quiet.id}"):
            reply = learnt.get(path, who=None)
            assert reply.status_code == 302
            assert reply.location.startswith("/ui/login")

    def test_other_sites_cannot_change_anything(self, learnt):
        headers = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
        path = f"/ui/pattern/{learnt.week.id}/disable"
        assert learnt.browser().post(path, headers=headers).status_code == 403
        assert state_of(learnt, learnt.week) == "active"
