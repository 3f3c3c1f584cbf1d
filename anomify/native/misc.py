"""/misc: lists for forms, and times in words; open to every caller."""

from pydantic import Field

from anomify.clock import datetime_from_timestamp, now
from anomify.edge.access import ANYONE
from anomify.edge.contract import Inputs, Outputs
from anomify.native.envelope import NativeBlueprint
from anomify.native.window import Timestamp
from anomify.org.time_zone import ago, zones
from anomify.user.dialling_codes import dialling_codes

blueprint = NativeBlueprint("misc", __name__)


class PhoneCodeOut(Outputs):
    """A country and its dialling code."""

    country: str = Field(description="Its English name.", examples=["Germany"])
    iso: str = Field(description="Its two letters.", examples=["DE"])
    code: str = Field(description="What is dialled for it.", examples=["+49"])


class PhoneCodesOut(Outputs):
    """Every dialling code."""

    phonecodes: list[PhoneCodeOut] = Field(description="By the names of the countries.")


class TimezoneOut(Outputs):
    """A time zone."""

    name: str = Field(description="Its IANA name.", examples=["Europe/Berlin"])
    country: str | None = Field(description="The English name of its country.")
    iso: str | None = Field(description="The two letters of its country.")
    utc_offset: int = Field(description="Seconds ahead of UTC now.", examples=[3600])


class TimezonesOut(Outputs):
    """Time zones to choose from."""

    timezones: list[TimezoneOut] = Field(description="UTC, then the zones people live in by name.")


class TimeSinceOut(Outputs):
    """A time in words."""

    timesince: str = Field(description="How long ago it was.", examples=["2 weeks ago"])


class TimeSinceIn(Inputs):
    """Which time."""

    timestamp: Timestamp = Field(description="A moment, unix seconds.", examples=[1795190400])


@blueprint.route(
    "/misc/phonecodes",
    inputs=Inputs,
    outputs=PhoneCodesOut,
    access=ANYONE,
    has_own_transactions=True,
)
def phonecodes(inputs: Inputs) -> PhoneCodesOut:
    """List the dialling codes of all countries."""
    del inputs
    return PhoneCodesOut(
        phonecodes=[
            PhoneCodeOut(country=one.country, iso=one.iso, code=one.code)
            for one in dialling_codes()
        ]
    )


@blueprint.route(
    "/misc/timezones",
    inputs=Inputs,
    outputs=TimezonesOut,
    access=ANYONE,
    has_own_transactions=True,
)
def timezones(inputs: Inputs) -> TimezonesOut:
    """List the time zones that people live in."""
    del inputs
    return TimezonesOut(
        timezones=[
            TimezoneOut(
                name=zone.name,
                country=zone.country,
                iso=zone.country_code,
                utc_offset=zone.utc_offset_seconds,
            )
            for zone in zones(now())
        ]
    )


@blueprint.route(
    "/misc/timesince",
    inputs=TimeSinceIn,
    outputs=TimeSinceOut,
    access=ANYONE,
    has_own_transactions=True,
)
def timesince(inputs: TimeSinceIn) -> TimeSinceOut:
    """Return in words how long ago a moment was, or how far ahead it is."""
    then = datetime_from_timestamp(inputs.timestamp)
    return TimeSinceOut(timesince=ago(then, now()))
