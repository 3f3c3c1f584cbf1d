import base64

import pytest
from standardwebhooks.webhooks import Webhook

from anomify.channel.signature import key_of, new_secret, signature
from anomify.clock import now_timestamp


class TestNewSecret:
    def test_has_the_specified_format_and_is_random(self) -> None:
        made = {new_secret() for _ in range(10)}

        assert len(made) == 10
        assert all(len(key_of(secret) or b"") == 24 for secret in made)


class TestKeyOf:
    @pytest.mark.parametrize("size", [24, 64])
    def test_decodes_allowed_secrets(self, size: int) -> None:
        key = b"k" * size

        assert key_of("whsec_" + base64.b64encode(key).decode()) == key

    @pytest.mark.parametrize(
        "secret",
        [
            "",
            "hunter2",
            "whsec_",
            "whsec_not base64!",
            "whsec_ümlaut",
            "whsec_" + base64.b64encode(b"k" * 23).decode(),
            "whsec_" + base64.b64encode(b"k" * 65).decode(),
            "WHSEC_" + base64.b64encode(b"k" * 24).decode(),
        ],
    )
    def test_refuses_everything_else(self, secret: str) -> None:
        assert key_of(secret) is None


class TestSignature:
    def test_equals_the_published_example(self) -> None:
        # The example of the specification's own text.
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        signed = signature(
            key_of(secret) or b"",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
        )

        assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_is_verified_by_the_library_of_the_specification(self) -> None:
        secret = new_secret()
        body = '{"grüße": 1}'.encode()
        timestamp = now_timestamp()
        headers = {
            "webhook-id": "m1",
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(key_of(secret) or b"", "m1", timestamp, body),
        }

        assert Webhook(secret).verify(body, headers) == {"grüße": 1}
