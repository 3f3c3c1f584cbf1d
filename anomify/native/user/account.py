"""/user: the signed-in user, as themselves."""

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from anomify.anomaly.unread import count_unread
from anomify.auth.password_change import change_own_password
from anomify.auth.session_id import renew_anonymous_session, sign_out
from anomify.auth.subject import Anonymous, UserSubject, put_subject, subject, user_subject
from anomify.edge.access import ANYONE, USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.strict_json import decode
from anomify.errors import Denied, Invalid
from anomify.native.envelope import NativeBlueprint
from anomify.native.org.info import OrgOut, org_out
from anomify.native.params import ClockTime, Days, Line, Password, RowId
from anomify.org.daily_times import WEEKDAYS, clock_time
from anomify.org.model import Org
from anomify.user.issue import report_issue
from anomify.user.model import User
from anomify.user.profile import ProfileFields
from anomify.user.queries import get_user, onboarding_flags
from anomify.user.quiet_hours import QuietHoursFields, quiet_hours_of, update_quiet_hours
from anomify.user.session import end_user_sessions, session_age
from anomify.watcher.contact_changes import change_profile, delete_person

blueprint = NativeBlueprint("user", __name__)

TEXT_CHARACTERS_MAX = 10_000
URL_CHARACTERS_MAX = 2_000


