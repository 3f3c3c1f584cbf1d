"""Proxies and encryption: which headers determine the client, and what plain http may do."""

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
    """Return the address that is stored with an anonymous session."""

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
    def test_is_required_from_other_machines_if_base_url_uses_it(self, ask):
        refused = ask(**SECURE)
        assert (refused.status_code, error(refused)["code"]) == (403, "https_required")
        assert "Location" not in refused.headers
        for method in ("POST", "PUT"):
            assert ask("/nothing", method=method, **SECURE).status_code == 403

    def test_redirects_pages_to_the_configured_host_whatever_the_host_header(self, ask):
        reply = ask("/ui/login?next=/ui/metrics", headers={"Host": "evil.example"}, **SECURE)
        assert reply.status_code == 308
        assert reply.location == "https://anomify.example/ui/login?next=/ui/metrics"

    def test_does_not_redirect_forever_behind_an_untrusted_proxy(self, ask):
        reply = ask("/ui/login", headers={"X-Forwarded-Proto": "https"}, **SECURE)
        assert reply.status_code == 403
        assert "trusted_proxies" in reply.text

    def test_is_accepted_only_from_a_trusted_proxy(self, ask):
        says = {"X-Forwarded-Proto": "https", "X-Forwarded-For": ELSEWHERE}
        trusted = {**SECURE, "trusted_proxies": PROXY}
        assert ask(address=PROXY, headers=says, **trusted).status_code == 200
        assert ask(address=ELSEWHERE, headers=says, **trusted).status_code == 403
        plain = {"X-Forwarded-Proto": "http", "X-Forwarded-For": ELSEWHERE}
        assert ask(address=PROXY, headers=plain, **trusted).status_code == 403

    def test_is_not_required_on_this_machine_or_for_health_checks(self, ask):
        assert ask(address="127.0.0.1", **SECURE).status_code == 200
        assert ask(address="::1", **SECURE).status_code == 200
        assert ask("/-/healthy", **SECURE).status_code == 200

    def test_is_required_or_not_as_the_setting_says(self, ask):
        assert ask().status_code == 200
        assert ask(require_https=True).status_code == 403
        assert ask(require_https=False, **SECURE).status_code == 200
        assert ask(insecure_http=True, **SECURE).status_code == 200
