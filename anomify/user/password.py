"""Passwords: which are good enough, and how they are kept and compared."""

import os
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from anomify.errors import Invalid

CHARACTERS_MIN = 12
CHARACTERS_MAX = 256
# Long enough for the rule above and yet among the first that anybody tries.
COMMON = frozenset(
    {
        "000000000000",
        "111111111111",
        "112233445566",
        "123123123123",
        "1234567890ab",
        "123456789012",
        "1234567890123",
        "1234567891011",
        "123456789abc",
        "1q2w3e4r5t6y",
        "1qaz2wsx3edc",
        "aaaaaaaaaaaa",
        "abc123abc123",
        "abcdefghijkl",
        "administrator",
        "anomify12345",
        "anomifyanomify",
        "changemechangeme",
        "correcthorsebatterystaple",
        "iloveyou1234",
        "letmeinletmein",
        "monkeymonkey",
        "password1234",
        "password12345",
        "password123456",
        "passwordpassword",
        "qazwsxedcrfv",
        "qwerty123456",
        "qwertyqwerty",
        "qwertyuiop12",
        "qwertyuiop123",
        "qwertyuiopasdf",
        "trustno1trustno1",
        "welcome12345",
        "welcomewelcome",
    }
)
# Each hash takes 64 MiB and a core for a while; more at once would only make all of them slower.
_turns = threading.BoundedSemaphore(os.cpu_count() or 1)
_hasher = PasswordHasher()


def check_password_rule(password: str) -> None:
    """Raise `Invalid` for a password that is too short, too long or too well known."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise Invalid(
            f"A password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters.",
            fields={"password": f"{CHARACTERS_MIN} to {CHARACTERS_MAX} characters."},
        )
    if password.lower() in COMMON or len(set(password)) == 1:
        raise Invalid(
            "This password is among the first that anybody would try; choose another one.",
            fields={"password": "Choose one that is not so well known."},
        )


def hash_password(password: str) -> str:
    """Return what is kept of a password; slow on purpose, and never more at once than cores."""
    with _turns:
        return _hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Tell whether the password is the one that was hashed.

    For somebody who does not exist, pass None: the same work is done, and the answer is no.
    """
    # Longer ones are nobody's, and hashing them would only be work.
    tried = password[: CHARACTERS_MAX + 1]
    with _turns:
        try:
            _hasher.verify(password_hash or _nobodys_hash(), tried)
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Tell whether a password was hashed with less effort than is usual now."""
    return _hasher.check_needs_rehash(password_hash)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody's password, which no rule would let anybody choose")
