"""The rows of exclusions, and of how often an org's excluded metrics have changed."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime

PATTERN_CHARACTERS_MAX = 512
REASON_CHARACTERS_MAX = 500


class Exclusion(Base):
    """A rule: metrics whose names it hits are kept, but neither judged nor counted."""

    __tablename__ = "exclusions"
    __table_args__ = (
        UniqueConstraint("org_id", "kind", "pattern"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # One of predicate.Kind.
    kind: Mapped[str] = mapped_column(String(16))
    pattern: Mapped[str] = mapped_column(String(PATTERN_CHARACTERS_MAX))
    reason: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Empty for a rule that stays until somebody deletes it.
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)

    @property
    def name(self) -> str:
        """Return what people call the rule: its kind and its pattern."""
        return f"{self.kind} {self.pattern}"


class ExclusionChange(Base):
    """How often it has changed which of an org's known metrics are excluded; it only grows.

    The worker reads this at every tick, and the metrics only when it has moved.
    """

    __tablename__ = "exclusion_changes"

    org_id: Mapped[int] = mapped_column(
        ForeignKey("orgs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    count: Mapped[int] = mapped_column(default=0)
