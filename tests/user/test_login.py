"""Signing in with a password, and delays after failures."""

from datetime import timedelta

import pytest
import time_machine
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from anomify.clock import now
from anomify.errors import QuotaExceeded, Unauthenticated
from anomify.user.login import (
    BESIEGING_NETWORKS,
    REFUSAL,
    LoginGuard,
    Origin,
    delay_seconds,
    network_of,
    sign_in_with_password,
)
from anomify.user.password import hash_password, needs_rehash
from anomify.user.queries import find_user, find_user_by_email
from tests.factories import PASSWORD, make_org, make_user

HERE = Origin("192.0.2.1")


@pytest.fixture
def bob(database):
    with database.unit_of_work():
        return make_user(make_org(), "Bob", email="bob@acme.example")


@pytest.fixture
def clock():
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as travelling:
        yield travelling


class TestSignIn:
    @pytest.mark.usefixtures("costly_password_hashes")
    def test_ignores_case_and_spaces_of_the_address_and_renews_a_weak_hash(self, database, bob):
        assert needs_rehash(bob.password_hash)
        guard = LoginGuard()
        found = sign_in_with_password(database, guard, " BOB@acme.example", PASSWORD, "::1")
        assert found.id == bob.id
        with database.unit_of_work(write=False):
            kept = find_user(bob.id)
        assert not needs_rehash(kept.password_hash)
        assert sign_in_with_password(database, guard, bob.email, PASSWORD, "::1").id == bob.id

    @pytest.mark.usefixtures("bob")
    def test_gives_the_same_error_for_known_and_unknown_addresses(self, database):
        result = []
        for email in ("bob@acme.example", "nobody@acme.example", "no address at all"):
            with pytest.raises(Unauthenticated) as refused:
                sign_in_with_password(database, LoginGuard(), email, "wrong " + PASSWORD, "::1")
            result.append((refused.value.message, refused.value.code, refused.value.fields))
        assert result == [(REFUSAL, "bad_credentials", {})] * 3

    @pytest.mark.usefixtures("bob")
    def test_hashes_also_for_unknown_addresses(self, database, monkeypatch):
        work = []

        def verify(self, hashed, password):
            work.append(extract_parameters(hashed))
            raise VerifyMismatchError

        real = hash_password("whatever it is, it takes the usual effort")
        monkeypatch.setattr(PasswordHasher, "verify", verify)
        with database.unit_of_work():
            find_user_by_email("bob@acme.example").password_hash = real
            make_user(make_org(), "Eve", email="eve@acme.example", password_hash="*")
        for email in ("bob@acme.example", "nobody@acme.example", "eve@acme.example"):
            with pytest.raises(Unauthenticated):
                sign_in_with_password(database, LoginGuard(), email, "wrong", "::1")
        assert work == [extract_parameters(real)] * 3
        assert work[0].type.name == "ID"

    @pytest.mark.usefixtures("bob", "clock")
    def test_delays_known_and_unknown_accounts_equally(self, database):
        for email in ("bob@acme.example", "nobody@acme.example"):
            guard, waits = LoginGuard(), []
            for _ in range(5):
                with pytest.raises((Unauthenticated, QuotaExceeded)) as refused:
                    sign_in_with_password(database, guard, email, "wrong", "192.0.2.1")
                waits.append(refused.value.retry_after_seconds)
            # After the second failure there is a second to wait, which this test does not.
            assert waits == [None, None, 2, 2, 2]

    def test_success_deletes_the_failures(self, database, bob):
        guard = LoginGuard()
        with pytest.raises(Unauthenticated):
            sign_in_with_password(database, guard, bob.email, "wrong", "192.0.2.1")
        sign_in_with_password(database, guard, bob.email, PASSWORD, "192.0.2.1")
        with pytest.raises(Unauthenticated):
            sign_in_with_password(database, guard, bob.email, "wrong", "192.0.2.1")
        sign_in_with_password(database, guard, bob.email, PASSWORD, "192.0.2.1")


