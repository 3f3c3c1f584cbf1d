"""Letters to owners and admins about an overdue bill."""

from anomify.billing.debt import ORDER, Debt, debt_of, sentence_about
from anomify.billing.queries import find_account_for_update
from anomify.clock import now
from anomify.db import session
from anomify.org.letter import post_letter
from anomify.org.model import Org
from anomify.user.queries import list_users

PURPOSE = "billing"
# Only owners and admins can pay, so only they get letters.
RECIPIENTS_MAX = 20


def write_about_debt(org_id: int, base_url: str) -> bool:
    """Write to the org's owners and admins if its state got worse; once per state.

    Returns whether letters were posted. Needs a unit of work that writes.
    """
    account = find_account_for_update(org_id)
    org = session().get(Org, org_id)
    if account is None or org is None or org.overdue_since is None:
        return False
    debt = debt_of(org.overdue_since, now())
    if ORDER.index(debt) <= ORDER.index(Debt(account.mailed_debt)):
        return False
    account.mailed_debt = debt
    subject, text = letter_about(debt, org, base_url)
    able = [user for user in list_users(org) if user.role in {"owner", "admin"}]
    for user in able[:RECIPIENTS_MAX]:
        post_letter(user.email, subject, text, org_id=org.id, purpose=PURPOSE)
    return True


def letter_about(debt: Debt, org: Org, base_url: str) -> tuple[str, str]:
    """Return the subject and the text of the letter about a debt."""
    subjects = {
        Debt.OVERDUE: "Your payment did not go through",
        Debt.NO_NEW_METRICS: "Still unpaid: new metrics are refused",
        Debt.READ_ONLY: "Still unpaid: your organisation can only be read now",
    }
    text = (
        f"{sentence_about(debt, org.overdue_since)}\n\n"
        f"Organisation: {org.name}\n"
        f"Sign in at {base_url} and open the billing portal to change the card or pay the bill.\n"
    )
    return f"{subjects[debt]} ({org.name})", text
