"""/org/export and /org/delete: an org takes all it has along, or leaves for good."""

import weakref
from datetime import timedelta
from typing import Final

from flask import Response
from pydantic import Field

from anomify.audit.recording import record_audit
from anomify.auth.session_id import renew_stranger
from anomify.auth.signing_in import prove_password
from anomify.auth.subject import Anonymous, UserSubject, put_subject, user_subject
from anomify.billing.leaving import stop_paying
from anomify.billing.stripe_gateway import gateway_of
from anomify.departure.archive import Turn, archive_of, file_name
from anomify.departure.deletion import check_named, delete_org
from anomify.edge.contract import Access, Inputs, Outputs, names
from anomify.edge.house import house
from anomify.edge.transaction import transaction
from anomify.errors import Denied
from anomify.native.envelope import NativeDoor
from anomify.native.params import Line, Password
from anomify.org.queries import get_org
from anomify.user.session import session_age

door = NativeDoor("org_departure", __name__)

ZIP: Final = "application/zip"
# Who signs in with another server has no password here; a sign-in of just now stands for it.
FRESH: Final = timedelta(minutes=10)


class DeleteIn(Inputs):
    """What shows that it is meant, and by whom."""

    name: Line = Field(
        description="The name of your org, typed to show that you mean it.",
        json_schema_extra=names(None),
    )
    password: Password | None = Field(
        None,
        description="Your password; it may be left out within ten minutes of signing in.",
        repr=False,
    )


class DeletedOut(Outputs):
    """What is no more."""

    deleted: int = Field(description="The id that the org had.")
    message: str = Field(description="What happened, and what still will.")


@door.route(
    "/org/export",
    inputs=Inputs,
    access=Access.OWNER,
    changes=True,
    limits=("export",),
    media=ZIP,
    # The archive is read while it is sent; nothing stays locked meanwhile.
    has_own_transactions=True,
)
def export(wish: Inputs) -> Response:
    """Download everything of the org as a zip of JSON lines.

    Its people, settings, metrics and their points, anomalies, messages and audit trail; passwords,
    keys and codes are left out, hashed ones too.
    """
    del wish
    asker = user_subject()
    turn = Turn()
    try:
        with transaction(write=True):
            record_audit(asker.org.id, actor=asker.label, action="org.export")
    except BaseException:
        turn.give_back()
        raise
    reply = Response(archive_of(asker.org.id, house().database, house().points), mimetype=ZIP)
    reply.call_on_close(turn.give_back)
    # A server that is cut off may never close it.
    weakref.finalize(reply, turn.give_back)
    reply.headers["Content-Disposition"] = f'attachment; filename="{file_name(asker.org.id)}"'
    return reply


@door.route(
    "/org/delete",
    inputs=DeleteIn,
    outputs=DeletedOut,
    access=Access.OWNER,
    changes=True,
    methods=["POST"],
    limits=("login", "write"),
    errors=(401,),
    # Comparing passwords is slow on purpose, and ending what is paid for asks another server.
    has_own_transactions=True,
)
def delete(wish: DeleteIn) -> DeletedOut:
    """Delete the org with everything and everybody in it, for good.

    What it pays for ends at once. Its points are gone within the hour, everything else now.
    """
    asker = user_subject()
    check_named(asker.org, wish.name)
    _prove(asker, wish.password)
    found = house()
    stop_paying(found.database, gateway_of(found.settings), asker.org, actor=asker.label)
    with transaction(write=True):
        delete_org(get_org(asker.org.id))
        renew_stranger()
    found.database.empty_log()
    put_subject(Anonymous())
    return DeletedOut(
        deleted=asker.org.id,
        message=f"{asker.org.name} is deleted. Its points follow within the hour.",
    )


def _prove(asker: UserSubject, password: str | None) -> None:
    if password is not None:
        prove_password(asker, password)
        return
    with transaction(write=False):
        age = session_age(asker.session_key)
    if age > FRESH:
        raise Denied(
            "Send your password, too, or sign in again and do this within ten minutes.",
            code="password_needed",
            fields={"password": "Your password."},
        )
