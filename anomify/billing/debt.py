"""What an org may still do while a bill is overdue."""

from datetime import datetime, timedelta
from enum import StrEnum

GRACE = timedelta(days=14)
UNTIL_READ_ONLY = timedelta(days=30)


class Debt(StrEnum):
    """From good to worst; whatever happens, nothing of the org's is deleted."""

    # Nothing is overdue.
    NONE = "none"
    # A bill is, and everything works as ever.
    OVERDUE = "overdue"
    # Known metrics go on; new ones are refused.
    NO_NEW_METRICS = "no_new_metrics"
    # Everything can be read and nothing changed, but for paying.
    READ_ONLY = "read_only"


# From good to worst.
ORDER = tuple(Debt)


def debt_of(overdue_since: datetime | None, at: datetime) -> Debt:
    """Return the debt of an org whose oldest unpaid bill could not be collected since then."""
    if overdue_since is None:
        return Debt.NONE
    if at - overdue_since >= UNTIL_READ_ONLY:
        return Debt.READ_ONLY
    return Debt.NO_NEW_METRICS if at - overdue_since >= GRACE else Debt.OVERDUE


def takes_new_metrics(overdue_since: datetime | None, at: datetime) -> bool:
    """Tell whether an org may have metrics that it has not had before."""
    return debt_of(overdue_since, at) in {Debt.NONE, Debt.OVERDUE}


def is_read_only(overdue_since: datetime | None, at: datetime) -> bool:
    """Tell whether an org may only read, until it has paid."""
    return debt_of(overdue_since, at) is Debt.READ_ONLY
