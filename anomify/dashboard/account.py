"""The account page: name, quiet hours, password, two-factor sign-in and sessions."""

from typing import Annotated, Any, Final

from flask import Response, make_response, redirect
from pydantic import Field, StringConstraints

from anomify.auth.password_change import change_own_password
from anomify.auth.sign_in import prove_code, prove_password, renew_session
from anomify.auth.subject import UserSubject, put_subject, user_subject
from anomify.clock import to_ms
from anomify.dashboard.device_name import device_of
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.edge.access import USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.org.daily_times import WEEKDAYS, clock_time
from anomify.org.time_zone import zone_names
from anomify.user.authenticator import (
    begin_enrolment,
    count_recovery_codes,
    finish_enrolment,
    qr_picture,
    turn_off,
)
from anomify.user.identity import is_connected
from anomify.user.model import User
from anomify.user.profile import ProfileFields
from anomify.user.queries import get_user, list_sessions
from anomify.user.quiet_hours import (
    SEVERITIES,
    QuietHoursFields,
    quiet_hours_of,
    update_quiet_hours,
)
from anomify.user.session import (
    end_session,
    end_user_sessions,
    get_user_session,
    session_name,
)
from anomify.watcher.contact_changes import change_profile

blueprint = PageBlueprint("account", __name__)

PATH: Final = "/ui/account"
Text = Annotated[str, StringConstraints(max_length=1_024)]


class ProfileIn(Inputs):
    """The user's name, phone number and mail preference."""

    name: Text = Field("", json_schema_extra=names(None))
    phone_number: Text = ""
    email_alerts: bool = False


class QuietHoursForm(Inputs):
    """The quiet hours of the user; an unchecked `is_on` ends them."""

    is_on: bool = False
    quiet_from: Text = ""
    quiet_until: Text = ""
    quiet_timezone: Text = ""
    weekdays: list[str] = Field(default=[], max_length=20)
    except_severity: Text = ""


class PasswordForm(Inputs):
    """The current password, and the new one twice."""

    current: Text = Field("", repr=False)
    password_1: Text = Field("", repr=False)
    password_2: Text = Field("", repr=False)


class TotpIn(Inputs):
    """The password, and a code where one is required."""

    password: Text = Field("", repr=False)
    code: Text = ""


class EndIn(Inputs):
    """The session to end; all others if none is given."""

    session: Text = ""


@blueprint.route(PATH, inputs=Inputs, access=USER, methods=["GET"])
def page(inputs: Inputs) -> Response:
    """Show the account page."""
    del inputs
    return _page()


@blueprint.route(
    f"{PATH}/profile",
    inputs=ProfileIn,
    access=USER,
    changes=True,
    methods=["POST"],
    has_own_transactions=True,
)
def profile(inputs: ProfileIn) -> Response:
    """Change the user's name, phone number and mail preference."""
    caller = user_subject()
    try:
        with transaction(write=True):
            user = get_user(caller.org, caller.user.id)
            change_profile(
                user,
                ProfileFields(
                    name=inputs.name,
                    phone_number=inputs.phone_number,
                    wants_email_alerts=inputs.email_alerts,
                ),
            )
    except AnomifyError as error:
        return _again("profile", error, given=inputs)
    put_subject(UserSubject(user, caller.org, caller.session_key))
    return _done("profile")


@blueprint.route(
    f"{PATH}/quiet",
    inputs=QuietHoursForm,
    access=USER,
    changes=True,
    methods=["POST"],
    has_own_transactions=True,
)
def quiet(inputs: QuietHoursForm) -> Response:
    """Change the user's quiet hours."""
    caller = user_subject()
    try:
        with transaction(write=True):
            user = get_user(caller.org, caller.user.id)
            update_quiet_hours(
                user,
                caller.org,
                QuietHoursFields(
                    quiet_from=inputs.quiet_from if inputs.is_on else "",
                    quiet_until=inputs.quiet_until if inputs.is_on else "",
                    timezone=inputs.quiet_timezone,
                    weekdays=inputs.weekdays,
                    except_severity=inputs.except_severity,
                ),
            )
    except AnomifyError as error:
        return _again("quiet", error, quiet=_quiet_form(inputs))
    put_subject(UserSubject(user, caller.org, caller.session_key))
    return _done("quiet")


