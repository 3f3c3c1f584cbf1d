"""The rows of users: accounts, credentials, sessions, sign-ups and invitations."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import Base, UtcDateTime


class User(Base):
    """A user of an org; an e-mail address belongs to one org only."""

    __tablename__ = "users"
    __table_args__ = (Index("ix_users_org_id", "org_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    # In lower case, because people write it in either case.
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    # owner, admin, editor or viewer.
    role: Mapped[str] = mapped_column(String(16))
    wants_email_alerts: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # E.164, such as +4930123456.
    phone_number: Mapped[str | None] = mapped_column(String(16), default=None)
    slack_member_id: Mapped[str | None] = mapped_column(String(32), default=None)
    # The id of their account at Telegram, so that buttons which they press there are theirs.
    telegram_member_id: Mapped[str | None] = mapped_column(String(20), default=None)
    # The onboarding steps taken, separated by commas.
    steps: Mapped[str] = mapped_column(Text, default="", server_default="")
    # The seed of the authenticator app, sealed; asked for at sign-in once it is confirmed.
    totp_sealed: Mapped[str | None] = mapped_column(Text, default=None)
    totp_confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # The last time step whose code was used, so that no code works twice.
    totp_counter: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # A temporary visitor of a demo org; nobody can sign in as this user again.
    is_visitor: Mapped[bool] = mapped_column(default=False, server_default=false())
    # The latest anomaly that the user has seen in a list; no foreign key, for it may be deleted.
    seen_anomaly_id: Mapped[int | None] = mapped_column(default=None)

    # Quiet hours, in minutes of the local day; empty without any. Weekdays count from 0 for Monday,
    # and without any every day has them.
    quiet_from_minute: Mapped[int | None] = mapped_column(default=None)
    quiet_until_minute: Mapped[int | None] = mapped_column(default=None)
    quiet_timezone: Mapped[str | None] = mapped_column(String(64), default=None)
    quiet_weekdays: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True), default=None)
    # The least severity that is sent in quiet hours, too; none if it is empty.
    quiet_except_severity: Mapped[str | None] = mapped_column(String(8), default=None)

    @property
    def is_admin(self) -> bool:
        """Return whether the user is an admin or owner."""
        return self.role in {"owner", "admin"}

    @property
    def has_totp(self) -> bool:
        """Return whether signing in requires a code of the user's authenticator app."""
        return self.totp_confirmed_at is not None


class SessionRow(Base):
    """A session; only the SHA-256 of its id is stored, so that a stolen copy is of no use."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user_id", "user_id"),
        Index("ix_sessions_expires_at", "expires_at"),
    )

    id_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    # Null for an anonymous session.
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # JSON text of a small dict: flags and ids, no counters (concurrent writers overwrite it whole).
    state: Mapped[str] = mapped_column(Text, default="{}")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    client: Mapped[str] = mapped_column(String(200), default="")
    address: Mapped[str] = mapped_column(String(64), default="")


class LoginAttempt(Base):
    """A sign-in with a correct password that still requires a code."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        Index("ix_login_attempts_session_key", "session_key"),
        Index("ix_login_attempts_user_id", "user_id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # The SHA-256 of the id of the anonymous session in which the password was entered.
    session_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    # email or totp.
    way: Mapped[str] = mapped_column(String(16))
    # Only for a mailed code; an HMAC, because all codes of six digits are soon tried.
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), default=None)
    # The hash of the token in the same mail, with which another client may enter the code.
    token_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True, default=None)
    remembers: Mapped[bool] = mapped_column(default=False)
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class KnownClient(Base):
    """A browser or program from which a user has signed in; its id is stored hashed."""

    __tablename__ = "known_clients"
    __table_args__ = (Index("ix_known_clients_user_id", "user_id"),)

    id_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    # How it became known: email or totp for a code, or password alone.
    way: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RecoveryCode(Base):
    """A recovery code that replaces the authenticator app once; it is stored hashed."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index("ix_recovery_codes_user_id", "user_id"),)

    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class ResetLink(Base):
    """A link for setting a new password once."""

    __tablename__ = "reset_links"
    __table_args__ = (Index("ix_reset_links_user_id", "user_id"),)

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class SignUp(Base):
    """A requested sign-up whose address is not verified yet.

    The user and the org are created only after the verification.
    """

    __tablename__ = "signups"
    __table_args__ = (Index("ix_signups_expires_at", "expires_at"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    user_name: Mapped[str] = mapped_column(String(200))
    org_name: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(64))
    wants_test_data: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class Invitation(Base):
    """An invitation to an org; the link is stored hashed."""

    __tablename__ = "invitations"
    __table_args__ = (Index("ix_invitations_org_id", "org_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    org_id: Mapped[int] = mapped_column(ForeignKey("orgs.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(320))
    # The name that the inviting user entered; the invited one may choose another.
    name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(16))
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    invited_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When the latest mail was written.
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class Identity(Base):
    """The identity of a user at an identity provider, with which the user signs in."""

    __tablename__ = "identities"
    __table_args__ = (Index("ix_identities_user_id", "user_id"),)

    # The provider and its id of the user; an address is no identity, its owner may change.
    issuer: Mapped[str] = mapped_column(String(300), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
