"""Passwords: the strength rule, and the same work for users who do not exist."""

import pytest
from argon2 import PasswordHasher

from anomify.errors import Invalid
from anomify.user import password as passwords
from anomify.user.password import (
    COMMON,
    check_password_rule,
    hash_password,
    needs_rehash,
    verify_password,
)
from tests.factories import PASSWORD, PASSWORD_HASH


class TestRule:
    @pytest.mark.parametrize(
        "good", [PASSWORD, "Grün sind 7 Öfen", "   stille Post   ", "漢字仮名交じり文を書いて"]
    )
    def test_accepts_any_characters(self, good):
        check_password_rule(good)

    @pytest.mark.parametrize("bad", ["", "x" * 11, "xy" * 129, "z" * 12, "PASSWORD1234"])
    def test_refuses_short_long_and_well_known_passwords(self, bad):
        with pytest.raises(Invalid):
            check_password_rule(bad)

    @pytest.mark.parametrize(
        "bad", ["qwertyuiop12", "aaaaaabbbbbb", "password12345", "abcdefghijkl"]
    )
    def test_refuses_easily_guessed_passwords(self, bad):
        with pytest.raises(Invalid, match="guessed"):
            check_password_rule(bad)

    def test_refuses_passwords_made_of_facts_about_the_user(self):
        check_password_rule("Lichtenberger1987")
        with pytest.raises(Invalid) as refused:
            check_password_rule("Lichtenberger1987", known=["Lichtenberger"], field="password_1")
        assert set(refused.value.fields) == {"password_1"}

    def test_measures_only_the_beginning_of_a_long_password(self):
        check_password_rule("tulip anchor 92 " * 16)

    def test_common_passwords_are_long_enough(self):
        long_enough = {known for known in COMMON if len(known) >= 12}
        assert COMMON - long_enough == set()


@pytest.mark.usefixtures("costly_password_hashes")
class TestVerify:
    def test_accepts_the_right_password(self):
        kept = hash_password(PASSWORD)
        assert kept.startswith("$argon2id$")
        assert verify_password(kept, PASSWORD)
        assert not verify_password(kept, PASSWORD + " ")
        assert not needs_rehash(kept)

    def test_hashes_for_a_missing_user_and_returns_false(self, monkeypatch):
        worked = []

        class Counting:
            def verify(self, kept, tried):
                worked.append((kept.split("$")[1:4], len(tried)))
                return PasswordHasher().verify(kept, tried)

            def hash(self, text):
                return PasswordHasher().hash(text)

        kept = hash_password(PASSWORD)
        monkeypatch.setattr(passwords, "_hasher", Counting())
        assert not verify_password(None, PASSWORD)
        assert verify_password(kept, PASSWORD)
        assert worked[0] == worked[1]

    def test_a_weak_hash_needs_a_rehash(self):
        assert needs_rehash(PASSWORD_HASH)

    def test_a_broken_hash_matches_no_password(self):
        assert not verify_password("broken", PASSWORD)
