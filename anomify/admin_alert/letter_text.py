"""The wording of the letters about admin alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from anomify.admin_alert.kinds import ALL_STOPPED, KINDS, QUOTA_EXCEEDED
from anomify.admin_alert.model import RaisedAlert
from anomify.metric.status import duration_in_words
from anomify.org.model import Org

# The most metrics named in a letter; the page that it links to shows all of them.
NAMED_MAX: Final = 20
PAGE: Final = "/ui/adminalert"


@dataclass(frozen=True, slots=True)
class AlertText:
    """The subject and text of a letter."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class ListedMetric:
    """A metric named in a letter, and since when it is silent or refused."""

    name: str
    since: datetime


def raised_letter(
    org: Org, alert: RaisedAlert, metrics: Sequence[ListedMetric], base_url: str
) -> AlertText:
    """Return the letter that says which metrics stopped, or which names the quota refused."""
    if alert.type_id == QUOTA_EXCEEDED:
        return _quota_letter(org, alert, [one.name for one in metrics], base_url)
    if alert.type_id == ALL_STOPPED:
        happened = f"No metric of {org.name} has reported since {_time(alert.began_at, org)}."
        advice = (
            "Check what sends the metrics: the collector may have stopped, the network may be down,"
            " or its key may have been revoked. This server is running and accepts data."
        )
    else:
        happened = (
            f"{_metrics(len(metrics))} of {org.name} {_have(len(metrics))} stopped reporting, while"
            " others still report."
        )
        advice = (
            "You will get another letter when all of them report again. A metric that stays silent"
            f" for {duration_in_words(86_400_000)} is no longer expected to report; it is judged"
            " again as soon as it does."
        )
    lines = [f"{one.name}, last reported {_time(one.since, org)}" for one in metrics]
    return AlertText(
        _subject(org, KINDS[alert.type_id].name),
        _text(happened, _bullets(lines), advice, _link(alert, base_url)),
    )


def recovered_letter(org: Org, alert: RaisedAlert, returned: int, base_url: str) -> AlertText:
    """Return the letter that says that stopped metrics report again."""
    recovered_at = alert.recovered_at or alert.raised_at
    lasted = duration_in_words(int((recovered_at - alert.began_at).total_seconds() * 1000))
    if alert.type_id == ALL_STOPPED:
        happened = f"Metrics of {org.name} report again, after {lasted} without data."
    else:
        happened = f"{_metrics(returned)} of {org.name} that had stopped {_report(returned)} again."
    began = f"They stopped at {_time(alert.began_at, org)}."
    return AlertText(
        _subject(org, KINDS[alert.type_id].name_when_over),
        _text(happened, began, _link(alert, base_url)),
    )


def left_letter(org: Org, alert: RaisedAlert, names: Sequence[str], base_url: str) -> AlertText:
    """Return the letter that says which metrics are no longer expected to report."""
    count = len(names)
    return AlertText(
        _subject(org, f"{_metrics(count)} silent for a day"),
        _text(
            f"{_metrics(count)} of {org.name} {_have(count)} not reported for 24 hours and"
            f" {'is' if count == 1 else 'are'} no longer expected to.",
            _bullets(list(names)),
            "The stored data is kept. A metric is judged again as soon as it reports. Delete the"
            " metrics that you no longer need: they count against your quota.",
            _link(alert, base_url),
        ),
    )


def _quota_letter(org: Org, alert: RaisedAlert, names: Sequence[str], base_url: str) -> AlertText:
    limit = "" if org.metric_quota is None else f" of {org.metric_quota:,} metrics"
    return AlertText(
        _subject(org, KINDS[QUOTA_EXCEEDED].name),
        _text(
            f"The quota{limit} of {org.name} is used up, so new metrics are refused. Metrics that"
            " already exist are not affected.",
            "Refused recently:",
            _bullets(list(names)),
            "Delete metrics that you do not need, exclude those that need not be judged, or ask for"
            " a higher quota.",
            _link(alert, base_url),
        ),
    )


def _bullets(lines: list[str]) -> str:
    shown = [f"- {line}" for line in lines[:NAMED_MAX]]
    if len(lines) > NAMED_MAX:
        shown.append(f"and {len(lines) - NAMED_MAX:,} more")
    return "\n".join(shown)


def _text(*paragraphs: str) -> str:
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def _link(alert: RaisedAlert, base_url: str) -> str:
    return f"Details: {base_url}{PAGE}?code={alert.code}"


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
