import base64
import secrets

import pytest

from anomify.org.sealing import SealBroken, seal, unseal

KEY = secrets.token_bytes(32)


class TestSeal:
    def test_can_be_unsealed_with_the_same_org_and_key(self) -> None:
        assert unseal(KEY, 7, seal(KEY, 7, "whsec_grüße")) == "whsec_grüße"

    def test_does_not_contain_the_text_and_differs_each_time(self) -> None:
        sealed = [seal(KEY, 7, "whsec_hello") for _ in range(2)]

        assert sealed[0] != sealed[1]
        assert b"hello" not in base64.b64decode(sealed[0].partition(".")[2])


class TestUnseal:
    def test_raises_with_another_key(self) -> None:
        with pytest.raises(SealBroken, match="another key"):
            unseal(secrets.token_bytes(32), 7, seal(KEY, 7, "whsec_hello"))

    def test_raises_for_another_org(self) -> None:
        with pytest.raises(SealBroken):
            unseal(KEY, 8, seal(KEY, 7, "whsec_hello"))

    def test_raises_for_a_changed_text(self) -> None:
        key_id, _, body = seal(KEY, 7, "whsec_hello").partition(".")
        raw = bytearray(base64.b64decode(body))
        raw[-1] ^= 1
        for broken in (base64.b64encode(raw).decode(), "!", "", "AAAA"):
            with pytest.raises(SealBroken):
                unseal(KEY, 7, f"{key_id}.{broken}")
