"""/signup: create an org of your own, and visit a demo."""

from typing import Annotated

from pydantic import Field, StringConstraints

from anomify.auth.password_reset import finish_signup
from anomify.auth.sign_in import start_session
from anomify.edge.access import ANYONE
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.errors import Denied, NotFound
from anomify.metric.quota import quota_of
from anomify.native.envelope import NativeBlueprint
from anomify.native.login import Secret, SessionOut, session_out
from anomify.native.org.info import OnboardingStatusOut
from anomify.native.params import Address, Line, Password, RowId
from anomify.native.user.account import NotificationsOut
from anomify.org.model import ONBOARDING_NAMES, ONBOARDING_NO_METRICS
from anomify.org.queries import find_org, list_demo_orgs
from anomify.user.creating import FIRST_ROLE
from anomify.user.demo_visitor import create_demo_visitor
from anomify.user.queries import ONBOARDING_FLAGS
from anomify.user.signup import request_signup

blueprint = NativeBlueprint("signup", __name__)

DEMO_DESCRIPTION = "Thirty days of metrics with incidents among them, to look at."


class SelfserveIn(Inputs):
    """The user and the org to create."""

    email: Address = Field(
        description="Your address; a link is mailed to it.", examples=["alice@acme.example"]
    )
    user_name: Line = Field(
        description="How others are to see you.", json_schema_extra=names(None), examples=["Alice"]
    )
    org_name: Line = Field(
        description="What your org is called.", json_schema_extra=names(None), examples=["Acme"]
    )
    timezone: Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)] = Field(
        description="The name of the time zone it reads in, of those /misc/timezones lists.",
        examples=["Europe/Berlin"],
    )
    test_data: bool = Field(
        default=False,
        description="Fill the org with a fortnight of generated metrics to try things out on.",
    )


class PendingOrgOut(Outputs):
    """An org that does not exist yet."""

    id: None = Field(description="It has none yet.")
    name: str = Field(description="What it will be called.")
    timezone: str = Field(description="The time zone it will read in.")
    onboarding_status_id: int = Field(description="How far it will have come.")
    onboarding_status: OnboardingStatusOut = Field(description="The same with its name.")


class PendingUserOut(Outputs):
    """A user who does not exist until the link that was mailed is opened."""

    id: None = Field(description="They have none yet.")
    org_id: None = Field(description="Neither has their org.")
    name: str = Field(description="How others will see them.")
    email: str = Field(description="The address that the link was mailed to.")
    phone_number: None = Field(description="Set later.")
    slack_member_id: None = Field(description="Set later.")
    demo: bool = Field(description="Always false.")
    admin: bool = Field(description="Always true: they will be the org's owner.")
    role: str = Field(description="Always owner.")
    org: PendingOrgOut = Field(description="Their org.")
    notifications: NotificationsOut = Field(description="How they will be notified.")
    onboarding_flags: dict[str, bool] = Field(description="The first steps, none of them taken.")


class SelfserveOut(Outputs):
    """What will be there once the link is opened; the same for addresses that have an account."""

    message: str = Field(description="What to do next.")
    user: PendingUserOut = Field(description="The requested user.")


class VerifyIn(Inputs):
    """The link that was mailed, and a password twice."""

    email: Address = Field(description="The address it was mailed to.")
    verification_token: Secret = Field(
        description="The token in it, 32 hexadecimal digits.", repr=False
    )
    password_1: Password = Field(description="The password you choose.", repr=False)
    password_2: Password = Field(description="The same again.", repr=False)


class VerifyOut(Outputs):
    """The session to go on with."""

    session: SessionOut = Field(description="The new session, of the org's owner.")


class DemoIn(Inputs):
    """Which demo."""

    demo_org_id: RowId | None = Field(
        None,
        description="One of those /signup/demo-orgs lists; the first one when left out.",
        # Demos are open to every caller, so the id is no secret of another org.
        json_schema_extra=names(None),
    )


class DemoOrgOut(Outputs):
    """A demo org."""

    id: int = Field(description="Its id.")
    name: str = Field(description="What it is called.")
    description: str = Field(description="What there is to see.")
    metrics: int = Field(description="How many metrics it has.")


class DemoOrgsOut(Outputs):
    """The demo orgs of this server."""

    orgs: list[DemoOrgOut] = Field(description="Oldest first; none on most servers.")


@blueprint.route(
    "/signup/selfserve",
    inputs=SelfserveIn,
    outputs=SelfserveOut,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login", "mail"),
    errors=(403,),
)
def selfserve(inputs: SelfserveIn) -> SelfserveOut:
    """Request an org of your own; a link is mailed with which you choose a password.

    Nothing exists until the link is opened, within a day. The reply is the same for an address
    that has an account already; its owner is mailed that instead.
    """
    settings = app_state().settings
    if not settings.signup:
        raise sign_up_is_off()
    pending = request_signup(
        inputs.email,
        inputs.user_name,
        inputs.org_name,
        inputs.timezone,
        settings.base_url,
        wants_test_data=inputs.test_data,
    )
    return SelfserveOut(
        message=f"A link was mailed to {pending.email}; open it to choose a password.",
        user=PendingUserOut(
            id=None,
            org_id=None,
            name=pending.user_name,
            email=pending.email,
            phone_number=None,
            slack_member_id=None,
            demo=False,
            admin=True,
            role=FIRST_ROLE,
            org=PendingOrgOut(
                id=None,
                name=pending.org_name,
                timezone=pending.timezone,
                onboarding_status_id=ONBOARDING_NO_METRICS,
                onboarding_status=OnboardingStatusOut(
                    id=ONBOARDING_NO_METRICS, name=ONBOARDING_NAMES[ONBOARDING_NO_METRICS]
                ),
            ),
            notifications=NotificationsOut(email_alerts=True),
            onboarding_flags=dict.fromkeys(ONBOARDING_FLAGS, False),
        ),
    )


@blueprint.route(
    "/signup/verify",
    inputs=VerifyIn,
    outputs=VerifyOut,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(409,),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def verify(inputs: VerifyIn) -> VerifyOut:
    """Finish a sign-up: make the org and its owner, and sign them in."""
    signed_in = finish_signup(
        inputs.email, inputs.verification_token, inputs.password_1, inputs.password_2
    )
    return VerifyOut(session=session_out(signed_in))


@blueprint.route(
    "/signup/demo",
    inputs=DemoIn,
    outputs=VerifyOut,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(404,),
)
def demo(inputs: DemoIn) -> VerifyOut:
    """Look around in a demo org, as a user who may change nothing."""
    if inputs.demo_org_id is None:
        found = next(iter(list_demo_orgs()), None)
    else:
        found = find_org(inputs.demo_org_id)
    if found is None:
        raise NotFound("There is no such demo.")
    return VerifyOut(session=session_out(start_session(create_demo_visitor(found))))


@blueprint.route("/signup/demo-orgs", inputs=Inputs, outputs=DemoOrgsOut, access=ANYONE)
def demo_orgs(inputs: Inputs) -> DemoOrgsOut:
    """List the demo orgs."""
    del inputs
    return DemoOrgsOut(
        orgs=[
            DemoOrgOut(
                id=org.id,
                name=org.name,
                description=DEMO_DESCRIPTION,
                metrics=quota_of(org.id).used,
            )
            for org in list_demo_orgs()
        ]
    )


def sign_up_is_off() -> Denied:
    """Return the error for installations where sign-up is off."""
    return Denied(
        "Sign-up is off here. Ask an admin of your org for an invitation, or the operator of this "
        "server, for an account.",
        code="signup_is_off",
    )
