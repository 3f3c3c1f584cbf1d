"""Limits: buckets by a clock of the test's own, and what a reply says of them."""

import pytest

from anomify.config import Settings
from anomify.edge.access import ANYONE, PUBLIC
from anomify.edge.limits import ORG_FACTOR, RATES, REMEMBERED_MAX, Bucket, Limit, Rate, RateLimits
from anomify.errors import ConfigError
from anomify.native import login, watcher
from tests.kit.web import error, make_app, probe_blueprint


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


class TestTake:
    def test_gives_what_there_is_at_once_and_then_one_at_a_time(self, clock):
        bucket = Bucket(Rate(3, 60), clock)
        assert [bucket.take("a").remaining for _ in range(3)] == [2, 1, 0]
        assert bucket.take("a").wait_seconds == pytest.approx(20)
        clock.seconds += 20
        assert bucket.take("a").wait_seconds == 0
        assert bucket.take("a").wait_seconds == pytest.approx(20)

    def test_does_not_punish_asking_while_it_is_empty(self, clock):
        bucket = Bucket(Rate(1, 10), clock)
        bucket.take("a")
        for _ in range(100):
            assert bucket.take("a").wait_seconds == pytest.approx(10)
        clock.seconds += 10
        assert bucket.take("a").wait_seconds == 0

    def test_lets_the_rate_through_in_the_long_run_to_one_in_a_thousand(self, clock):
        bucket = Bucket(Rate(600, 60), clock)
        let = 0
        for _ in range(60_000):
            clock.seconds += 0.01
            let += bucket.take("a").wait_seconds == 0
        # Ten minutes at six hundred a minute, and the bucket that was full at first.
        assert abs(let - 6_600) <= 7

    def test_is_full_again_after_a_pause_and_never_more_than_full(self, clock):
        bucket = Bucket(Rate(5, 10), clock)
        for _ in range(5):
            bucket.take("a")
        clock.seconds += 10_000
        assert [bucket.take("a").remaining for _ in range(5)] == [4, 3, 2, 1, 0]
        assert bucket.take("a").wait_seconds > 0

    def test_keeps_askers_apart(self, clock):
        bucket = Bucket(Rate(1, 10), clock)
        bucket.take("a")
        assert bucket.take("b").wait_seconds == 0

    def test_remembers_a_bounded_number_and_forgets_the_full_ones_first(self, clock):
        bucket = Bucket(Rate(2, 100), clock)
        bucket.take("early")
        clock.seconds += 60
        bucket.take("late")
        bucket.take("late")
        for number in range(REMEMBERED_MAX):
            if number == REMEMBERED_MAX // 2:
                # Meanwhile everybody before is full again, but for the late one.
                clock.seconds += 60
                bucket.take("late")
            bucket.take(number)
        assert len(bucket._full_at) <= REMEMBERED_MAX
        assert "early" not in bucket._full_at
        assert bucket.take("late").wait_seconds > 0


class TestLimits:
    def test_an_org_has_a_larger_bucket_that_all_of_it_share(self, clock):
        limits = RateLimits(["read=2/60"], clock)
        taken = [limits.take(Limit.READ, user, 1).wait_seconds for user in range(2 * ORG_FACTOR)]
        assert taken == [0] * (2 * ORG_FACTOR)
        assert limits.take(Limit.READ, "another", 1).wait_seconds > 0
        assert limits.take(Limit.READ, "other", 2).wait_seconds == 0

    def test_may_be_changed_or_switched_off_by_class_or_altogether(self, clock):
        assert RateLimits(["login=off"], clock).take(Limit.LOGIN, "a") is None
        assert RateLimits(["login=off"], clock).take(Limit.READ, "a").rate == RATES[Limit.READ]
        assert RateLimits(["read=7/30"], clock).take(Limit.READ, "a").rate == Rate(7, 30)
        assert all(RateLimits(["off"], clock).take(limit, "a") is None for limit in Limit)

    def test_an_unknown_class_stops_the_start_with_a_sentence(self):
        with pytest.raises(ConfigError, match="no class reading"):
            RateLimits(["reading=1/1"])

    @pytest.mark.parametrize("wrong", ["read", "read=1", "read=0/60", "read=1/60s", "on"])
    def test_what_is_no_rate_is_no_setting(self, wrong):
        with pytest.raises(ValueError, match="read=1000/60"):
            Settings(rate_limits=wrong)


