"""The same action has one idempotency key."""

from datetime import timedelta

import pytest
import time_machine

from anomify.billing.intent import SAME_FOR, begin_intent, finish_intent, note_result
from anomify.clock import now


@pytest.mark.usefixtures("unit")
class TestBeginIntent:
    def test_returns_the_same_key_for_the_same_action(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        assert begin_intent(acme.id, "checkout", "price_1") == first
        assert first.key.startswith(f"{acme.id}:checkout:")

    def test_returns_a_new_key_and_the_replaced_result_for_another_action(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        assert note_result(acme.id, "checkout", first, "cs_1")
        second = begin_intent(acme.id, "checkout", "price_2")
        assert second.key != first.key
        assert second.replaced_result_id == "cs_1"
        assert not note_result(acme.id, "checkout", first, "cs_1 again")

    def test_returns_a_new_key_after_the_intent_was_finished(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        finish_intent(acme.id, "checkout")
        assert begin_intent(acme.id, "checkout", "price_1").key != first.key

    def test_returns_a_new_key_after_half_an_hour(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        with time_machine.travel(now() + SAME_FOR + timedelta(seconds=1)):
            assert begin_intent(acme.id, "checkout", "price_1").key != first.key
