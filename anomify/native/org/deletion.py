"""/org/export and /org/delete: export all data of an org, and delete the org."""

import weakref
from datetime import timedelta
from typing import Final

from flask import Response
from pydantic import Field

from anomify.audit.recording import record_audit
from anomify.auth.session_id import renew_anonymous_session
from anomify.auth.sign_in import prove_password
from anomify.auth.subject import Anonymous, UserSubject, put_subject, user_subject
from anomify.billing.cancel_subscription import cancel_subscriptions
from anomify.billing.stripe_gateway import gateway_of
from anomify.edge.access import OWNER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.transaction import transaction
from anomify.errors import Denied
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Line, Password
from anomify.org.queries import get_org
from anomify.org_deletion.delete_org import check_named, delete_org
from anomify.org_deletion.export import Turn, export_of, file_name
from anomify.user.session import session_age

blueprint = NativeBlueprint("org_deletion", __name__)

ZIP: Final = "application/zip"
# Users who sign in with another server have no password here; a recent sign-in replaces it.
FRESH: Final = timedelta(minutes=10)


class DeleteIn(Inputs):
    """The confirmation of a deletion."""

    name: Line = Field(
        description="The name of your org, as a confirmation.",
        json_schema_extra=names(None),
    )
    password: Password | None = Field(
        None,
        description="Your password; it may be left out within ten minutes of signing in.",
        repr=False,
    )


class DeletedOut(Outputs):
    """The deleted org."""

    deleted: int = Field(description="The id that the org had.")
    message: str = Field(description="What was deleted, and what will be deleted later.")


@blueprint.route(
    "/org/export",
    inputs=Inputs,
    access=OWNER,
    changes=True,
    limits=("export",),
    media=ZIP,
    # The archive is read while it is sent; nothing stays locked meanwhile.
    has_own_transactions=True,
)
def export(inputs: Inputs) -> Response:
    """Download everything of the org as a zip of JSON lines.

    Its people, settings, metrics and their points, anomalies, messages and audit trail; passwords,
    keys and codes are left out, hashed ones too.
    """
    del inputs
    caller = user_subject()
    turn = Turn()
    try:
        with transaction(write=True):
            record_audit(caller.org.id, actor=caller.label, action="org.export")
    except BaseException:
        turn.give_back()
        raise
    reply = Response(
        export_of(caller.org.id, app_state().database, app_state().points), mimetype=ZIP
    )
    reply.call_on_close(turn.give_back)
    # A server that is cut off may never close it.
    weakref.finalize(reply, turn.give_back)
    reply.headers["Content-Disposition"] = f'attachment; filename="{file_name(caller.org.id)}"'
    return reply


@blueprint.route(
    "/org/delete",
    inputs=DeleteIn,
    outputs=DeletedOut,
    access=OWNER,
    changes=True,
    methods=["POST"],
    limits=("login", "write"),
    errors=(401,),
    # Comparing passwords is slow on purpose, and cancelling a subscription calls Stripe.
    has_own_transactions=True,
)
def delete(inputs: DeleteIn) -> DeletedOut:
    """Delete the org permanently, with all its data and users.

    What it pays for ends at once. Its points are gone within the hour, everything else now.
    """
    caller = user_subject()
    check_named(caller.org, inputs.name)
    _prove(caller, inputs.password)
    found = app_state()
    cancel_subscriptions(found.database, gateway_of(found.settings), caller.org, actor=caller.label)
    with transaction(write=True):
        delete_org(get_org(caller.org.id))
        renew_anonymous_session()
    found.database.empty_log()
    put_subject(Anonymous())
    return DeletedOut(
        deleted=caller.org.id,
        message=f"{caller.org.name} is deleted. Its points follow within the hour.",
    )


def _prove(caller: UserSubject, password: str | None) -> None:
    if password is not None:
        prove_password(caller, password)
        return
    with transaction(write=False):
        age = session_age(caller.session_key)
    if age > FRESH:
        raise Denied(
            "Send your password, too, or sign in again and do this within ten minutes.",
            code="password_needed",
            fields={"password": "Your password."},
        )
