"""Requests and replies of the ingestion routes, for the documentation only."""

from pydantic import BaseModel, Field

from anomify.edge.contract import Body, DeclaredReply, Outputs, Wire

PROTOBUF = "application/x-protobuf"


class PointIn(BaseModel):
    """One datapoint."""

    metric: str = Field(
        description='Its metric\'s name: dotted, or with labels as `cpu{host="a"}`.',
        examples=["shop.orders"],
    )
    timestamp: float | str = Field(description="When, unix seconds.", examples=[1_767_225_600])
    value: float = Field(description="How much; finite.", examples=[21.5])
    fill: bool | str | None = Field(
        None,
        description="True for history: it is judged as of its own time, and nobody is notified.",
    )


class PointQueryIn(BaseModel):
    """One datapoint in a query, or a check of status or token."""

    metric: str | None = Field(None, description="The metric's name.")
    timestamp: str | None = Field(None, description="When, unix seconds.")
    value: str | None = Field(None, description="How much; a finite number.")
    fill: str | None = Field(None, description="`true` for history.")
    key: str | None = Field(
        None,
        description="A token's 32 characters of hexadecimal, for senders that cannot set headers.",
    )
    status: str | None = Field(None, description="`true` only checks whether points are accepted.")
    test: str | None = Field(
        None, description="`true` stores nothing and reports what would be stored."
    )
    validate_key: str | None = Field(None, description="`true` only checks the token.")


class PointsIn(BaseModel):
    """Many datapoints, or one beside its options."""

    metrics: list[PointIn] = Field(description="The datapoints, at most 100,000.")
    key: str | None = Field(None, description="The token, for senders that cannot set headers.")
    fill: bool | str | None = Field(None, description="True where all of them are history.")
    test: bool | str | None = Field(
        None, description="True stores nothing and reports what would be stored."
    )
    validate_key: bool | str | None = Field(None, description="True only checks the token.")


class MeasurementIn(BaseModel):
    """One measurement as Telegraf writes it."""

    name: str = Field(description="The measurement.")
    tags: dict[str, str] = Field({}, description="Its tags; they become parts of the names.")
    fields: dict[str, float] = Field(description="Its values by field; each is a metric.")
    timestamp: float | str = Field(description="When, unix seconds.")


class MeasurementsIn(BaseModel):
    """The JSON of Telegraf's HTTP output."""

    metrics: list[MeasurementIn] = Field(description="The measurements.")


class DryRunHeaders(BaseModel):
    """Headers of the request."""

    test_only: str | None = Field(
        None,
        validation_alias="x-test-only",
        description="`true` stores nothing and reports what would be stored.",
    )


class PointsHeaders(DryRunHeaders):
    """Headers that replace fields of the body."""

    telegraf: str | None = Field(None, description="`true` where the body is Telegraf's JSON.")
    prefix: str | None = Field(None, description="Telegraf: a prefix for every name.")
    fill: str | None = Field(None, description="`true` where all of the body is history.")


class PageEventIn(BaseModel):
    """An event of a web page."""

    name: str = Field(
        description="Letters, digits, - and _, in words separated by dots.", examples=["signup"]
    )
    count: int = Field(1, description="How often it happened, up to 10,000.")


class PageEventsIn(BaseModel):
    """Events of a web page."""

    key: str = Field(description="A token whose only scope is `events`.", examples=["anm_..."])
    site: str = Field(description="One word; the middle of the metrics' names.", examples=["shop"])
    events: list[PageEventIn] = Field(description="1 to 100 of them.")


class UncountedOut(Outputs):
    """An event that was not counted."""

    name: str = Field(description="Its name.")
    reason: str = Field(description="Why.")


class CountedEventsOut(Outputs):
    """The result for the events."""

    status: str = Field(description="In words: partly counted, or nothing was counted.")
    rejected: list[UncountedOut] = Field(description="Those that were not counted.")


class RefusedOut(Outputs):
    """An item that was not stored."""

    index: int = Field(description="Its place in the body, from 0.")
    metric: str = Field(description="Its metric, as far as it could be read.")
    reason: str = Field(description="Why.")


class ReportOut(Outputs):
    """The result for each item."""

    status: str = Field(description="In words: partly stored, nothing was stored, or a test.")
    message: str | None = Field(None, description="Where nothing was stored: why, in a sentence.")
    accepted: int = Field(description="How many were stored.")
    rejected: list[RefusedOut] = Field(description="Those that were not, at most 10,000 of them.")
    rejected_total: int = Field(description="How many were not.")


class DryRunReportOut(ReportOut):
    """The result that each item would have had."""

    new: list[str] = Field(description="Names of metrics that would be new.")


class CheckedOut(Outputs):
    """The reply to a check."""

    status: str = Field(description="In words.")


class IngestProblemOut(Outputs):
    """A request that was refused as a whole."""

    status: str = Field(description="Always `error`.")
    code: str = Field(description="A word for programs.")
    message: str = Field(description="A sentence for people.")
    request_id: str = Field(description="Identifies the request, for questions to support.")
    fields: dict[str, str] = Field({}, description="What is wrong with which parameter.")


STORED = DeclaredReply(204, "All of it is stored, on disk.")
PARTLY = DeclaredReply(
    207, "Some items were stored; the report lists the others.", "application/json", (ReportOut,)
)
ANSWERED = DeclaredReply(
    200,
    "Nothing was to be stored: the result of the check.",
    "application/json",
    (DryRunReportOut, CheckedOut),
)
NOTHING_STORED = DeclaredReply(
    400,
    "Nothing was stored, or with remote write 2.0 not everything.",
    "application/json",
    (ReportOut, IngestProblemOut),
)

ONE_POINT = Wire(query=PointQueryIn, replies=(STORED, ANSWERED, NOTHING_STORED))
POINTS = Wire(
    headers=PointsHeaders,
    bodies=(
        Body(
            "application/json",
            "At most 32 MiB once unpacked; gzip is taken.",
            (PointsIn, PointIn, MeasurementsIn),
        ),
    ),
    replies=(STORED, PARTLY, ANSWERED, NOTHING_STORED),
)
REMOTE_WRITE = Wire(
    bodies=(Body(PROTOBUF, "Prometheus remote write 1.0 or 2.0, compressed with snappy."),),
    replies=(
        DeclaredReply(204, "The valid items are stored on disk, the others are counted."),
        DeclaredReply(
            400,
            "Nothing was stored, or with remote write 2.0 not everything; headers give the"
            " numbers.",
            "application/json",
            (IngestProblemOut,),
        ),
    ),
)
REPORTED_WRITE = Wire(
    headers=DryRunHeaders,
    bodies=(
        Body(PROTOBUF, "Prometheus remote write 1.0 or 2.0, compressed with snappy."),
        Body("application/json", "Datapoints with labelled names.", (PointsIn, PointIn)),
    ),
    replies=(STORED, PARTLY, ANSWERED, NOTHING_STORED),
)
PAGE_EVENTS = Wire(
    bodies=(
        Body(
            "text/plain",
            "JSON as text, which browsers send without a preflight request.",
            (PageEventsIn,),
        ),
        Body("application/json", "At most 64 KiB.", (PageEventsIn,)),
    ),
    replies=(
        DeclaredReply(204, "All of it is counted, on disk."),
        DeclaredReply(
            207,
            "The report names what could not be counted.",
            "application/json",
            (CountedEventsOut,),
        ),
        DeclaredReply(
            400, "Nothing was counted.", "application/json", (CountedEventsOut, IngestProblemOut)
        ),
    ),
)
