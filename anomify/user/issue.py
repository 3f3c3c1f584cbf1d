"""Issues that users report, mailed to the operator of the installation."""

from datetime import timedelta

from anomify.clock import now
from anomify.errors import Conflict, QuotaExceeded
from anomify.org.letter import count_letters, post_letter
from anomify.org.model import Org
from anomify.user.model import User

ISSUES_MAX = 5
WINDOW = timedelta(hours=1)
TICKET_CHARACTERS = 8


def report_issue(
    user: User, org: Org, operator: str | None, subject: str, message: str, url: str
) -> str:
    """Mail an issue to the operator and return its reference.

    Raises `Conflict` if no address is configured for issues, and `QuotaExceeded` after
    five an hour by the same user.
    """
    if operator is None:
        raise Conflict(
            "This server has no address for reports. Contact its operator, who can set "
            "operator_email and smtp_host.",
            code="nobody_to_tell",
        )
    purpose = f"issue of {user.id}"
    if count_letters(operator, purpose, now() - WINDOW) >= ISSUES_MAX:
        raise QuotaExceeded(
            f"{ISSUES_MAX} reports an hour are enough; put more into one of them.",
            retry_after_seconds=int(WINDOW.total_seconds()),
        )
    letter_id = post_letter(
        operator,
        f"Anomify issue: {subject or message[:60]}",
        f"{message}\n\n"
        f"Page: {url or 'not given'}\n"
        f"From: {user.name} <{user.email}>, {user.role} of {org.name} (org {org.id})\n",
        org_id=org.id,
        purpose=purpose,
    )
    return letter_id[:TICKET_CHARACTERS]
