import pytest
from sqlalchemy.exc import OperationalError

from anomify.clock import now
from anomify.errors import Denied, Unauthenticated, Unavailable
from anomify.org import verified_token
from anomify.org.model import Org
from anomify.org.token import create_token, revoke_token
from anomify.org.verified_token import VerifiedTokens


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


class AwayAtWill:
    """A database that can be away."""

    def __init__(self, database):
        self._database = database
        self.is_away = False
        self.is_locked = False
        self.requested = 0

    def unit_of_work(self, *, write=True, wait_seconds=None):
        self.requested += 1
        if self.is_away or (write and self.is_locked):
            raise OperationalError("BEGIN", {}, Exception("gone"))
        return self._database.unit_of_work(write=write, wait_seconds=wait_seconds)


@pytest.fixture
def acme(database):
    with database.unit_of_work() as session:
        org = Org(name="Acme", created_at=now())
        session.add(org)
        session.flush()
        token, text = create_token(org, "agent", ["ingest"], "tests")
    return org, token, text


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def away(database):
    return AwayAtWill(database)


@pytest.fixture
def tokens(away, clock):
    return VerifiedTokens(away, clock)


class TestHolder:
    def test_returns_the_org_and_scopes(self, tokens, acme):
        org, _, text = acme
        holder = tokens.holder(text, "ingest")
        assert (holder.org_id, holder.token_name) == (org.id, "agent")

    def test_records_the_use(self, tokens, acme, database):
        _, token, text = acme
        tokens.holder(text, "ingest")
        with database.unit_of_work(write=False) as session:
            assert session.get(type(token), token.id).last_used_at is not None

    def test_does_not_read_the_database_again_within_half_a_minute(self, tokens, acme, away, clock):
        tokens.holder(acme[2], "ingest")
        requested = away.requested
        clock.seconds += 29
        tokens.holder(acme[2], "ingest")
        assert away.requested == requested
        clock.seconds += 2
        tokens.holder(acme[2], "ingest")
        assert away.requested > requested

    def test_refuses_a_token_revoked_elsewhere_after_the_cache_expires(
        self, tokens, acme, database, clock
    ):
        org, token, text = acme
        tokens.holder(text, "ingest")
        with database.unit_of_work():
            revoke_token(org, token.id, "Alice")
        clock.seconds += 31
        with pytest.raises(Unauthenticated):
            tokens.holder(text, "ingest")

    def test_removes_tokens_revoked_in_this_process_at_once(self, tokens, acme, database):
        org, token, text = acme
        database.subscribe(tokens.take_notice)
        with database.unit_of_work():
            _, other = create_token(org, "other", ["ingest"], "tests")
        assert tokens.holder(other, "ingest") == tokens.holder(other, "ingest")
        tokens.holder(text, "ingest")
        with database.unit_of_work():
            revoke_token(org, token.id, "Alice")
            # Not before it is committed: it may still come to nothing.
            assert tokens.holder(text, "ingest").org_id == org.id
        with pytest.raises(Unauthenticated):
            tokens.holder(text, "ingest")
        assert tokens.holder(other, "ingest").org_id == org.id

    def test_does_not_cache_a_read_from_before_the_revocation(self, tokens, acme, database):
        org, token, text = acme
        database.subscribe(tokens.take_notice)
        find = tokens._find

        def find_and_lose(*requested):
            found = find(*requested)
            tokens._find = find
            with database.unit_of_work():
                revoke_token(org, token.id, "Alice")
            return found

        tokens._find = find_and_lose
        tokens.holder(text, "ingest")
        with pytest.raises(Unauthenticated):
            tokens.holder(text, "ingest")

    def test_trusts_for_five_minutes_without_the_database(self, tokens, acme, away, clock):
        tokens.holder(acme[2], "ingest")
        away.is_away = True
        clock.seconds += 299
        assert tokens.holder(acme[2], "ingest").org_id == acme[0].id
        clock.seconds += 7
        with pytest.raises(Unavailable) as failure:
            tokens.holder(acme[2], "ingest")
        assert failure.value.retry_after_seconds == 5

    def test_does_not_try_a_failing_database_for_every_request(self, tokens, acme, away, clock):
        tokens.holder(acme[2], "ingest")
        away.is_away = True
        clock.seconds += 60
        tokens.holder(acme[2], "ingest")
        requested = away.requested
        clock.seconds += 4
        tokens.holder(acme[2], "ingest")
        assert away.requested == requested

    def test_accepts_a_token_whose_use_cannot_be_recorded(self, tokens, acme, away):
        away.is_locked = True
        org, _, text = acme
        assert tokens.holder(text, "ingest").org_id == org.id

    def test_raises_unavailable_for_an_unknown_token_without_the_database(self, tokens, acme, away):
        away.is_away = True
        with pytest.raises(Unavailable):
            tokens.holder(acme[2], "ingest")

    def test_refuses_a_token_without_the_scope(self, tokens, acme):
        with pytest.raises(Denied, match="read"):
            tokens.holder(acme[2], "read")

    @pytest.mark.parametrize("text", [None, "", "x", "anm_é", "anm_" + "0" * 60])
    def test_refuses_other_texts_without_the_database(self, tokens, away, text):
        with pytest.raises(Unauthenticated):
            tokens.holder(text, "ingest")
        assert away.requested == 0

    def test_removes_the_oldest_of_too_many(self, tokens, acme, database, away, monkeypatch):
        monkeypatch.setattr(verified_token, "REMEMBERED_MAX", 1)
        org, _, first = acme
        with database.unit_of_work():
            second = create_token(org, "other", ["ingest"], "tests")[1]
        tokens.holder(first, "ingest")
        tokens.holder(second, "ingest")
        requested = away.requested
        tokens.holder(first, "ingest")
        assert away.requested > requested
