"""The profile of a user, and the onboarding steps taken."""

from dataclasses import dataclass, field

import phonenumbers
from sqlalchemy import select

from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.errors import Invalid
from anomify.user.creating import checked_name
from anomify.user.model import User
from anomify.user.queries import ONBOARDING_FLAGS, onboarding_flags

# Steps that a client sets; the others are set by what happens.
CLIENT_STEPS = frozenset({"main_intro", "alerts_intro", "alerts_from_search", "training_intro"})
SLACK_ID_CHARACTERS_MAX = 32
TELEGRAM_ID_CHARACTERS_MAX = 20


@dataclass(frozen=True)
class ProfileFields:
    """A change of the profile; None leaves a value unchanged, and an empty text deletes it."""

    name: str | None = None
    phone_number: str | None = None
    slack_member_id: str | None = None
    telegram_member_id: str | None = None
    wants_email_alerts: bool | None = None
    steps: dict[str, bool] = field(default_factory=dict)


def update_profile(user: User, requested: ProfileFields) -> None:
    """Change the user's profile.

    Raises `Invalid`, naming the field, for an unusable value; then nothing is changed.
    """
    before = _audit_fields(user)
    if requested.name is not None:
        user.name = checked_name(requested.name)
    if requested.phone_number is not None:
        user.phone_number = (
            checked_phone_number(requested.phone_number) if requested.phone_number else None
        )
    if requested.slack_member_id is not None:
        user.slack_member_id = _checked_slack_id(requested.slack_member_id) or None
    if requested.telegram_member_id is not None:
        user.telegram_member_id = _checked_telegram_id(requested.telegram_member_id) or None
    if requested.wants_email_alerts is not None:
        user.wants_email_alerts = requested.wants_email_alerts
    _set_client_steps(user, requested.steps)
    session().flush()
    after = _audit_fields(user)
    changed = [name for name, value in after.items() if before[name] != value]
    if changed:
        record_audit(
            user.org_id,
            actor=user.name,
            action="user.update",
            target=user.email,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )


def checked_phone_number(text: str) -> str:
    """Return the number in E.164, such as +4930123456. Raises `Invalid` for another text."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise Invalid(
            "This is not a phone number.",
            fields={"phone_number": "With the country's code, such as +4930123456."},
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def take_step(user_id: int, step: str) -> None:
    """Record that a user has taken a step; recording it again does nothing."""
    user = session().get(User, user_id)
    if user is not None:
        _set_step(user, step, is_taken=True)


def take_step_together(org_id: int, step: str) -> None:
    """Record a step for all users of an org, such as that an alert was sent to it."""
    missing = select(User).where(User.org_id == org_id, User.steps.not_like(f"%{step}%"))
    for user in session().scalars(missing):
        _set_step(user, step, is_taken=True)


def is_step_missing(org_id: int, step: str) -> bool:
    """Return whether a user of the org has not taken a step yet."""
    missing = select(User.id).where(User.org_id == org_id, User.steps.not_like(f"%{step}%"))
    return session().scalar(missing.limit(1)) is not None


def _set_client_steps(user: User, steps: dict[str, bool]) -> None:
    for step, is_taken in steps.items():
        if step not in ONBOARDING_FLAGS:
            raise Invalid(
                f"There is no step {step}.",
                fields={"onboarding_flags": f"Of {', '.join(sorted(CLIENT_STEPS))}."},
            )
        if step not in CLIENT_STEPS and is_taken != onboarding_flags(user)[step]:
            raise Invalid(
                f"{step} is set when it happens; a request cannot set it.",
                fields={"onboarding_flags": f"Of {', '.join(sorted(CLIENT_STEPS))}."},
            )
        if step in CLIENT_STEPS:
            _set_step(user, step, is_taken=is_taken)


def _set_step(user: User, step: str, *, is_taken: bool) -> None:
    taken = set(filter(None, user.steps.split(","))) - {step}
    user.steps = ",".join(sorted(taken | {step} if is_taken else taken))


def _checked_slack_id(text: str) -> str:
    member_id = text.strip()
    if len(member_id) > SLACK_ID_CHARACTERS_MAX or not (
        member_id == "" or (member_id.isascii() and member_id.isalnum())
    ):
        raise Invalid(
            "This is not a member of a Slack workspace.",
            fields={"slack_member_id": "Letters and digits, such as U024BE7LH."},
        )
    return member_id


def _checked_telegram_id(text: str) -> str:
    user_id = text.strip()
    if len(user_id) > TELEGRAM_ID_CHARACTERS_MAX or not (
        user_id == "" or (user_id.isascii() and user_id.isdigit())
    ):
        raise Invalid(
            "This is not the id of an account at Telegram.",
            fields={"telegram_member_id": "A number, such as 123456789."},
        )
    return user_id


def _audit_fields(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "phone_number": user.phone_number,
        "slack_member_id": user.slack_member_id,
        "telegram_member_id": user.telegram_member_id,
        "wants_email_alerts": user.wants_email_alerts,
    }
