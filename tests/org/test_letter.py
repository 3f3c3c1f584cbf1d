"""Letters are stored encrypted, leased to one sender, and emptied when they are settled."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from anomify.clock import now
from anomify.job.model import DEAD, PENDING
from anomify.org.letter import (
    LEASE,
    LIFETIME,
    claim_letters,
    count_letters,
    count_waiting_letters,
    forget_letters,
    is_letter_due,
    post_letter,
    settle_letter,
)
from anomify.org.model import LETTER_SENT, Letter
from anomify.org.sealing import seal
from tests.factories import make_org


def write(**more) -> str:
    requested = {"org_id": None, "purpose": "verify", **more}
    return post_letter("ann@example.com", "Hello", "The code is 123456.", **requested)


def the_letter(unit) -> Letter:
    return unit.scalars(select(Letter).execution_options(populate_existing=True)).one()


@pytest.mark.usefixtures("unit")
class TestPost:
    @pytest.mark.parametrize("has_org", [True, False])
    def test_is_claimed_with_its_subject_and_text(self, has_org):
        write(org_id=make_org().id if has_org else None)
        (claimed,) = claim_letters(now(), 4)
        assert (claimed.to, claimed.subject) == ("ann@example.com", "Hello")
        assert claimed.text == "The code is 123456."

    def test_is_encrypted_in_the_database(self, unit):
        write()
        assert "123456" not in the_letter(unit).sealed

    def test_is_counted_by_address_and_purpose(self):
        write()
        write(purpose="reset")
        since = now() - timedelta(hours=1)
        assert count_letters("ann@example.com", "verify", since) == 1
        assert count_letters("bob@example.com", "verify", since) == 0
        assert count_letters("ann@example.com", "verify", now() + timedelta(seconds=1)) == 0
        assert count_waiting_letters() == 2


@pytest.mark.usefixtures("unit")
class TestClaim:
    def test_leases_a_letter_to_one_sender_until_the_lease_expires(self):
        write()
        at = now()
        assert is_letter_due(at)
        assert len(claim_letters(at, 4)) == 1
        assert not is_letter_due(at)
        assert claim_letters(at, 4) == []
        assert len(claim_letters(at + LEASE, 4)) == 1

    def test_gives_up_letters_sealed_with_another_key(self, unit):
        write()
        unit.info["sealing_key"] = b"x" * 32
        assert claim_letters(now(), 4) == []
        assert the_letter(unit).state == DEAD

    def test_claims_the_rest_after_a_damaged_letter(self, unit):
        key = unit.info["sealing_key"]
        at = now()
        for sealed in (
            "",
            "nothing sealed",
            seal(key, 0, "no JSON"),
            seal(key, 0, "[]"),
            seal(key, 0, '{"subject": 1, "text": 2}'),
            seal(key, 0, '{"subject": "Hello"}'),
            seal(key, 7, '{"subject": "Hello", "text": "of another org"}'),
        ):
            poisoned = unit.get_one(Letter, write())
            poisoned.sealed = sealed
            poisoned.due_at = at - timedelta(hours=1)
            sound = write()
            assert [letter.id for letter in claim_letters(now(), 4)] == [sound], sealed
            unit.flush()
            assert (poisoned.state, bool(poisoned.last_error)) == (DEAD, True)

    def test_does_not_claim_expired_letters(self):
        write(lifetime=timedelta(minutes=10))
        assert claim_letters(now() + timedelta(minutes=11), 4) == []


class TestSettle:
    def settled(self, unit, **how) -> Letter:
        write()
        (claimed,) = claim_letters(now(), 4)
        settle_letter(claimed.id, claimed.leased_until, now(), **how)
        unit.flush()
        return the_letter(unit)

    def test_empties_a_sent_letter(self, unit):
        letter = self.settled(unit, problem=None)
        assert (letter.state, letter.sealed, letter.last_error) == (LETTER_SENT, "", None)

    def test_retries_after_a_temporary_failure(self, unit):
        letter = self.settled(unit, problem="the server is away")
        assert (letter.state, letter.last_error) == (PENDING, "the server is away")
        assert letter.due_at > now()
        assert len(claim_letters(now() + timedelta(minutes=1), 4)) == 1

    def test_gives_up_after_a_permanent_failure(self, unit):
        letter = self.settled(unit, problem="no such person", is_permanent=True)
        assert (letter.state, letter.sealed) == (DEAD, "")

    def test_ignores_a_late_failure_of_an_expired_lease(self, unit):
        write()
        (late,) = claim_letters(now(), 4)
        (other,) = claim_letters(now() + LEASE, 4)
        settle_letter(late.id, late.leased_until, now(), problem="too slow", is_permanent=True)
        assert the_letter(unit).state == PENDING
        settle_letter(other.id, other.leased_until, now(), problem=None)
        assert the_letter(unit).state == LETTER_SENT


class TestForget:
    def test_gives_up_after_a_day_and_deletes_later(self, unit):
        write()
        forget_letters(now() + LIFETIME)
        assert (the_letter(unit).state, the_letter(unit).sealed) == (DEAD, "")
        forget_letters(now() + LIFETIME + timedelta(days=8))
        assert unit.scalars(select(Letter)).all() == []
