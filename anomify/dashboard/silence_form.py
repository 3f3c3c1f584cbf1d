"""The form of a silence: what it holds at first, and what it sends, read as fields of a silence."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from anomify.edge.contract import Inputs, names
from anomify.errors import Invalid
from anomify.metric.name import LABELLED_NAME_MAX_BYTES
from anomify.org.daily_times import WEEKDAYS, clock_time
from anomify.silence.editing import LASTS_BY_DEFAULT, SilenceFields
from anomify.silence.model import Silence, SilenceKind

# A row's id, which fits into the database's integers.
RowId = Annotated[int, Field(ge=1, le=2**31 - 1)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
# As browsers write the value of an input of type datetime-local.
LOCAL: Final = "%Y-%m-%dT%H:%M"


class SilenceForm(Inputs):
    """A silence as the form sends it."""

    kind: SilenceKind = SilenceKind.SILENCE
    comment: Text = ""
    metric: str = Field("", max_length=LABELLED_NAME_MAX_BYTES, json_schema_extra=names(None))
    # One on each line.
    matchers: Text = ""
    # Separated by commas.
    chips: Text = ""
    everything: bool = False
    recurs: bool = False
    # Local moments such as 2026-12-24T18:00.
    begins: Text = ""
    ends: Text = ""
    local_from: Text = ""
    local_until: Text = ""
    weekdays: list[str] = Field(default=[], max_length=20)
    dates: Text = ""
    timezone: Text = ""
    contacts: list[RowId] = Field(default=[], json_schema_extra=names("contact_point"))
    notify_start: bool = False
    notify_end: bool = False
    # save, or preview to see the effect without a script.
    action: Text = "save"


class EditForm(SilenceForm):
    """A silence with its id."""

    silence_id: RowId = Field(json_schema_extra=names("silence"))


@dataclass(frozen=True, slots=True)
class ShownForm:
    """What the fields of the form hold."""

    timezone: str
    begins: str
    ends: str
    kind: str = SilenceKind.SILENCE.value
    comment: str = ""
    metric: str = ""
    matchers: str = ""
    chips: str = ""
    everything: bool = False
    recurs: bool = False
    local_from: str = "22:00"
    local_until: str = "06:00"
    weekdays: list[str] = field(default_factory=list)
    dates: str = ""
    contacts: list[int] = field(default_factory=list)
    notify_start: bool = True
    notify_end: bool = True


def blank_form(timezone: str, at: datetime, metric: str, chips: str) -> ShownForm:
    """Return the form of a new silence of an hour."""
    return ShownForm(
        timezone=timezone,
        begins="",
        ends=_local(at + LASTS_BY_DEFAULT, timezone),
        metric=metric,
        chips=chips,
    )


def form_of(silence: Silence) -> ShownForm:
    """Return the form of a stored silence."""
    daily = silence.daily
    return ShownForm(
        timezone=silence.timezone,
        begins=_local(silence.begins_at, silence.timezone),
        ends="" if silence.ends_at is None else _local(silence.ends_at, silence.timezone),
        kind=silence.kind,
        comment=silence.comment,
        metric=silence.metric or "",
        matchers="\n".join(silence.matchers),
        chips=", ".join(silence.chips),
        everything=silence.is_for_all,
        recurs=daily is not None,
        local_from="22:00" if daily is None else clock_time(daily.from_minute),
        local_until="06:00" if daily is None else clock_time(daily.until_minute),
        weekdays=[WEEKDAYS[day] for day in silence.weekdays],
        dates=", ".join(silence.dates),
        contacts=silence.notify_contact_point_ids,
        notify_start=silence.notifies_start,
        notify_end=silence.notifies_end,
    )


def sent_form(inputs: SilenceForm) -> ShownForm:
    """Return the form as it was sent, to be shown again."""
    sent = inputs.model_dump(exclude={"action", "silence_id"})
    return ShownForm(**{**sent, "kind": inputs.kind.value})


def fields_of(inputs: SilenceForm, *, stored: Silence | None = None) -> SilenceFields:
    """Return what the form sends as fields of a silence.

    The minutes of a stored beginning and end that were not changed keep their seconds. Raises
    Invalid for a moment that cannot be read.
    """
    before = None if stored is None else form_of(stored)
    is_begin_changed = before is None or before.begins != inputs.begins
    is_end_changed = before is None or before.ends != inputs.ends
    has_no_end = inputs.recurs and not inputs.ends
    return SilenceFields(
        kind=inputs.kind,
        comment=inputs.comment,
        metric=inputs.metric.strip(),
        matchers=[line for line in inputs.matchers.splitlines() if line.strip()],
        chips=[chip for chip in inputs.chips.split(",") if chip.strip()],
        everything=inputs.everything,
        begins_at=_moment(inputs.begins, inputs.timezone, "from") if is_begin_changed else None,
        ends_at=_moment(inputs.ends, inputs.timezone, "until") if is_end_changed else None,
        has_no_end=has_no_end,
        local_from=inputs.local_from if inputs.recurs else "",
        local_until=inputs.local_until if inputs.recurs else "",
        weekdays=inputs.weekdays if inputs.recurs else [],
        dates=[day for day in inputs.dates.split(",") if day.strip()] if inputs.recurs else [],
        timezone=inputs.timezone or None,
        notify_contact_point_ids=inputs.contacts,
        notifies_start=inputs.notify_start,
        notifies_end=inputs.notify_end,
    )


def _local(moment: datetime, timezone: str) -> str:
    return moment.astimezone(ZoneInfo(timezone)).strftime(LOCAL)


def _moment(text: str, timezone: str, name: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()[: len("2026-12-24T18:00")]).replace(
            tzinfo=ZoneInfo(timezone or "UTC")
        )
    except (ValueError, OSError, KeyError):
        problem = "A moment is needed, such as 2026-12-24T18:00, in a time zone that exists."
        raise Invalid("The silence cannot be saved like this.", fields={name: problem}) from None
