"""Tokens of an org, on both databases."""

import hashlib
import hmac
from datetime import timedelta

import pytest
import time_machine

from anomify.clock import now
from anomify.errors import Invalid, NotFound
from anomify.org import token as tokens
from anomify.org.token import (
    create_token,
    find_token,
    has_scope,
    is_token_shaped,
    list_tokens,
    revoke_token,
)
from tests.factories import make_org, make_token

pytestmark = pytest.mark.usefixtures("unit")


class TestCreateToken:
    def test_returns_the_text_and_stores_only_a_hash(self):
        org = make_org()
        token, text = create_token(org, " robot ", ["write", "read"], "Alice")
        assert is_token_shaped(text)
        assert token.public_id == text.split("_")[1]
        assert token.secret_hash == hashlib.sha256(text.encode()).digest()
        assert text not in repr(vars(token))
        assert (token.name, token.scopes) == ("robot", "read,write")
        assert has_scope(token, "read")
        assert not has_scope(token, "ingest")

    @pytest.mark.parametrize(
        ("name", "scopes"),
        [("", ["read"]), ("x" * 201, ["read"]), ("a\nb", ["read"]), ("x", []), ("x", ["billing"])],
    )
    def test_refuses_unusable_names_and_scopes(self, name, scopes):
        with pytest.raises(Invalid):
            create_token(make_org(), name, scopes, "Alice")


class TestFindToken:
    def test_finds_a_token_only_by_its_full_text(self):
        org = make_org()
        token, text = make_token(org)
        _, other = make_token(org)
        assert find_token(text) == token
        for wrong in ("", "anm", text[:-1], text + "0", text.upper(), other[:13] + text[13:]):
            assert find_token(wrong) is None

    def test_does_the_same_work_for_an_unknown_public_id(self, monkeypatch):
        compared = []
        compare = hmac.compare_digest

        def count(left, right):
            compared.append(len(left) == len(right))
            return compare(left, right)

        _, text = make_token(make_org())
        monkeypatch.setattr(tokens.hmac, "compare_digest", count)
        assert find_token(text)
        _, unknown = make_token(make_org())
        list_tokens(make_org())
        revoked = find_token(unknown)
        assert revoked
        tokens.session().delete(revoked)
        tokens.session().flush()
        assert find_token(unknown) is None
        assert compared == [True, True, True]

    def test_does_not_find_an_expired_token(self):
        token, text = make_token(make_org(), expires_at=now() + timedelta(days=1))
        assert find_token(text) == token
        with time_machine.travel(now() + timedelta(days=1)):
            assert find_token(text) is None


class TestRevokeToken:
    def test_revokes_at_once(self):
        org = make_org()
        token, text = make_token(org)
        revoke_token(org, token.id, "Alice")
        assert find_token(text) is None

    def test_does_not_revoke_a_token_of_another_org(self):
        token, text = make_token(make_org())
        with pytest.raises(NotFound):
            revoke_token(make_org("Globex"), token.id, "Charlie")
        assert find_token(text) == token


class TestListTokens:
    def test_lists_only_the_orgs_tokens(self):
        org = make_org()
        first, _ = make_token(org)
        second, _ = make_token(org)
        make_token(make_org("Globex"))
        assert list_tokens(org).items == [second, first]
        assert list_tokens(org, limit=1, offset=1).items == [first]
        assert list_tokens(org, limit=1).total == 2
