"""The time window of a native request, and pages of lists."""

from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from anomify.clock import datetime_from_ms, now_timestamp
from anomify.edge.contract import Inputs
from anomify.edge.validation_sentences import WrongParameter

HOUR = 3_600
DAY = 86_400
# Ten digits of unix seconds end in the year 2286; more of them are milliseconds sent by mistake.
MOST_TIMESTAMP = 9_999_999_999
FROM_AHEAD = (
    "from lies ahead of now, where a window ends when until is left out: say until, too, or an"
    " earlier from."
)


def _moment(value: float) -> float:
    if not 0 <= value <= MOST_TIMESTAMP:
        raise ValueError(
            "Unix seconds are needed, such as 1795176000: of ten digits at most, for more of them "
            "are milliseconds."
        )
    return value


# A moment as every native route takes it.
Timestamp = Annotated[
    float,
    AfterValidator(_moment),
    Field(json_schema_extra={"minimum": 0, "maximum": MOST_TIMESTAMP}),
]


class WindowIn(Inputs):
    """`from` and `until` in unix seconds; the window is from inclusive, until exclusive."""

    from_timestamp: Timestamp | None = Field(
        None,
        validation_alias=AliasChoices("from", "from_timestamp"),
        serialization_alias="from",
        description="Start of the window, unix seconds.",
    )
    until_timestamp: Timestamp | None = Field(
        None,
        validation_alias=AliasChoices("until", "until_timestamp"),
        serialization_alias="until",
        description="End of the window, unix seconds; now when left out.",
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        start, end = self.from_timestamp, self.until_timestamp
        if end is None:
            if start is not None and start >= now_timestamp() + 1:
                raise WrongParameter("from", FROM_AHEAD)
        elif end <= 0:
            raise WrongParameter("until", "until must lie after 1970-01-01 00:00:00 UTC.")
        elif start is not None and start >= end:
            raise WrongParameter("from", "from must lie before until.")
        return self

    def window_ms(self, default_seconds: int) -> tuple[int, int]:
        """Return the window in unix milliseconds, so long by default when `from` is left out."""
        until = self.until_timestamp
        # The newest point belongs to a window that ends now.
        end = now_timestamp() + 1 if until is None else until
        start = end - default_seconds if self.from_timestamp is None else self.from_timestamp
        return round(max(start, 0) * 1000), round(end * 1000)


class PageIn(Inputs):
    """Which part of a list is wanted."""

    limit: int = Field(50, ge=1, le=500, description="How many at the most.")
    offset: int = Field(0, ge=0, le=10_000_000, description="How many to pass over first.")


def timestamp_of(time_ms: int) -> int | float:
    """Return unix milliseconds as the wire's unix seconds, exact: whole where they are whole."""
    return time_ms // 1000 if time_ms % 1000 == 0 else time_ms / 1000


def local_string(time_ms: int, timezone: str) -> str:
    """Return a moment as people of that time zone write it."""
    moment = datetime_from_ms(time_ms).astimezone(ZoneInfo(timezone))
    return moment.strftime("%Y-%m-%d %H:%M:%S %Z")
