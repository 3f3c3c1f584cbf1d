"""Where a contact point sends to now, or why nowhere."""

from typing import Any

import pytest

from anomify.channel.message import Receipt, Target
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.settings import keep_former_secret
from anomify.delivery.recipient import target_of_contact
from tests.delivery.deliveries import KEY, NOON
from tests.factories import make_contact_point, make_org, make_user

pytestmark = pytest.mark.usefixtures("unit", "clock")


def target(point: ContactPoint) -> Target:
    found = target_of_contact(point, NOON, KEY)
    assert isinstance(found, Target), found
    return found


def refusal(point: ContactPoint) -> Receipt:
    found = target_of_contact(point, NOON, KEY)
    assert isinstance(found, Receipt), found
    assert not found.is_delivered
    return found


class TestTargetOfContact:
    def test_a_webhook_has_its_url_and_both_secrets_during_a_rotation(self) -> None:
        values = {"url": "https://hooks.example/in", "secret": "whsec_new"}
        point = make_contact_point(make_org(), "webhook", KEY, values=values)
        keep_former_secret(point, "whsec_former", NOON, KEY)

        found = target(point)

        assert (found.address, found.secrets) == (values["url"], ("whsec_new", "whsec_former"))
        assert found.settings == values

    def test_a_person_is_written_to_at_the_present_address(self) -> None:
        org = make_org()
        user = make_user(org, "Bob")
        point = make_contact_point(org, "email", KEY, user_id=user.id)
        user.email = "new@acme.example"

        found = target(point)

        assert (found.address, found.name) == ("new@acme.example", "Bob")
        assert found.settings == {"address": "new@acme.example"}

    def test_a_text_message_goes_to_the_present_number(self) -> None:
        org = make_org()
        user = make_user(org, "Bob", phone_number="+4930123456")
        values = {"account_sid": "A", "auth_token": "t", "from": "+15005550006"}
        point = make_contact_point(org, "sms", KEY, user_id=user.id, values=values)

        assert target(point).address == "+4930123456"
        user.phone_number = None
        assert "no phone number" in refusal(point).problem

    def test_mentioned_people_are_looked_up(self) -> None:
        org = make_org()
        bob = make_user(org, "Bob", slack_member_id="U1")
        carol = make_user(org, "Carol")
        values = {"token": "x", "channel": "#a", "mentioned_user_ids": f"{bob.id},{carol.id},99"}
        point = make_contact_point(org, "slack", KEY, values=values)

        assert target(point).settings == {"token": "x", "channel": "#a", "mentions": "U1"}

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"deleted_at": NOON}, "deleted"),
            ({"stopped_at": NOON}, "410"),
            ({"kind": "email", "values": {"address": "x@y.example"}}, "confirmed"),
        ],
    )
    def test_sends_nowhere(self, row: dict[str, Any], reason: str) -> None:
        kind = row.get("kind", "webhook")
        more = {name: value for name, value in row.items() if name != "kind"}
        receipt = refusal(make_contact_point(make_org(), kind, KEY, **more))

        assert reason in receipt.problem
        assert receipt.is_permanent

    def test_people_who_want_no_mails_or_left_the_org_get_none(self) -> None:
        org = make_org()
        bob = make_user(org, "Bob", wants_email_alerts=False)
        charlie = make_user(make_org("Globex"), "Charlie")

        assert "does not want" in refusal(make_contact_point(org, "email", user_id=bob.id)).problem
        assert "not a user" in refusal(make_contact_point(org, "email", user_id=charlie.id)).problem

    def test_settings_sealed_with_another_key_are_tried_again_later(self) -> None:
        point = make_contact_point(make_org(), "webhook", b"x" * 32, values={"url": "https://a/"})

        assert not refusal(point).is_permanent
