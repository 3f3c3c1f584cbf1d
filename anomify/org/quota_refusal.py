"""Metric names that an org's quota refused: kept for a while, so that admins can be warned."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice

from anomify.clock import now
from anomify.db import session
from anomify.org.model import QuotaRefusal

NAMES_MAX = 20
NAME_CHARACTERS_MAX = 500
# Senders repeat themselves every few seconds; storing each repetition would add nothing.
NOTED_EVERY = timedelta(minutes=1)


def note_refusals(org_id: int, names: Iterable[str]) -> None:
    """Remember that these names were refused, in the open unit of work."""
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
