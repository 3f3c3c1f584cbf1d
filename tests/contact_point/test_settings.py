"""The settings of a contact point: sealed for its org, and read back as they were."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.contact_point.model import ContactPoint
from anomify.contact_point.settings import (
    FORMER_SECRET_FOR,
    keep_former_secret,
    settings_of,
    signing_secrets,
    store_settings,
)
from anomify.org.sealing import SealBroken, seal

KEY = b"k" * 32
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.dictionaries(TEXTS, TEXTS, max_size=6))
def test_settings_are_read_back_and_stand_nowhere_in_the_row(values: dict[str, str]) -> None:
    point = ContactPoint(org_id=7)
    store_settings(point, values, KEY)

    assert settings_of(point, KEY) == values
    assert point.settings_open is None
    stored = point.settings_sealed or ""
    assert not any(value in stored for value in values.values() if len(value) > 12)


def test_settings_of_another_org_or_key_are_not_read() -> None:
    point = ContactPoint(org_id=7)
    store_settings(point, {"token": "t"}, KEY)
    moved = ContactPoint(org_id=8, settings_sealed=point.settings_sealed)

    with pytest.raises(SealBroken):
        settings_of(moved, KEY)
    with pytest.raises(SealBroken):
        settings_of(point, b"x" * 32)


def test_settings_moved_by_an_upgrade_are_read_before_they_are_sealed() -> None:
    point = ContactPoint(
        org_id=7, settings_open={"url": "https://a.example/", "secret_sealed": seal(KEY, 7, "s")}
    )

    assert settings_of(point, KEY) == {"url": "https://a.example/", "secret": "s"}


def test_a_replaced_secret_signs_for_a_day() -> None:
    point = ContactPoint(org_id=7)
    keep_former_secret(point, "former", NOON, KEY)
    values = {"secret": "new"}

    last = NOON + FORMER_SECRET_FOR
    assert signing_secrets(point, values, last - timedelta(seconds=1), KEY) == ("new", "former")
    assert signing_secrets(point, values, last, KEY) == ("new",)
    assert signing_secrets(point, {}, last, KEY) == ()
