"""What an org may do while a bill is overdue."""

from datetime import datetime, timedelta
from enum import StrEnum

from anomify.errors import Denied

GRACE = timedelta(days=14)
UNTIL_READ_ONLY = timedelta(days=30)


class Debt(StrEnum):
    """The states of an overdue bill, in increasing severity; no data is ever deleted."""

    # Nothing is overdue.
    NONE = "none"
    # A bill is overdue, and everything works.
    OVERDUE = "overdue"
    # Points of existing metrics are accepted; new metrics are refused.
    NO_NEW_METRICS = "no_new_metrics"
    # Everything can be read, and nothing but the payment can be changed.
    READ_ONLY = "read_only"


# From good to worst.
ORDER = tuple(Debt)


def debt_of(overdue_since: datetime | None, at: datetime) -> Debt:
    """Return the state of an org whose oldest unpaid bill is overdue since this time."""
    if overdue_since is None:
        return Debt.NONE
    if at - overdue_since >= UNTIL_READ_ONLY:
        return Debt.READ_ONLY
    return Debt.NO_NEW_METRICS if at - overdue_since >= GRACE else Debt.OVERDUE


def takes_new_metrics(overdue_since: datetime | None, at: datetime) -> bool:
    """Return whether an org may add metrics."""
    return debt_of(overdue_since, at) in {Debt.NONE, Debt.OVERDUE}


def check_may_write(overdue_since: datetime | None, at: datetime) -> None:
    """Raise `Denied` if the org may only read until it has paid."""
    if debt_of(overdue_since, at) is Debt.READ_ONLY:
        raise Denied(sentence_about(Debt.READ_ONLY, overdue_since), code="org_read_only")


def sentence_about(debt: Debt, overdue_since: datetime | None) -> str:
    """Return the text of the banner; empty if nothing is overdue."""
    if overdue_since is None or debt is Debt.NONE:
        return ""
    since = f"{overdue_since:%d %B %Y}"
    match debt:
        case Debt.OVERDUE:
            until = overdue_since + GRACE
            return (
                f"A bill of {since} could not be collected. Everything works as before until "
                f"{until:%d %B %Y}; pay it in the billing portal."
            )
        case Debt.NO_NEW_METRICS:
            until = overdue_since + UNTIL_READ_ONLY
            return (
                f"A bill of {since} is still unpaid. New metrics are refused until it is paid, "
                f"and from {until:%d %B %Y} on nothing can be sent or changed. Nothing is deleted."
            )
        case _:
            return (
                f"A bill of {since} is unpaid, so this organisation can only be read. Nothing is "
                "deleted, and everything works again as soon as it is paid in the billing portal."
            )
