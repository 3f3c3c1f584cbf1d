"""The table of contact points: a kind of channel with the settings it needs, for one org."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime


class ContactPoint(Base):
    """Where messages can be sent; any number of watchers may use it."""

    __tablename__ = "contact_points"
    __table_args__ = (
        Index("ix_contact_points_org_id", "org_id"),
        # For the contact points of a person who is deleted.
        Index("ix_contact_points_user_id", "user_id"),
        Index("ix_contact_points_confirmation_hash", "confirmation_hash", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    # One of channel.kinds.KINDS.
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    # The person whose address is looked up when a message is sent, for e-mail and SMS.
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), default=None
    )
    # The settings as JSON, encrypted with the server's key, which is not in the database.
    settings_sealed: Mapped[str | None] = mapped_column(Text, default=None)
    # Settings that an upgrade has moved here; they are sealed when the server starts.
    settings_open: Mapped[dict[str, str] | None] = mapped_column(
        JSON(none_as_null=True), default=None
    )
    # A replaced secret also signs for a while, so that receivers can change to the new one.
    former_secret_sealed: Mapped[str | None] = mapped_column(Text, default=None)
    former_secret_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Where its messages wait for each other: a host, or the mail server.
    lane: Mapped[str] = mapped_column(String(260))
    # Made from the fields of a watcher; deleted when the last watcher that uses it is changed.
    is_automatic: Mapped[bool] = mapped_column(default=False)
    # When the receiver answered 410 Gone; nothing is sent until the settings are saved again.
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When a message was last taken, and why the latest attempt failed, if it did.
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    problem: Mapped[str | None] = mapped_column(Text, default=None)
    # An e-mail address that is not a user's gets nothing before its owner has confirmed it. Of the
    # link's token only the hash is stored.
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    confirmation_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)
    confirmation_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
