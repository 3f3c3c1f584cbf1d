from datetime import UTC, datetime, timedelta

import pytest

from anomify.delivery.backoff import delay_seconds, next_attempt_at

CREATED = datetime(2026, 11, 20, 12, tzinfo=UTC)


class TestDelaySeconds:
    def test_doubles_from_ten_seconds_to_an_hour(self) -> None:
        pauses = [delay_seconds(attempts, 0.5) for attempts in range(1, 12)]

        assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]

    @pytest.mark.parametrize(("chance", "seconds"), [(0.0, 8.0), (1.0, 12.0)])
    def test_is_spread_by_a_fifth_either_way(self, chance: float, seconds: float) -> None:
        assert delay_seconds(1, chance) == pytest.approx(seconds)

    def test_stays_a_number_after_very_many_attempts(self) -> None:
        assert delay_seconds(10**9, 0.5) == 3600


class TestNextAttemptAt:
    def test_is_after_the_pause(self) -> None:
        assert next_attempt_at(CREATED, CREATED, 1, 0.5) == CREATED + timedelta(seconds=10)

    def test_honours_a_longer_retry_after_and_no_shorter_one(self) -> None:
        assert next_attempt_at(CREATED, CREATED, 1, 0.5, 7200) == CREATED + timedelta(hours=2)
        assert next_attempt_at(CREATED, CREATED, 1, 0.5, 1) == CREATED + timedelta(seconds=10)

    def test_makes_the_last_attempt_after_a_day(self) -> None:
        day = CREATED + timedelta(hours=24)

        assert next_attempt_at(CREATED, day - timedelta(minutes=1), 30, 0.5) == day
        assert next_attempt_at(CREATED, CREATED, 1, 0.5, 10**9) == day
        assert next_attempt_at(CREATED, day, 31, 0.5) is None
