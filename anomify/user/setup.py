"""The first owner of an installation, made with the one-time set-up link."""

from anomify.audit.recording import record_audit
from anomify.errors import Conflict
from anomify.org.creating import create_org
from anomify.org.onboarding import use_setup_link
from anomify.user.creating import FIRST_ROLE, create_user
from anomify.user.model import User
from anomify.user.queries import needs_setup


def finish_setup(
    secret: str, org_name: str, email: str, name: str, password: str, *, timezone: str = "UTC"
) -> User:
    """Create the first org and its owner, and use up the link.

    Raises `Denied` for a link that is not valid, `Conflict` if there is a user already, and
    `Invalid` for unusable values; in each case nothing is changed.
    """
    use_setup_link(secret)
    if not needs_setup():
        raise Conflict("The product is set up already; sign in.")
    org = create_org(org_name, timezone=timezone)
    user = create_user(org, email, name, FIRST_ROLE, password)
    record_audit(org.id, actor=user.name, action="org.setup", target=org.name)
    return user
