"""The person or program that changes something."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: a user with their id, or a token without."""

    name: str
    user_id: int | None = None
    # May change the comments of others.
    is_admin: bool = False

    def is_author(self, author_id: int | None, author: str) -> bool:
        """Return whether something with this author was written by this actor."""
        if self.user_id is None:
            return author_id is None and author == self.name
        return author_id == self.user_id
