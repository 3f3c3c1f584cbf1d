"""Letters: mails of our own with a link or a code in them, from written to sent."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from uuid import uuid4

import msgspec
from sqlalchemy import ColumnElement, delete, func, or_, select, update

from anomify.clock import now
from anomify.db import sealing_key, session
from anomify.org.model import Letter
from anomify.org.sealing import SealBroken, seal, unseal

log = logging.getLogger(__name__)

PENDING, SENT, DEAD = "pending", "sent", "dead"
# Longer than a sender may take, so that a lease runs out only when the sender is no more.
LEASE = timedelta(seconds=60)
# A letter waits this long for a mail server that does not answer, or that nobody has set yet.
LIFETIME = timedelta(hours=24)
# People wait for these in front of a form, so the first tries follow each other quickly.
RETRY_SECONDS = (5, 15, 30, 60, 120, 300, 600)
# What was sent is remembered this long, without what it said, so that nobody's box is filled.
FORGOTTEN_AFTER = timedelta(days=7)
PROBLEM_MAX_CHARACTERS = 500
NO_ORG = 0


@dataclass(frozen=True, slots=True)
class ClaimedLetter:
    """A letter that is the caller's to send until its lease runs out."""

    id: str
    to: str
    subject: str
    text: str
    purpose: str
    leased_until: datetime


def post_letter(
    to: str,
    subject: str,
    text: str,
    *,
    org_id: int | None,
    purpose: str,
    lifetime: timedelta = LIFETIME,
) -> str:
    """Put a letter into the open unit of work and return its id; a worker sends it soon.

    It is sent if and only if the unit of work is committed, at least once, and is given up when
    its lifetime is over: give the link's own. What it says is sealed in the database and emptied
    once it is sent. Where no mail server is set it waits, for the operator may set one.
    """
    moment = now()
    letter = Letter(
        id=str(uuid4()),
        org_id=org_id,
        recipient=to,
        purpose=purpose,
        sealed=seal(
            sealing_key(),
            org_id or NO_ORG,
            msgspec.json.encode({"subject": subject, "text": text}).decode(),
        ),
        state=PENDING,
        created_at=moment,
        due_at=moment,
        expires_at=moment + lifetime,
    )
    session().add(letter)
    return letter.id


def keep_quiet(to: str, purpose: str) -> None:
    """Write a letter that nobody is sent, where to write none would tell who has an account.

    It takes the same work, and counts as one.
    """
    letter = session().get_one(
        Letter, post_letter(to, "Nothing", "Nothing", org_id=None, purpose=purpose)
    )
    _close(letter, DEAD, letter.created_at)


def count_letters(to: str, purpose: str, since: datetime) -> int:
    """Return how many letters of a purpose were written to an address since then."""
    return (
        session().scalar(
            select(func.count())
            .select_from(Letter)
            .where(Letter.recipient == to, Letter.purpose == purpose, Letter.created_at >= since)
        )
        or 0
    )


def count_waiting_letters() -> int:
    """Return how many letters of all orgs wait to be sent; for whoever runs the installation."""
    waiting = select(func.count()).select_from(Letter).where(Letter.state == PENDING)
    return session().scalar(waiting) or 0


def latest_letter_problem() -> str | None:
    """Return why the letter that was tried last still waits; None where none has failed."""
    failed = select(Letter.last_error).where(
        Letter.state == PENDING, Letter.last_error.is_not(None)
    )
    return session().scalar(failed.order_by(Letter.due_at.desc()).limit(1))


def is_letter_due(at: datetime) -> bool:
    """Return whether a claim might find something; asking changes and locks nothing."""
    return session().scalar(select(Letter.id).where(*_is_free(at)).limit(1)) is not None