@blueprint.route(
    f"{PATH}/password",
    inputs=PasswordForm,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def password(inputs: PasswordForm) -> Response:
    """Set a new password; every other session ends."""
    try:
        change_own_password(user_subject(), inputs.current, inputs.password_1, inputs.password_2)
    except AnomifyError as error:
        return _again("password", error, is_current_wrong=error.code == "wrong_password")
    return _done("password")


@blueprint.route(
    f"{PATH}/totp/begin",
    inputs=TotpIn,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    has_own_transactions=True,
)
def begin_totp(inputs: TotpIn) -> Response:
    """Show the key for a new authenticator app; it is required only after it is confirmed."""
    caller = user_subject()
    try:
        prove_password(caller, inputs.password)
        with transaction(write=True):
            enrolment = begin_enrolment(get_user(caller.org, caller.user.id))
    except AnomifyError as error:
        return _again("totp", error)
    return _reply(enrolment=enrolment, qr=qr_picture(enrolment.uri))


@blueprint.route(
    f"{PATH}/totp/confirm",
    inputs=TotpIn,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    has_own_transactions=True,
)
def confirm_totp(inputs: TotpIn) -> Response:
    """Require the app's codes from now on, and show the recovery codes once."""
    caller = user_subject()
    try:
        with transaction(write=True):
            user = get_user(caller.org, caller.user.id)
            codes = finish_enrolment(user, inputs.code)
            renew_session(user)
    except AnomifyError as error:
        return _again("totp", error)
    return _reply(recovery_codes=codes)


@blueprint.route(
    f"{PATH}/totp/disable",
    inputs=TotpIn,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    has_own_transactions=True,
)
def disable_totp(inputs: TotpIn) -> Response:
    """Turn off two-factor sign-in."""
    caller = user_subject()
    try:
        prove_password(caller, inputs.password)
        with transaction(write=True):
            user = get_user(caller.org, caller.user.id)
            prove_code(user, inputs.code)
            turn_off(user)
            renew_session(user)
    except AnomifyError as error:
        return _again("totp", error)
    return _done("totp")


@blueprint.route(f"{PATH}/sessions", inputs=EndIn, access=USER, changes=True, methods=["POST"])
def end(inputs: EndIn) -> Response:
    """End one session, or all but the current one."""
    caller = user_subject()
    if inputs.session:
        end_session(get_user_session(caller.user, inputs.session).id_hash)
    else:
        end_user_sessions(caller.user, but=caller.session_key)
    return _done("sessions")


def _done(section: str) -> Response:
    return make_response(redirect(f"{PATH}#{section}", 303))


def _again(section: str, error: AnomifyError, **more: Any) -> Response:
    """Show the page again, with the error in its section."""
    reply = _reply(section=section, error=error, **more)
    reply.status_code = error.status
    if error.retry_after_seconds is not None:
        reply.headers["Retry-After"] = str(error.retry_after_seconds)
    return reply


def _reply(**facts: Any) -> Response:
    with transaction(write=False):
        return _page(**facts)


def _page(
    *,
    section: str = "",
    error: AnomifyError | None = None,
    **facts: Any,
) -> Response:
    caller = user_subject()
    user = get_user(caller.org, caller.user.id)
    settings = app_state().settings
    text = render_page(
        "dashboard/account.html",
        user=user,
        weekdays=WEEKDAYS,
        severities=SEVERITIES,
        zones=zone_names(),
        **{"quiet": _quiet_of(user, caller.org.timezone), **facts},
        sessions=_sessions(user, caller),
        codes_left=count_recovery_codes(user),
        is_demo=caller.org.is_demo,
        oidc_name=settings.oidc_name if settings.oidc_issuer else None,
        is_connected=is_connected(user, settings.oidc_issuer or ""),
        section=section,
        fault_sentence=error.message if error else "",
        faults=dict(error.fields) if error else {},
    )
    return make_response(text)


def _quiet_of(user: User, org_timezone: str) -> dict[str, object]:
    """Return the user's quiet hours as the form shows them, or a proposal."""
    hours = quiet_hours_of(user)
    return {
        "is_on": hours is not None,
        "quiet_from": clock_time(hours.from_minute) if hours else "22:00",
        "quiet_until": clock_time(hours.until_minute) if hours else "07:00",
        "timezone": hours.timezone if hours else org_timezone,
        "weekdays": [WEEKDAYS[day] for day in hours.weekdays] if hours else [],
        "except_severity": user.quiet_except_severity or "",
    }


def _quiet_form(inputs: QuietHoursForm) -> dict[str, object]:
    """Return the form as it was sent, to be shown again."""
    return {**inputs.model_dump(), "timezone": inputs.quiet_timezone}


def _sessions(user: User, caller: UserSubject) -> list[dict[str, object]]:
    return [
        {
            "name": session_name(row.id_hash),
            "is_current": row.id_hash == caller.session_key,
            "device": device_of(row.client),
            "address": row.address,
            "seen": local_moment(to_ms(row.last_seen_at)),
        }
        for row in list_sessions(user)
    ]
