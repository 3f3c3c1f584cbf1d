"""Proxies and encryption: whose word counts for who asks, and what is refused over plain http."""

import pytest

from anomify.dashboard import inbox, metrics_page, sign_in
from anomify.native import operators
from tests.kit.web import error, make_app, probe_blueprint

ELSEWHERE = "198.51.100.7"
PROXY = "192.0.2.1"
SECURE = {"public_url": "https://anomify.example"}


@pytest.fixture
def ask(database, tmp_path):
    apps = []

    def ask(path="/probe/anyone", address=ELSEWHERE, method="GET", headers=None, **settings):
        pages = [sign_in.blueprint, inbox.blueprint, metrics_page.blueprint]
        blueprints = [probe_blueprint(), operators.blueprint, *pages]
        apps.append(make_app(database, tmp_path, blueprints, **settings))
        client = apps[-1].test_client(use_cookies=False)
        base = {"REMOTE_ADDR": address}
        return client.open(path, method=method, headers=headers, environ_base=base)

    yield ask
    for app in apps:
        app.extensions["anomify"].points.close()


@pytest.fixture
def seen(database, ask):
    """The address that a stranger's session is kept with."""

    def seen(forwarded, address=PROXY, trusted="192.0.2.0/24,10.0.0.0/8"):
        reply = ask(
            address=address, headers={"X-Forwarded-For": forwarded}, trusted_proxies=trusted
        )
        assert reply.status_code == 200
        with database.unit_of_work(write=False) as session:
            return (
                session.connection()
                .exec_driver_sql("SELECT address FROM sessions ORDER BY created_at DESC LIMIT 1")
                .scalar()
            )

    return seen


class TestAddress:
    @pytest.mark.parametrize(
        ("forwarded", "expected"),
        [
            ("203.0.113.5", "203.0.113.5"),
            ("203.0.113.5, 10.1.1.1", "203.0.113.5"),
            # Whatever the client claimed comes before what the proxy saw.
            ("8.8.8.8, 203.0.113.5", "203.0.113.5"),
            ("2001:db8::5", "2001:db8::5"),
            ("[2001:db8::5]:4711", "2001:db8::5"),
            ("203.0.113.5:4711", "203.0.113.5"),
            ("::ffff:203.0.113.5", "203.0.113.5"),
            ("10.1.1.1", "10.1.1.1"),
            ("nonsense", PROXY),
            ("203.0.113.5, nonsense", PROXY),
            ("", PROXY),
        ],
    )
    def test_is_the_nearest_that_is_no_proxy_of_ours(self, seen, forwarded, expected):
        assert seen(forwarded) == expected

    def test_is_the_peers_own_where_it_is_not_trusted(self, seen):
        assert seen("203.0.113.5", address=ELSEWHERE) == ELSEWHERE
        assert seen("203.0.113.5", trusted="") == PROXY


class TestHttps:
    def test_is_demanded_from_elsewhere_where_people_reach_us_by_it(self, ask):
        refused = ask(**SECURE)
        assert (refused.status_code, error(refused)["code"]) == (403, "https_required")
        assert "Location" not in refused.headers
        for method in ("POST", "PUT"):
            assert ask("/nothing", method=method, **SECURE).status_code == 403

    def test_leads_readers_of_pages_to_our_own_name_whatever_host_they_asked_for(self, ask):
        reply = ask("/ui/login?next=/ui/metrics", headers={"Host": "evil.example"}, **SECURE)
        assert reply.status_code == 308
        assert reply.location == "https://anomify.example/ui/login?next=/ui/metrics"

    def test_leads_nobody_in_circles_behind_a_proxy_that_is_not_trusted(self, ask):
        reply = ask("/ui/login", headers={"X-Forwarded-Proto": "https"}, **SECURE)
        assert reply.status_code == 403
        assert "trusted_proxies" in reply.text

    def test_counts_where_a_trusted_proxy_says_so_and_nobody_else(self, ask):
        says = {"X-Forwarded-Proto": "https", "X-Forwarded-For": ELSEWHERE}
        trusted = {**SECURE, "trusted_proxies": PROXY}
        assert ask(address=PROXY, headers=says, **trusted).status_code == 200
        assert ask(address=ELSEWHERE, headers=says, **trusted).status_code == 403
        plain = {"X-Forwarded-Proto": "http", "X-Forwarded-For": ELSEWHERE}
        assert ask(address=PROXY, headers=plain, **trusted).status_code == 403

    def test_is_not_demanded_on_this_machine_or_of_who_looks_whether_we_live(self, ask):
        assert ask(address="127.0.0.1", **SECURE).status_code == 200
        assert ask(address="::1", **SECURE).status_code == 200
        assert ask("/-/healthy", **SECURE).status_code == 200

    def test_may_be_demanded_or_not_by_setting(self, ask):
        assert ask().status_code == 200
        assert ask(require_https=True).status_code == 403
        assert ask(require_https=False, **SECURE).status_code == 200
        assert ask(insecure_http=True, **SECURE).status_code == 200
