"""The pages of watchers: the list, and the editor without a script."""

from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from anomify.clock import now
from anomify.db import session
from anomify.watcher.model import Watcher, WatcherContact
from tests.dashboard.conftest import Site
from tests.factories import make_anomaly, make_contact_point, make_metric, make_watcher

PATH = "/ui/watchers"


def send(site: Site, path: str, who: str = "bob", **form: Any) -> TestResponse:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    return site.browser(who).post(path, data=form, headers=headers)


def stored(site: Site) -> list[Watcher]:
    with site.database.unit_of_work(write=False):
        return list(session().scalars(select(Watcher).order_by(Watcher.id)))


class TestList:
    def test_says_what_a_watcher_is_where_there_is_none(self, site: Site) -> None:
        assert "Nobody is told yet" in site.text(PATH)
        assert "Add watcher" not in site.text(PATH, "dave")

    def test_shows_what_is_wrong(self, site: Site) -> None:
        with site.database.unit_of_work():
            make_watcher(site.cast.acme, "shop", name="Shop", is_alerting=True)
        assert "no contact point is chosen" in site.text(PATH)

    def test_brings_a_deleted_one_back(self, site: Site) -> None:
        with site.database.unit_of_work():
            made = make_watcher(site.cast.acme, "shop", name="Shop")
        assert send(site, f"{PATH}/{made.id}/delete").status_code == 303
        assert "1 deleted" in site.text(PATH)
        assert send(site, f"{PATH}/{made.id}/undelete").status_code == 303
        assert stored(site)[0].deleted_at is None


class TestEditor:
    def test_saves_every_field_and_shows_it_again(self, site: Site) -> None:
        with site.database.unit_of_work():
            point = make_contact_point(site.cast.acme)
            later = make_contact_point(site.cast.acme)
        bob = site.cast.bob.id
        reply = send(
            site,
            f"{PATH}/new",
            chips="shop, env=prod, !test",
            name="Shop",
            alert="true",
            severity="medium",
            contact_point_ids=point.id,
            email_user_ids=bob,
            expiration_time="2",
            expiration_time_unit="hour",
            reminder_seconds="30",
            sustain_seconds="1.5",
            group_interval_seconds="5",
            escalation_minutes_1="15",
            escalation_contact_1=later.id,
            operator="greater",
            value="90",
            times_in_a_row="3",
            function="mean",
            function_seconds="600",
            summary_report_frequency="weekly-monday",
            summary_report_user_ids=bob,
        )
        assert reply.status_code == 303, reply.get_data(as_text=True)
        [made] = stored(site)
        assert (made.chips, made.severity, made.expiration_seconds) == (
            ["shop", "env=prod", "!test"],
            "medium",
            7200,
        )
        assert (made.reminder_seconds, made.sustain_seconds, made.escalation_minutes) == (
            1800,
            90,
            [15],
        )
        assert (made.threshold_operator, made.threshold_value, made.threshold_times) == (
            "greater",
            90.0,
            3,
        )
        assert (made.summary_report_frequency, made.summary_report_user_ids) == (
            "weekly-monday",
            [bob],
        )
        with site.database.unit_of_work(write=False):
            steps = session().scalars(select(WatcherContact.step)).all()
        assert sorted(steps) == [0, 0, 1]
        text = site.text(f"{PATH}/{made.id}")
        for shown in ('value="shop, env=prod, !test"', 'value="1.5"', 'value="15"', 'value="600"'):
            assert shown in text
        unchanged = send(site, f"{PATH}/{made.id}", chips="shop", expiration_time="1")
        assert unchanged.status_code == 303
        assert stored(site)[0].threshold_operator is None

    def test_names_each_wrong_field_and_keeps_what_was_typed(self, site: Site) -> None:
        reply = send(
            site,
            f"{PATH}/new",
            chips="shop",
            alert="true",
            expiration_time="x",
            summary_report_frequency="daily",
        )
        assert reply.status_code == 400
        text = reply.get_data(as_text=True)
        assert "A number is needed." in text
        assert 'value="shop"' in text
        assert stored(site) == []

    def test_shows_what_matches_and_what_could_be_added(self, site: Site) -> None:
        with site.database.unit_of_work():
            for name in ('shop.orders{env="prod"}', "shop.errors", "cpu"):
                make_metric(site.cast.acme, name)
        reply = send(site, f"{PATH}/new", chips="shop", expiration_time="1", action="preview")
        text = reply.get_data(as_text=True)
        assert "<b>2 metrics</b> now" in text
        assert 'value="env=prod"' in text
        added = send(site, f"{PATH}/new", chips="shop", expiration_time="1", add="env=prod")
        assert 'value="shop, env=prod"' in added.get_data(as_text=True)
        assert stored(site) == []

    def test_tries_it_on_the_past(self, site: Site) -> None:
        with site.database.unit_of_work():
            make_anomaly(make_metric(site.cast.acme, "shop.orders"), now())
        reply = send(site, f"{PATH}/new", chips="shop", expiration_time="1", action="backtest")
        assert "Would have told you once in 30 days." in reply.get_data(as_text=True)
        assert stored(site) == []

    def test_shows_what_came_of_a_test(self, site: Site) -> None:
        with site.database.unit_of_work():
            made = make_watcher(site.cast.acme, "shop", webhook_url="http://127.0.0.1:9/x")
        reply = send(site, f"{PATH}/{made.id}/test")
        assert reply.status_code == 200
        assert "Test messages" in reply.get_data(as_text=True)

    @pytest.mark.parametrize("who", ["dave", "charlie"])
    def test_lets_nobody_else_change_one(self, site: Site, who: str) -> None:
        with site.database.unit_of_work():
            made = make_watcher(site.cast.acme, "shop")
        own = f"{PATH}/{made.id}"
        for path, form in ((own, {"chips": "x"}), (f"{own}/delete", {}), (f"{own}/test", {})):
            assert send(site, path, who, **form).status_code in {403, 404}
        assert stored(site)[0].chips == ["shop"]
