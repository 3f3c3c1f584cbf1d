"""The wording of admin alerts: what stopped, since when, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from anomify.admin_alert.model import RaisedAlert
from anomify.admin_alert.settings import ALL_STOPPED, KINDS, QUOTA_EXCEEDED
from anomify.metric.status import in_words
from anomify.org.model import Org

# Metrics named in a letter; the page that it leads to shows all of them.
NAMED_MAX: Final = 20
PAGE: Final = "/ui/adminalert"


@dataclass(frozen=True, slots=True)
class AlertText:
    """A subject and a text."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class StoppedMetric:
    """A metric that is silent, and since when."""

    name: str
    since: datetime


def raised_letter(
    org: Org, raised: RaisedAlert, gone: Sequence[StoppedMetric], base_url: str
) -> AlertText:
    """Say what has stopped, or which names were refused."""
    if raised.type_id == QUOTA_EXCEEDED:
        return _quota_letter(org, raised, [one.name for one in gone], base_url)
    since = _time(raised.began_at, org)
    if raised.type_id == ALL_STOPPED:
        happened = f"No metric of {org.name} has reported since {since}."
        advice = (
            "Look at whatever sends them: a collector that has stopped, a network in between, or a"
            " key that was revoked. This server is up and waits for them."
        )
    else:
        count = _metrics(len(gone))
        happened = f"{count} of {org.name} {_have(len(gone))} stopped reporting, others go on."
        advice = (
            f"You are told when they are back. What stays silent for {in_words(86_400_000)} is not"
            " waited for any longer; it is judged again as soon as it reports."
        )
    lines = [f"{one.name}, last heard of {_time(one.since, org)}" for one in gone]
    return AlertText(
        _subject(org, KINDS[raised.type_id].name),
        _text(happened, _listed(lines), advice, _link(raised, base_url)),
    )


def recovered_letter(org: Org, raised: RaisedAlert, returned: int, base_url: str) -> AlertText:
    """Say that it is over."""
    over_at = raised.recovered_at or raised.raised_at
    lasted = in_words(int((over_at - raised.began_at).total_seconds() * 1000))
    if raised.type_id == ALL_STOPPED:
        subject = "Metrics report again"
        happened = f"Metrics of {org.name} report again, after {lasted} of silence."
    else:
        subject = "Stopped metrics are back"
        happened = f"{_metrics(returned)} of {org.name} that had stopped {_report(returned)} again."
    began = f"It began at {_time(raised.began_at, org)}."
    return AlertText(_subject(org, subject), _text(happened, began, _link(raised, base_url)))


def left_letter(org: Org, raised: RaisedAlert, names: Sequence[str], base_url: str) -> AlertText:
    """Say which metrics are waited for no longer."""
    count = len(names)
    return AlertText(
        _subject(org, f"{_metrics(count)} silent for a day"),
        _text(
            f"{_metrics(count)} of {org.name} {_have(count)} been silent for 24 hours and"
            f" {'has' if count == 1 else 'have'} left the pipeline: nobody waits for"
            f" {'it' if count == 1 else 'them'} any longer.",
            _listed(list(names)),
            "Their past stays. As soon as one reports again it is judged again. Delete those that"
            " are gone for good: they count against your quota.",
            _link(raised, base_url),
        ),
    )


def _quota_letter(org: Org, raised: RaisedAlert, names: Sequence[str], base_url: str) -> AlertText:
    limit = "" if org.metric_quota is None else f" of {org.metric_quota:,} metrics"
    return AlertText(
        _subject(org, KINDS[QUOTA_EXCEEDED].name),
        _text(
            f"The limit{limit} of {org.name} is reached, so new metrics are refused. The ones that"
            " are known go on.",
            "Refused of late:",
            _listed(list(names)),
            "Delete metrics you do not need, exclude those you do not want judged, or have the"
            " limit raised.",
            _link(raised, base_url),
        ),
    )


def _listed(lines: list[str]) -> str:
    shown = [f"- {line}" for line in lines[:NAMED_MAX]]
    if len(lines) > NAMED_MAX:
        shown.append(f"and {len(lines) - NAMED_MAX:,} more")
    return "\n".join(shown)


def _text(*paragraphs: str) -> str:
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def _link(raised: RaisedAlert, base_url: str) -> str:
    return f"All of it: {base_url}{PAGE}?code={raised.code}"


def _subject(org: Org, what: str) -> str:
    return f"{org.name}: {what}"


def _metrics(count: int) -> str:
    return "1 metric" if count == 1 else f"{count:,} metrics"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _report(count: int) -> str:
    return "reports" if count == 1 else "report"


def _time(moment: datetime, org: Org) -> str:
    return moment.astimezone(ZoneInfo(org.timezone)).strftime("%Y-%m-%d %H:%M:%S %Z")
