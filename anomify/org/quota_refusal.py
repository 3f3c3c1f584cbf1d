"""Metric names that an org's quota refused, stored so that admins can be warned."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice

from anomify.clock import now
from anomify.db import session
from anomify.org.model import QuotaRefusal

NAMES_MAX = 20
NAME_CHARACTERS_MAX = 500
# Senders repeat refused names every few seconds; repetitions within this time are not stored.
NOTED_EVERY = timedelta(minutes=1)


def note_refusals(org_id: int, names: Iterable[str]) -> None:
    """Record in the open unit of work that these names were refused."""
    at = now()
    known = session().get(QuotaRefusal, org_id)
    kept = [] if known is None else known.names
    shown = [name[:NAME_CHARACTERS_MAX] for name in islice(names, NAMES_MAX)]
    merged = list(dict.fromkeys([*shown, *kept]))[:NAMES_MAX]
    if known is None:
        session().add(QuotaRefusal(org_id=org_id, refused_at=at, names=merged))
        session().flush()
    elif at - known.refused_at >= NOTED_EVERY or merged[0] not in kept:
        known.refused_at, known.names = at, merged
