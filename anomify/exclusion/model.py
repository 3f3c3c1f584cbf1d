"""Tables: exclusion rules, and how often the excluded metrics of an org have changed."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime

PATTERN_CHARACTERS_MAX = 512
REASON_CHARACTERS_MAX = 500


class Exclusion(Base):
    """A rule: metrics whose names it matches are stored, but neither judged nor counted."""

    __tablename__ = "exclusions"
    __table_args__ = (
        UniqueConstraint("org_id", "kind", "pattern"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # One of predicate.ExclusionKind.
    kind: Mapped[str] = mapped_column(String(16))
    pattern: Mapped[str] = mapped_column(String(PATTERN_CHARACTERS_MAX))
    reason: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Empty for a rule that stays until it is deleted.
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)

    @property
    def name(self) -> str:
        """Return the kind and the pattern, by which people identify the rule."""
        return f"{self.kind} {self.pattern}"


class ExclusionChange(Base):
    """How often the set of excluded metrics of an org has changed; the count only grows.

    The worker reads this in every tick, and the metrics only when it has changed.
    """

    __tablename__ = "exclusion_changes"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    count: Mapped[int] = mapped_column(default=0)
