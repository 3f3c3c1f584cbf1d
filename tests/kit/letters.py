"""Letters that were enqueued but not sent yet, as their recipients would read them."""

import re
from urllib.parse import parse_qsl, urlsplit

from anomify.clock import now
from anomify.db import Database
from anomify.org.letter import ClaimedLetter, claim_letters, settle_letter

LETTERS_MAX = 100


def read_letters(database: Database, to: str | None = None) -> list[ClaimedLetter]:
    """Remove all enqueued letters, and return those for one address."""
    with database.unit_of_work():
        letters = claim_letters(now(), LETTERS_MAX)
        for letter in letters:
            settle_letter(letter.id, letter.leased_until, now(), problem=None)
    return [letter for letter in letters if to in {None, letter.to}]


def code_in(letter: ClaimedLetter) -> str:
    """The six digits of a letter."""
    return _first(r"\b\d{6}\b", letter.text)


def link_in(letter: ClaimedLetter) -> tuple[str, dict[str, str]]:
    """The path of a letter's first link, and what it carries."""
    parts = urlsplit(_first(r"http\S+", letter.text))
    return parts.path, dict(parse_qsl(parts.query))


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, f"there is no {pattern} in {text!r}"
    return found[0]
