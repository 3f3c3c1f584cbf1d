"""Buttons of messages: who made them, what they are about, and that they fit everywhere."""

import pytest

from anomify.channel.message import Action
from anomify.contact_point.button import is_genuine, read_button
from anomify.contact_point.model import ContactPoint
from anomify.delivery.buttons import buttons_of
from anomify.delivery.facts import (
    ACKNOWLEDGED,
    FLAPPING,
    MISSED,
    OPENED,
    RECOVERED,
    REMINDER,
    TEST,
    UPDATED,
)
from tests.delivery.test_wording_incidents import SILENT, anomaly, facts, three

KEY = b"k" * 32
ID_MAX = 2**31 - 1
TELEGRAM_MAX_BYTES = 64


@pytest.mark.parametrize("transition", [OPENED, UPDATED, REMINDER, FLAPPING])
def test_what_goes_on_has_genuine_buttons(transition: str) -> None:
    buttons = buttons_of(facts(transition, anomaly(), contact_point_id=4), KEY)

    assert [button.words for button in buttons] == ["Expected", "Acknowledge", "Mute 1 h"]
    for button in buttons:
        value = read_button(button.value)
        assert value is not None
        assert value.subject == "a1"
        for point, action, is_right in (
            (ContactPoint(id=4, org_id=1), button.action, True),
            (ContactPoint(id=5, org_id=1), button.action, False),
            (ContactPoint(id=4, org_id=2), button.action, False),
            (ContactPoint(id=4, org_id=1), "other", False),
        ):
            assert is_genuine(KEY, point, action, value) is is_right


@pytest.mark.parametrize("transition", [RECOVERED, MISSED, ACKNOWLEDGED, TEST])
def test_what_is_over_has_none(transition: str) -> None:
    assert buttons_of(facts(transition, anomaly(), contact_point_id=4), KEY) == ()


def test_those_of_an_incident_are_about_all_of_it_but_one_anomaly_is_expected() -> None:
    buttons = buttons_of(facts(OPENED, *three(), contact_point_id=4), KEY)

    values = {button.action: read_button(button.value) for button in buttons}
    assert {action: value and value.subject for action, value in values.items()} == {
        Action.EXPECTED: "a1",
        Action.ACKNOWLEDGE: "i9",
        Action.MUTE: "i9",
    }


def test_missing_data_is_never_called_expected() -> None:
    buttons = buttons_of(facts(OPENED, anomaly(**SILENT), contact_point_id=4), KEY)
    assert [button.action for button in buttons] == [Action.ACKNOWLEDGE, Action.MUTE]


def test_the_largest_ids_fit_into_what_telegram_takes() -> None:
    found = facts(OPENED, anomaly(number=ID_MAX), contact_point_id=ID_MAX)
    for button in buttons_of(found, KEY):
        assert len(f"{button.action.value}:{button.value}".encode()) <= TELEGRAM_MAX_BYTES
