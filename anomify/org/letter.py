"""Letters: mails of our own with a link or a code in them, from written to sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import uuid4

import msgspec
from sqlalchemy import delete, func, select, update

from anomify.clock import now
from anomify.db import sealing_key, session
from anomify.job.model import DEAD, PENDING
from anomify.job.queue import Queue
from anomify.org.model import Letter
from anomify.org.sealing import SealBroken, seal, unseal

# Longer than sending may take, so that a lease expires only if its worker has died.
LEASE = timedelta(seconds=60)
# How long a letter waits for a mail server that does not answer or is not configured yet.
LIFETIME = timedelta(hours=24)
# People wait for these letters, so the first attempts follow each other quickly.
RETRY_SECONDS = (5, 15, 30, 60, 120, 300, 600)
# How long sent letters are stored, without content, to limit the number for one address.
FORGOTTEN_AFTER = timedelta(days=7)
NO_ORG = 0
# More than an outage of a day causes, so only letters that make their worker crash reach it.
MOST_ATTEMPTS = 500


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1])


LETTERS = Queue(Letter, LEASE, MOST_ATTEMPTS, _pause)


@dataclass(frozen=True, slots=True)
class ClaimedLetter:
    """A letter that is leased to the caller for sending."""

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
    its lifetime is over: give the link's own. Its content is sealed in the database and emptied
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


def store_unsent_letter(to: str, purpose: str) -> None:
    """Store a letter that is never sent, where storing none would reveal who has an account.

    It takes as long as one that is sent, and is counted like it.
    """
    letter = session().get_one(
        Letter, post_letter(to, "Nothing", "Nothing", org_id=None, purpose=purpose)
    )
    letter.close(DEAD, letter.created_at)


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
    """Return how many letters of all orgs wait to be sent; for the operator."""
    return LETTERS.count_waiting()


def latest_letter_problem() -> str | None:
    """Return the problem of the waiting letter that was tried last; None if none has failed."""
    return LETTERS.latest_problem()


def is_letter_due(at: datetime) -> bool:
    """Return whether a claim might find a letter; this changes and locks nothing."""
    return LETTERS.is_any_due(at, Letter.expires_at > at)


def claim_letters(at: datetime, most: int) -> list[ClaimedLetter]:
    """Lease due letters to the caller and return them in the order in which they were written.

    Two callers never get the same one. One that cannot be read with the present key is given up.
    """
    claimed = []
    leased = LETTERS.claim(at, most, Letter.expires_at > at)
    for letter in sorted(leased, key=attrgetter("created_at")):
        try:
            written = unseal(sealing_key(), letter.org_id or NO_ORG, letter.sealed)
            content = msgspec.json.decode(written, type=dict[str, str])
            subject, text = content["subject"], content["text"]
        except SealBroken as broken:
            LETTERS.give_up(letter, str(broken), at)
            continue
        except (msgspec.DecodeError, KeyError):
            LETTERS.give_up(letter, "The letter cannot be read.", at)
            continue
        until = letter.leased_until or at + LEASE
        claimed.append(
            ClaimedLetter(letter.id, letter.recipient, subject, text, letter.purpose, until)
        )
    return claimed


def settle_letter(
    letter_id: str,
    leased_until: datetime,
    at: datetime,
    *,
    problem: str | None,
    is_permanent: bool = False,
) -> None:
    """Record the result of an attempt; no problem means that the mail server took the letter.

    A failure is recorded only while the lease is still in force.
    """
    if problem is None:
        LETTERS.finish_unleased(letter_id, at)
        return
    letter = LETTERS.held(letter_id, leased_until)
    if letter is None:
        return
    again_at = at + _pause(letter.attempts)
    if is_permanent or again_at >= letter.expires_at:
        LETTERS.give_up(letter, problem, at)
    else:
        LETTERS.retry(letter, problem, at, again_at=again_at)


def forget_letters(at: datetime) -> None:
    """Give up letters that have expired, and delete those settled more than FORGOTTEN_AFTER ago."""
    session().execute(
        update(Letter)
        .where(Letter.state == PENDING, Letter.expires_at <= at)
        .values(state=DEAD, settled_at=at, sealed="", leased_until=None)
        .execution_options(synchronize_session=False)
    )
    session().execute(delete(Letter).where(Letter.settled_at < at - FORGOTTEN_AFTER))


def forget_letters_to(addresses: Sequence[str]) -> None:
    """Delete every letter to these addresses, sent or not, of any org."""
    session().execute(delete(Letter).where(Letter.recipient.in_(addresses)))


def stop_letters_to(address: str, org_id: int, at: datetime) -> None:
    """Give up an org's waiting letters to this address; their rows stay."""
    session().execute(
        update(Letter)
        .where(Letter.state == PENDING, Letter.recipient == address, Letter.org_id == org_id)
        .values(state=DEAD, settled_at=at, sealed="", leased_until=None)
        .execution_options(synchronize_session=False)
    )
