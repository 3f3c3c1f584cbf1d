"""The rows of the audit trail."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime

ACTOR_CHARACTERS_MAX = 200
ACTION_CHARACTERS_MAX = 64
TARGET_CHARACTERS_MAX = 300
ADDRESS_CHARACTERS_MAX = 64


class AuditEntry(Base):
    """A change. A database trigger refuses to alter it, and to delete it before its org.

    It outlives whatever it names, so it holds words and numbers and refers to no other row.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_org_id_recorded_at", "org_id", "recorded_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    # Empty for changes of the whole installation.
    org_id: Mapped[int | None] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(ACTOR_CHARACTERS_MAX))
    # The address of the request; empty for changes without a request.
    address: Mapped[str] = mapped_column(String(ADDRESS_CHARACTERS_MAX), default="")
    # Dotted words, the noun first: user.login, token.create.
    action: Mapped[str] = mapped_column(String(ACTION_CHARACTERS_MAX))
    target: Mapped[str] = mapped_column(String(TARGET_CHARACTERS_MAX), default="")
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