def claim_letters(at: datetime, most: int) -> list[ClaimedLetter]:
    """Lease due letters to the caller, oldest first; two callers never get the same one.

    One that cannot be read with the present key is given up.
    """
    free = select(Letter.id).where(*_is_free(at)).order_by(Letter.due_at, Letter.id).limit(most)
    claimed: list[tuple[datetime, ClaimedLetter]] = []
    # In one order for everybody: two that lease crosswise would wait for each other.
    for letter_id in sorted(session().scalars(free)):
        leased_until = at + LEASE
        leased = session().execute(
            update(Letter)
            .where(Letter.id == letter_id, *_is_free(at))
            .values(leased_until=leased_until, attempts=Letter.attempts + 1)
            .returning(Letter.id)
            .execution_options(synchronize_session=False)
        )
        if leased.first() is None:
            continue
        letter = session().get_one(Letter, letter_id, populate_existing=True)
        try:
            written = unseal(sealing_key(), letter.org_id or NO_ORG, letter.sealed)
            said = msgspec.json.decode(written, type=dict[str, str])
            subject, text = said["subject"], said["text"]
        except (SealBroken, msgspec.DecodeError, KeyError) as broken:
            # It must not hold up the others.
            log.warning("letter %s cannot be read and is given up: %r", letter.id, broken)
            _close(letter, DEAD, at)
            letter.last_error = (
                str(broken) if isinstance(broken, SealBroken) else "The letter cannot be read."
            )
            continue
        mine = ClaimedLetter(
            letter.id,
            letter.recipient,
            subject,
            text,
            letter.purpose,
            leased_until,
        )
        claimed.append((letter.created_at, mine))
    return [mine for _, mine in sorted(claimed, key=itemgetter(0))]


def settle_letter(
    letter_id: str,
    leased_until: datetime,
    at: datetime,
    *,
    problem: str | None,
    is_permanent: bool = False,
) -> None:
    """Write down what became of an attempt; no problem means that the mail server took it.

    A failure counts only for the one who still holds the lease.
    """
    letter = session().get(Letter, letter_id, populate_existing=True, with_for_update=True)
    if letter is None or letter.state != PENDING:
        return
    if problem is None:
        _close(letter, SENT, at)
        letter.last_error = None
        return
    if letter.leased_until != leased_until:
        return
    letter.last_error = problem[:PROBLEM_MAX_CHARACTERS]
    letter.leased_until = None
    letter.due_at = at + timedelta(
        seconds=RETRY_SECONDS[min(letter.attempts, len(RETRY_SECONDS)) - 1]
    )
    if is_permanent or letter.due_at >= letter.expires_at:
        _close(letter, DEAD, at)


def forget_letters(at: datetime) -> None:
    """Give up what nobody needs any more, and forget what was settled long ago."""
    session().execute(
        update(Letter)
        .where(Letter.state == PENDING, Letter.expires_at <= at)
        .values(state=DEAD, settled_at=at, sealed="", leased_until=None)
        .execution_options(synchronize_session=False)
    )
    session().execute(delete(Letter).where(Letter.settled_at < at - FORGOTTEN_AFTER))


def forget_letters_to(addresses: Sequence[str]) -> None:
    """Delete every letter to these addresses, sent or not, whichever org it is of."""
    session().execute(delete(Letter).where(Letter.recipient.in_(addresses)))


def stop_letters_to(address: str, org_id: int, at: datetime) -> None:
    """Give up what an org's letters to this address still wait with; that they were is kept."""
    session().execute(
        update(Letter)
        .where(Letter.state == PENDING, Letter.recipient == address, Letter.org_id == org_id)
        .values(state=DEAD, settled_at=at, sealed="", leased_until=None)
        .execution_options(synchronize_session=False)
    )


def _is_free(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Letter.state == PENDING,
        Letter.due_at <= at,
        Letter.expires_at > at,
        or_(Letter.leased_until.is_(None), Letter.leased_until <= at),
    )


def _close(letter: Letter, state: str, at: datetime) -> None:
    letter.state = state
    letter.settled_at = at
    letter.leased_until = None
    letter.sealed = ""
