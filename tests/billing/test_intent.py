"""One wish, one key."""

from datetime import timedelta

import pytest
import time_machine

from anomify.billing.intent import SAME_FOR, begin_intent, finish_intent, note_result
from anomify.clock import now


@pytest.mark.usefixtures("unit")
class TestBeginIntent:
    def test_is_the_same_for_the_same_wish(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        assert begin_intent(acme.id, "checkout", "price_1") == first
        assert first.key.startswith(f"{acme.id}:checkout:")

    def test_is_another_for_another_wish_and_tells_what_it_replaces(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        assert note_result(acme.id, "checkout", first, "cs_1")
        second = begin_intent(acme.id, "checkout", "price_2")
        assert second.key != first.key
        assert second.replaced_result_id == "cs_1"
        assert not note_result(acme.id, "checkout", first, "cs_1 again")

    def test_is_another_once_it_was_finished(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        finish_intent(acme.id, "checkout")
        assert begin_intent(acme.id, "checkout", "price_1").key != first.key

    def test_is_another_after_a_while(self, acme):
        first = begin_intent(acme.id, "checkout", "price_1")
        with time_machine.travel(now() + SAME_FOR + timedelta(seconds=1)):
            assert begin_intent(acme.id, "checkout", "price_1").key != first.key