def _flags(value: object) -> object:
    """Take forms' way of saying which steps were taken: words with commas, or a JSON object."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("{"):
        try:
            return decode(text.encode(errors="replace"))
        except Invalid:
            raise ValueError('An object like {"main_intro": true} is needed.') from None
    return dict.fromkeys((part.strip() for part in text.split(",") if part.strip()), True)


Flags = Annotated[dict[str, bool], BeforeValidator(_flags)]


class NotificationsOut(Outputs):
    """How a user is notified."""

    email_alerts: bool = Field(description="Whether alerts are mailed to them.")


class QuietHoursOut(Outputs):
    """Local times at which a user gets no messages but severe ones."""

    quiet_from: str = Field(description="When they begin.", examples=["22:00"])
    quiet_until: str = Field(
        description="When they end, on the next day unless it is later.", examples=["07:00"]
    )
    timezone: str = Field(description="The time zone of both.", examples=["Europe/Berlin"])
    weekdays: list[str] = Field(description="Days on which they begin; every day without any.")
    except_severity: str | None = Field(
        description="The least severity that is sent all the same; null for none."
    )


class UserOut(Outputs):
    """A user, as they see themselves."""

    id: int = Field(description="Their id.")
    org_id: int = Field(description="The id of their org.")
    name: str = Field(description="How others see them.", examples=["Alice"])
    email: str = Field(
        description="The address they sign in with.", examples=["alice@acme.example"]
    )
    phone_number: str | None = Field(
        description="With the country's code, if they have set one.", examples=["+4930123456"]
    )
    slack_member_id: str | None = Field(
        description="Their member id in Slack, if they have set it."
    )
    telegram_member_id: str | None = Field(
        description="The id of their account at Telegram, if they have set it."
    )
    demo: bool = Field(description="Whether they are of a demo org, where nothing can be changed.")
    admin: bool = Field(description="Whether they are an admin; an owner is one too.")
    role: str = Field(description="owner, admin, editor or viewer.")
    org: OrgOut = Field(description="Their org.")
    notifications: NotificationsOut = Field(description="How they are notified.")
    quiet_hours: QuietHoursOut | None = Field(
        description="When they get no messages but severe ones; null for never."
    )
    onboarding_flags: dict[str, bool] = Field(description="Which first steps they have taken.")


class InfoOut(Outputs):
    """A user."""

    user: UserOut = Field(description="The user as they are now.")


class MessageOut(Outputs):
    """What has been done."""

    message: str = Field(description="A sentence for people.")


class LogoutIn(Inputs):
    """Which sessions are to end."""

    all: bool = Field(
        default=False, description="End every session of yours, on other devices too."
    )


class PingOut(Outputs):
    """That the session is alive, and for how long it has been."""

    user_id: int = Field(description="Whose session it is.")
    session_age: int = Field(description="Seconds since it began.")
    unread: int = Field(
        description="Anomalies that were recorded since you last looked at the list of the newest:"
        " at /anomalies without a narrower search, or on the first page."
    )


class UpdateIn(Inputs):
    """The changes; a value that is left out does not change."""

    name: Line | None = Field(
        None, description="How others see you.", json_schema_extra=names(None), examples=["Alice"]
    )
    phone_number: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None,
        description="With the country's code; an empty text deletes it.",
        examples=["+4930123456"],
    )
    slack_member_id: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None,
        description="Your member id in Slack; an empty text deletes it.",
        json_schema_extra=names(None),
        examples=["U024BE7LH"],
    )
    telegram_member_id: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None,
        description="The id of your account at Telegram; an empty text deletes it.",
        json_schema_extra=names(None),
        examples=["123456789"],
    )
    email_alerts: bool | None = Field(None, description="Whether alerts are mailed to you.")
    notifications: Flags | None = Field(
        None, description="The same as an object.", examples=[{"email_alerts": True}]
    )
    quiet_from: ClockTime | None = Field(
        None,
        description="The local time from which you get no messages; empty for no quiet hours.",
        examples=["22:00"],
    )
    quiet_until: ClockTime | None = Field(
        None,
        description="Until when, on the next day unless it is later. What is still wrong is told"
        " then.",
        examples=["07:00"],
    )
    quiet_timezone: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="The time zone of both; an empty text is the org's."
    )
    quiet_weekdays: Days | None = Field(
        None,
        description="On which days quiet hours begin; every day without any.",
        examples=[["saturday", "sunday"]],
    )
    quiet_except_severity: Annotated[str, StringConstraints(max_length=16)] | None = Field(
        None,
        description="Anomalies of this severity or above are sent all the same: low, medium or"
        " high; an empty text for none.",
    )
    onboarding_flags: Flags | None = Field(
        None,
        description="Onboarding steps that a client has shown; the others are set by what happens.",
        examples=[{"main_intro": True}],
    )


class UpdatePasswordIn(Inputs):
    """The password there is, and the new one twice."""

    current: Password = Field(description="Your current password.", repr=False)
    password_1: Password = Field(description="The new one.", repr=False)
    password_2: Password = Field(description="The new one again.", repr=False)


class DeleteIn(Inputs):
    """Who is to be deleted."""

    user_id: RowId | None = Field(
        None,
        description="A user of your org; yourself when left out.",
        json_schema_extra=names("user"),
    )


class DeletedOut(Outputs):
    """The deleted user."""

    deleted: int = Field(description="The id that the user had.")


class IssueIn(Inputs):
    """What is wrong, and where."""

    message: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_CHARACTERS_MAX),
    ] = Field(description="What happened, and what you expected.")
    subject: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = Field(
        "", description="The same in a few words."
    )
    url: Annotated[str, StringConstraints(strip_whitespace=True, max_length=URL_CHARACTERS_MAX)] = (
        Field("", description="The page it is about.")
    )


class TicketOut(Outputs):
    """The reference of the report."""

    ticket_id: str = Field(description="Name it when you write about it again.")


@blueprint.route("/user/info", inputs=Inputs, outputs=InfoOut, access=USER)
def info(inputs: Inputs) -> InfoOut:
    """Say who is signed in."""
    del inputs
    caller = user_subject()
    return InfoOut(user=user_out(caller.user, caller.org))


@blueprint.route("/user/update", inputs=UpdateIn, outputs=InfoOut, access=USER, changes=True)
def update(inputs: UpdateIn) -> InfoOut:
    """Change your profile and how you are notified."""
    caller = user_subject()
    user = get_user(caller.org, caller.user.id)
    notifications = inputs.notifications or {}
    change_profile(
        user,
        ProfileFields(
            name=inputs.name,
            phone_number=inputs.phone_number,
            slack_member_id=inputs.slack_member_id,
            telegram_member_id=inputs.telegram_member_id,
            wants_email_alerts=(
                notifications.get("email_alerts")
                if inputs.email_alerts is None
                else inputs.email_alerts
            ),
            steps=inputs.onboarding_flags or {},
        ),
    )
    update_quiet_hours(
        user,
        caller.org,
        QuietHoursFields(
            quiet_from=inputs.quiet_from,
            quiet_until=inputs.quiet_until,
            timezone=inputs.quiet_timezone,
            weekdays=inputs.quiet_weekdays,
            except_severity=inputs.quiet_except_severity,
        ),
    )
    put_subject(UserSubject(user, caller.org, caller.session_key))
    return InfoOut(user=user_out(user, caller.org))


@blueprint.route(
    "/user/updatepassword",
    inputs=UpdatePasswordIn,
    outputs=MessageOut,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(401,),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def updatepassword(inputs: UpdatePasswordIn) -> MessageOut:
    """Set a new password; your other sessions end, and this one gets a new id."""
    change_own_password(user_subject(), inputs.current, inputs.password_1, inputs.password_2)
    return MessageOut(message="Your password is changed. Other sessions of yours have ended.")


@blueprint.route(
    "/user/delete",
    inputs=DeleteIn,
    outputs=DeletedOut,
    access=USER,
    changes=True,
    errors=(404, 409),
)
def delete(inputs: DeleteIn) -> DeletedOut:
    """Delete yourself or, as an admin, another user of your org; the last owner has to stay."""
    caller = user_subject()
    user = get_user(caller.org, inputs.user_id or caller.user.id)
    delete_person(user, caller.user)
    if user.id == caller.user.id:
        renew_anonymous_session()
        put_subject(Anonymous())
    return DeletedOut(deleted=user.id)


@blueprint.route(
    "/user/logout",
    inputs=LogoutIn,
    outputs=MessageOut,
    access=ANYONE,
    changes=True,
    limits=("write",),
)
def logout(inputs: LogoutIn) -> MessageOut:
    """End the session, or all of yours; ending it again is harmless."""
    caller = subject()
    match caller:
        case UserSubject():
            if inputs.all:
                end_user_sessions(caller.user)
            sign_out()
            put_subject(Anonymous())
            return MessageOut(message="You are signed out.")
        case Anonymous():
            return MessageOut(message="Nobody was signed in.")
        case _:
            raise Denied("Tokens may not do this; it needs a user.")


@blueprint.route("/user/ping", inputs=Inputs, outputs=PingOut, access=USER)
def ping(inputs: Inputs) -> PingOut:
    """Extend the session; return its age and the number of unread anomalies."""
    del inputs
    caller = user_subject()
    age = session_age(caller.session_key)
    return PingOut(
        user_id=caller.user.id,
        session_age=int(age.total_seconds()),
        unread=count_unread(caller.user),
    )


@blueprint.route(
    "/user/reportissue",
    inputs=IssueIn,
    outputs=TicketOut,
    access=USER,
    changes=True,
    limits=("mail",),
    errors=(409,),
)
def reportissue(inputs: IssueIn) -> TicketOut:
    """Mail a report of a problem to the operator of this server; five an hour."""
    caller, settings = user_subject(), app_state().settings
    to = settings.operator_email if settings.smtp_host else None
    ticket = report_issue(caller.user, caller.org, to, inputs.subject, inputs.message, inputs.url)
    return TicketOut(ticket_id=ticket)


def user_out(user: User, org: Org) -> UserOut:
    """Return the signed-in user as JSON."""
    return UserOut(
        id=user.id,
        org_id=user.org_id,
        name=user.name,
        email=user.email,
        phone_number=user.phone_number,
        slack_member_id=user.slack_member_id,
        telegram_member_id=user.telegram_member_id,
        demo=org.is_demo,
        admin=user.is_admin,
        role=user.role,
        org=org_out(org),
        notifications=NotificationsOut(email_alerts=user.wants_email_alerts),
        quiet_hours=_quiet_hours(user),
        onboarding_flags=onboarding_flags(user),
    )


def _quiet_hours(user: User) -> QuietHoursOut | None:
    hours = quiet_hours_of(user)
    if hours is None:
        return None
    return QuietHoursOut(
        quiet_from=clock_time(hours.from_minute),
        quiet_until=clock_time(hours.until_minute),
        timezone=hours.timezone,
        weekdays=[WEEKDAYS[day] for day in sorted(hours.weekdays)],
        except_severity=user.quiet_except_severity,
    )
