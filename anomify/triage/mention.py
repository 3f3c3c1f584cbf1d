"""Mentions of users in comments: `@[Name](id)`."""

import re
from collections.abc import Sequence
from typing import Final

from anomify.user.model import User

_WRITTEN: Final = re.compile(r"@\[([^\]\n]{1,200})\]\((\d{1,10})\)")


def mention_of(user: User) -> str:
    """Return the text that mentions a user."""
    return f"@[{user.name.replace('[', '(').replace(']', ')')}]({user.id})"


def with_mentions(text: str, users: Sequence[User]) -> tuple[str, list[int]]:
    """Return a text that a person typed with its mentions written out, and the users' ids.

    `@Name` and `@address` mention the user whose full name or e-mail address that is. A name that
    several users have mentions none of them.
    """
    by_word: dict[str, User | None] = {}
    for user in users:
        name = user.name.casefold()
        by_word[name] = None if name in by_word else user
        by_word[user.email.casefold()] = user
    words = sorted((word for word in by_word if word), key=len, reverse=True)
    if words:
        choices = "|".join(map(re.escape, words))
        typed = re.compile(rf"(?<![\w@])@({choices})(?![\w@])", re.IGNORECASE)

        def written(found: re.Match[str]) -> str:
            user = by_word.get(found[1].casefold())
            return found[0] if user is None else mention_of(user)

        text = typed.sub(written, text)
    known = {user.id for user in users}
    ids = [int(found[2]) for found in _WRITTEN.finditer(text)]
    return text, [user_id for user_id in dict.fromkeys(ids) if user_id in known]


def readable(text: str) -> str:
    """Return a comment as people read it: `@Name` for a mention.

    >>> readable("@[Alice](3): look")
    '@Alice: look'
    """
    return _WRITTEN.sub(r"@\1", text)
