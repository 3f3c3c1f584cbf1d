"""Signed links are valid only unchanged."""

from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from anomify.clock import now
from anomify.org.signed_link import EXPIRES, ORG, SIGNATURE, org_of_link, signed_link

KEY = b"k" * 32
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
PARAMETERS = st.dictionaries(
    TEXTS.filter(lambda name: name not in {ORG, EXPIRES, SIGNATURE}), TEXTS, max_size=4
)


def parts(link):
    address = urlsplit(link)
    return unquote(address.path), dict(parse_qsl(address.query, keep_blank_values=True))


class TestOrgOfLink:
    @given(uuid=st.from_regex(r"[0-9a-f]{32}", fullmatch=True), path=TEXTS, parameters=PARAMETERS)
    def test_returns_the_org_of_an_unchanged_link(self, uuid, path, parameters):
        path = "/image/" + path
        link = signed_link(KEY, uuid, path, parameters, now() + timedelta(days=1))
        assert org_of_link(KEY, *parts(link)) == uuid
        assert org_of_link(b"x" * 32, *parts(link)) is None

    @given(PARAMETERS, st.text(), st.text())
    def test_returns_none_for_a_forged_link(self, parameters, org_id, signature):
        query = {**parameters, ORG: org_id, EXPIRES: "99999999999", SIGNATURE: signature}
        assert org_of_link(KEY, "/image/metric", query) is None
        assert org_of_link(KEY, "/image/metric", parameters) is None

    def test_returns_none_for_an_expired_link(self):
        link = signed_link(KEY, "1" * 32, "/image/metric", {}, now() - timedelta(seconds=1))
        assert org_of_link(KEY, *parts(link)) is None