class TestGuard:
    def test_delay_doubles_up_to_a_maximum(self):
        assert [delay_seconds(failures) for failures in range(10)] == [
            0,
            0,
            1,
            2,
            4,
            8,
            16,
            32,
            60,
            60,
        ]

    def test_delays_only_the_failing_network(self, clock):
        guard, taken = LoginGuard(), 0
        for _ in range(600):
            clock.shift(timedelta(seconds=1))
            try:
                guard.check("bob@acme.example", HERE)
            except QuotaExceeded:
                continue
            guard.fail("bob@acme.example", HERE)
            taken += 1
            for elsewhere in (
                Origin("198.51.100.1"),
                Origin("2001:db8::1"),
                Origin(HERE.address, known_client=b"known"),
            ):
                guard.check("bob@acme.example", elsewhere)
        # Two for free, then after 1, 2, 4, 8, 16 and 32 seconds, then one a minute.
        assert 14 <= taken <= 18

    def test_allows_twenty_failures_of_an_address_in_five_minutes(self, clock):
        guard = LoginGuard()
        for number in range(20):
            guard.check(f"{number}@acme.example", HERE)
            guard.fail(f"{number}@acme.example", HERE)
        clock.shift(timedelta(seconds=100))
        with pytest.raises(QuotaExceeded) as refused:
            guard.check("other@acme.example", HERE)
        assert refused.value.retry_after_seconds == 201
        guard.check("other@acme.example", Origin("192.0.2.2"))
        guard.check("other@acme.example", Origin(HERE.address, known_client=b"known"))
        clock.shift(timedelta(seconds=200))
        guard.check("other@acme.example", HERE)

    def test_counts_the_networks_of_a_wide_network_together(self, clock):
        guard, taken = LoginGuard(), 0
        for number in range(300):
            origin = Origin(f"2001:db8:7:{number:x}::1")
            clock.shift(timedelta(seconds=1))
            try:
                guard.check("bob@acme.example", origin)
            except QuotaExceeded:
                continue
            guard.fail("bob@acme.example", origin)
            taken += 1
        assert taken <= 35
        guard.check("bob@acme.example", Origin("2001:db8:8::1"))

    def test_delays_unknown_networks_while_the_account_is_besieged(self, clock):
        guard = LoginGuard()
        for number in range(BESIEGING_NETWORKS):
            assert not guard.is_besieged("bob@acme.example")
            guard.check(
                "bob@acme.example", Origin(f"198.51.100.{number}"), delays_unknown_origins=True
            )
            guard.fail("bob@acme.example", Origin(f"198.51.100.{number}"))
        assert guard.is_besieged("bob@acme.example")
        assert not guard.is_besieged("alice@acme.example")
        fresh = Origin("203.0.113.9")
        # No wait where unknown origins are not delayed, from a usual origin or a known client.
        guard.check("bob@acme.example", fresh)
        guard.check(
            "bob@acme.example", Origin("203.0.113.9", is_usual=True), delays_unknown_origins=True
        )
        known = Origin("203.0.113.9", known_client=b"known")
        guard.check("bob@acme.example", known, delays_unknown_origins=True)
        with pytest.raises(QuotaExceeded) as refused:
            guard.check("bob@acme.example", fresh, delays_unknown_origins=True)
        wait = refused.value.retry_after_seconds
        # However many others go on meanwhile.
        for number in range(200):
            with pytest.raises(QuotaExceeded):
                guard.check(
                    "bob@acme.example", Origin(f"192.0.2.{number}"), delays_unknown_origins=True
                )
        clock.shift(timedelta(seconds=wait))
        guard.check("bob@acme.example", fresh, delays_unknown_origins=True)
        clock.shift(timedelta(hours=2))
        assert not guard.is_besieged("bob@acme.example")

    def test_shared_origins_have_one_delay(self, clock):
        guard, shared = LoginGuard(), Origin("192.0.2.1", is_shared=True)
        for _ in range(3):
            clock.shift(timedelta(seconds=60))
            guard.check("code of 1", shared)
            guard.fail("code of 1", shared)
        with pytest.raises(QuotaExceeded):
            guard.check("code of 1", Origin("198.51.100.1", is_shared=True))

    def test_an_ipv6_64_counts_as_one_address(self):
        assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
        assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
        assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
        assert network_of("") == ""

    def test_limits_the_remembered_failures(self, monkeypatch):
        monkeypatch.setattr("anomify.user.login.REMEMBERED_MAX", 3)
        guard = LoginGuard()
        for number in range(10):
            guard.fail(f"{number}@acme.example", Origin(f"192.0.2.{number}"))
        assert len(guard._tries) == len(guard._addresses) == len(guard._sources) == 3


def test_the_clock_of_this_file_is_the_products(clock):
    assert now().isoformat() == "2026-11-20T12:00:00+00:00"
