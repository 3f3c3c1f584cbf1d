"""The form of a watcher: what it holds, and the fields of a watcher that it stands for."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, create_model

from anomify.edge.contract import Inputs, names
from anomify.errors import Invalid
from anomify.watcher.contact_plan import RequestedContacts
from anomify.watcher.editing import UNIT_SECONDS, WatcherFields
from anomify.watcher.escalation import EscalationStep
from anomify.watcher.model import Watcher
from anomify.watcher.timing import RequestedReport, RequestedThreshold, RequestedTiming

RowId = Annotated[int, Field(ge=1, le=2**31 - 1)]
ESCALATION_ROWS: Final = 4
# Fields in minutes, by the field of a watcher in seconds.
MINUTES: Final = (
    "group_wait_seconds",
    "sustain_seconds",
    "group_interval_seconds",
    "recover_seconds",
    "reminder_seconds",
)
_NUMBERS: Final = ("value", "times_in_a_row", "function_seconds")


class _Form(Inputs):
    """What the form holds but for the numbered fields."""

    # save, preview or backtest; a suggested chip is added instead.
    action: str = Field("save", max_length=20)
    add: str = Field("", max_length=200)
    name: str = Field("", max_length=400, json_schema_extra=names(None))
    chips: str = Field("", max_length=8_000)
    alert: bool = Field(default=False)
    severity: str = Field("high", max_length=10)
    contact_point_ids: list[RowId] = Field(
        default=[], max_length=200, json_schema_extra=names("contact_point")
    )
    email_user_ids: list[RowId] = Field(default=[], max_length=200, json_schema_extra=names("user"))
    expiration_time: str = Field("1", max_length=20)
    expiration_time_unit: str = Field("hour", max_length=10)
    operator: str = Field("", max_length=20)
    function: str = Field("last", max_length=20)
    summary_report_frequency: str = Field("", max_length=40)
    summary_report_user_ids: list[RowId] = Field(
        default=[], max_length=200, json_schema_extra=names("user")
    )


def _with_numbers() -> type[_Form]:
    fields: dict[str, Any] = {
        name: (str, Field("", max_length=40)) for name in (*MINUTES, *_NUMBERS)
    }
    for number in range(1, ESCALATION_ROWS + 1):
        fields[f"escalation_minutes_{number}"] = (str, Field("", max_length=20))
        fields[f"escalation_contact_{number}"] = (
            int,
            Field(0, ge=0, le=2**31 - 1, json_schema_extra=names("contact_point")),
        )
    return create_model("WatcherFields", __base__=_Form, **fields)


class WatcherForm(_with_numbers()):  # type: ignore[misc] # made from the tables of fields
    """A watcher as it is typed."""


def values_of(watcher: Watcher | None, contacts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form shows of a watcher, or of a new one."""
    values: dict[str, Any] = {
        "name": "",
        "chips": "",
        "alert": True,
        "severity": "high",
        "contact_point_ids": contacts.get("contact_point_ids", []),
        "email_user_ids": contacts.get("email_user_ids", []),
        "expiration_time": "1",
        "expiration_time_unit": "hour",
        "operator": "",
        "value": "",
        "times_in_a_row": "1",
        "function": "last",
        "function_seconds": "",
        "summary_report_frequency": "",
        "summary_report_user_ids": [],
        **dict.fromkeys(MINUTES, ""),
        "group_interval_seconds": "5",
        "escalation": [("", 0)] * ESCALATION_ROWS,
    }
    if watcher is None:
        return values
    unit = UNIT_SECONDS[watcher.expiration_unit]
    values |= {
        "name": watcher.name,
        "chips": ", ".join(watcher.chips),
        "alert": watcher.is_alerting,
        "severity": watcher.severity,
        "expiration_time": str(watcher.expiration_seconds // unit),
        "expiration_time_unit": watcher.expiration_unit,
        "operator": watcher.threshold_operator or "",
        "value": "" if watcher.threshold_value is None else f"{watcher.threshold_value:.15g}",
        "times_in_a_row": str(watcher.threshold_times),
        "function": watcher.threshold_function,
        "function_seconds": str(watcher.threshold_function_seconds or ""),
        "summary_report_frequency": watcher.summary_report_frequency or "",
        "summary_report_user_ids": list(watcher.summary_report_user_ids),
    }
    for name in MINUTES:
        seconds = getattr(watcher, name)
        values[name] = f"{seconds / 60:.10g}" if seconds else ""
    later = [(f"{minutes}", point) for minutes, point in contacts.get("later", ())]
    rows = max(ESCALATION_ROWS, len(later))
    values["escalation"] = [*later, *[("", 0)] * (rows - len(later))][:ESCALATION_ROWS]
    return values


def given_of(inputs: Any) -> dict[str, Any]:
    """Return what was typed, to be shown again."""
    given: dict[str, Any] = {
        name: getattr(inputs, name) for name in _Form.model_fields if name not in {"action", "add"}
    }
    given |= {name: getattr(inputs, name) for name in (*MINUTES, *_NUMBERS)}
    given["escalation"] = [
        (
            getattr(inputs, f"escalation_minutes_{number}"),
            getattr(inputs, f"escalation_contact_{number}"),
        )
        for number in range(1, ESCALATION_ROWS + 1)
    ]
    return given


def fields_of(inputs: Any) -> WatcherFields:
    """Return the requested fields of a watcher. Raises `Invalid` for what is no number."""
    problems: dict[str, str] = {}

    def number(name: str, scale: float = 1.0) -> float | None:
        text = str(getattr(inputs, name)).strip().replace(",", ".")
        if not text:
            return None
        try:
            return float(text) * scale
        except ValueError:
            problems[name] = "A number is needed."
            return None

    def whole(name: str, scale: float = 1.0) -> int | None:
        found = number(name, scale)
        try:
            return None if found is None else round(found)
        except (OverflowError, ValueError):
            problems[name] = "A number is needed."
            return None

    minutes = {name: whole(name, 60.0) for name in MINUTES}
    is_threshold = bool(inputs.operator)
    requested = WatcherFields(
        chips=[each.strip() for each in inputs.chips.split(",") if each.strip()],
        name=inputs.name,
        is_alerting=inputs.alert,
        severity=inputs.severity,
        expiration_time=whole("expiration_time"),
        expiration_time_unit=inputs.expiration_time_unit,
        contacts=RequestedContacts(
            contact_point_ids=inputs.contact_point_ids,
            email_user_ids=inputs.email_user_ids,
            escalation=_escalation(inputs, whole),
        ),
        timing=RequestedTiming(
            minutes["group_wait_seconds"] or 0,
            minutes["sustain_seconds"] or 0,
            minutes["group_interval_seconds"],
            minutes["recover_seconds"] or 0,
            minutes["reminder_seconds"] or 0,
        ),
        report=RequestedReport(inputs.summary_report_frequency, inputs.summary_report_user_ids),
        threshold=RequestedThreshold(
            inputs.operator,
            number("value"),
            whole("times_in_a_row") if inputs.operator != "no_data" else None,
            inputs.function,
            whole("function_seconds"),
        )
        if is_threshold
        else RequestedThreshold(operator=""),
    )
    if problems:
        raise Invalid("The watcher cannot be saved like this.", fields=problems)
    return requested


def _escalation(inputs: Any, whole: Any) -> list[EscalationStep]:
    """Return the steps of the rows: those of the same time are one."""
    steps: dict[int, list[int]] = {}
    for row in range(1, ESCALATION_ROWS + 1):
        minutes = whole(f"escalation_minutes_{row}")
        point = getattr(inputs, f"escalation_contact_{row}")
        if minutes is not None and point:
            steps.setdefault(minutes, []).append(point)
    return [EscalationStep(minutes, steps[minutes]) for minutes in sorted(steps)]