class TestReplies:
    def app(self, database, tmp_path, limits):
        return make_app(
            database, tmp_path, [probe_blueprint(), login.blueprint], rate_limits=limits
        )

    def test_state_the_remaining_requests_and_when_to_retry(self, database, cast, tmp_path):
        client = self.app(database, tmp_path, "read=2/60").test_client(use_cookies=False)
        bob = cast.headers("bob")
        reply = client.get("/probe/viewer", headers=bob)
        assert reply.headers["RateLimit-Limit"] == "2"
        assert reply.headers["RateLimit-Remaining"] == "1"
        assert reply.headers["RateLimit-Reset"] == "30"
        client.get("/probe/viewer", headers=bob)
        refused = client.get("/probe/editor", headers=bob)
        assert refused.status_code == 429
        assert error(refused)["code"] == "rate_limited"
        assert 0 < int(refused.headers["Retry-After"]) <= 30
        assert refused.headers["RateLimit-Remaining"] == "0"
        # Writing and other people are counted apart.
        assert client.post("/probe/editor/change", headers=bob).status_code == 200
        assert client.get("/probe/viewer", headers=cast.headers("dave")).status_code == 200

    def test_count_sign_ins_by_address_for_every_caller(self, database, cast, tmp_path):
        client = self.app(database, tmp_path, "login=2/60").test_client(use_cookies=False)

        def tried(address, headers=None):
            base = {"REMOTE_ADDR": address}
            # Each account is guarded by itself, too.
            wrong = {"email": f"{address}@acme.example", "password": "wrong"}
            reply = client.post("/login", data=wrong, headers=headers, environ_base=base)
            return reply.status_code

        assert tried("2001:db8::1") == 401
        assert tried("2001:db8::2", cast.headers("bob")) == 401
        assert tried("2001:db8::3") == 429
        assert tried("2001:db8:0:1::1") == 401

    def test_never_limit_health_checks(self, database, tmp_path):
        client = self.app(database, tmp_path, "read=1/60,write=1/60").test_client()
        for _ in range(3):
            reply = client.get(f"/probe/{PUBLIC}")
            assert reply.status_code == 200
            assert "RateLimit-Limit" not in reply.headers

    def test_count_test_messages_apart_from_what_else_the_route_does(
        self, database, cast, tmp_path
    ):
        app = make_app(database, tmp_path, [watcher.blueprint], rate_limits="test=1/60")
        client = app.test_client(use_cookies=False)

        def made(name, *, is_tested):
            requested = {"name": name, "chips": "cpu", "send_test_alert": is_tested}
            return client.post("/watcher/create", data=requested, headers=cast.headers("bob"))

        assert made("first", is_tested=True).status_code == 200
        assert made("second", is_tested=False).status_code == 200
        refused = made("third", is_tested=True)
        assert (refused.status_code, error(refused)["code"]) == (429, "rate_limited")
        listed = client.get("/watchers/list", headers=cast.headers("bob")).json["data"]
        assert [each["name"] for each in listed["watchers"]] == ["second", "first"]

    def test_store_no_session_for_an_address_that_opens_many(self, database, tmp_path):
        client = self.app(database, tmp_path, "anonymous=3/60").test_client(use_cookies=False)
        for _ in range(10):
            reply = client.get(f"/probe/{ANYONE}")
            assert reply.status_code == 200
            assert len(reply.json["status"]["session_id"]) == 32
        with database.unit_of_work(write=False) as session:
            kept = session.connection().exec_driver_sql("SELECT count(*) FROM sessions").scalar()
        assert kept == 3
