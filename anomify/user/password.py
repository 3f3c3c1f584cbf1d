"""Check the strength of passwords, hash them and compare them."""

import hmac
from collections.abc import Sequence
from functools import cache, partial

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from anomify.errors import Invalid
from anomify.user.hashing import in_turn

CHARACTERS_MIN = 12
CHARACTERS_MAX = 256
# On a scale from 0 to 4; lower scores would be found in a few million well-chosen guesses.
STRENGTH_MIN = 3
# Only the beginning of a longer password is measured, because the time grows with the length.
MEASURED_CHARACTERS = 72
# Passwords that score well but are well known, as examples or because of the product's name.
COMMON = frozenset(
    {
        "anomify12345",
        "anomify123456",
        "anomifyanomify",
        "changemechangeme",
        "correct horse battery staple",
        "correcthorsebatterystaple",
        "trustno1trustno1",
    }
)
HASH_BEGINS = "$argon2id$"
_hasher = PasswordHasher()


def check_password_rule(
    password: str, *, known: Sequence[str] = (), field: str = "password"
) -> None:
    """Raise `Invalid` for a password that is too short, too long or too easily guessed.

    `known` holds facts that others may know about the user, such as name and address; `field` is
    the name of the password in the form.
    """
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise Invalid(
            f"A password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters.",
            fields={field: f"{CHARACTERS_MIN} to {CHARACTERS_MAX} characters."},
        )
    if password.lower() in COMMON or len(set(password)) == 1:
        raise Invalid(
            "This password is among the first that anybody would try; choose another one.",
            fields={field: "Choose one that is not so well known."},
        )
    measured = zxcvbn(password[:MEASURED_CHARACTERS], user_inputs=list(known))
    if measured["score"] < STRENGTH_MIN:
        raise Invalid(
            "This password is easily guessed; a few unrelated words make a good one.",
            fields={field: "Choose one that is harder to guess."},
        )


def same_password(password_1: str, password_2: str) -> str:
    """Return the password that was typed twice. Raises `Invalid` if the two differ."""
    if not hmac.compare_digest(password_1.encode(), password_2.encode()):
        raise Invalid(
            "The two passwords are not the same; type it twice.",
            fields={"password_2": "Type the same password again."},
        )
    return password_1


def hash_password(password: str) -> str:
    """Return the hash of a password; slow on purpose, at most one per core at a time.

    Raises `Unavailable` if too many are being hashed.
    """
    return in_turn(partial(_hasher.hash, password))


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether the password is the one that was hashed.

    Pass None for a user who does not exist: then, and for a user without a password, the same work
    is done and False is returned. Raises `Unavailable` if too many are being hashed.
    """
    # No password is longer, so hashing the rest would be useless work.
    tried = password[: CHARACTERS_MAX + 1]
    # The response time must not reveal that a user has no password and signs in by other means.
    kept = password_hash or ""
    has_one = kept.startswith(HASH_BEGINS)
    try:
        in_turn(partial(_hasher.verify, kept if has_one else _hash_of_no_user(), tried))
    except (VerificationError, InvalidHashError):
        return False
    return has_one


def needs_rehash(password_hash: str) -> bool:
    """Return whether a password was hashed with weaker parameters than the current ones."""
    return _hasher.check_needs_rehash(password_hash)


@cache
def _hash_of_no_user() -> str:
    return _hasher.hash("nobody's password, which no rule would let anybody choose")
