"""The words of a watcher's summary."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from anomify.delivery.facts import Facts, ReportedIncident, ReportFacts, moment
from anomify.delivery.wording_anomaly import (
    Wording,
    duration_in_two_units,
    lines_of,
    local_time,
    phrase,
    short,
)
from anomify.delivery.wording_parts import incident_link

_PERIODS: Final[Mapping[str, str]] = {"day": "Daily", "week": "Weekly", "month": "Monthly"}


def wording_of_report(facts: Facts, report: ReportFacts, zone: tzinfo, base_url: str) -> Wording:
    """Return the words of a summary. Links begin with `base_url`; times are in the org's zone."""
    name = short(facts.watcher_name)
    begun = _counted(report)
    more = report.ongoing_count - len(report.ongoing)
    return Wording(
        subject=f"{_PERIODS.get(report.period, 'New')} summary of {name}: {begun}",
        headline=f"{_PERIODS.get(report.period, 'New')} summary",
        sentence=(
            f"The watcher {facts.watcher_name} of {facts.org_name} had {begun} from "
            f"{local_time(report.from_ms, zone)} to {local_time(report.until_ms, zone)}. "
            f"{_going_on(report.ongoing_count)}"
        ),
        lines=lines_of(
            *((_label(each), _line(each, zone, base_url)) for each in report.top),
            *(("Goes on", _line(each, zone, base_url)) for each in report.ongoing),
            ("Goes on, too", f"{_more(more, 'incident')}" if more > 0 else ""),
            ("Kept quiet", _quiet(report)),
        ),
        link=f"{base_url}/ui/watchers/{facts.watcher_id}",
        link_words="View the watcher",
    )


def report_data(report: ReportFacts, base_url: str) -> dict[str, Any]:
    """Return the same facts for programs."""
    return {
        "period": report.period,
        "from": _iso(report.from_ms),
        "until": _iso(report.until_ms),
        "anomaly_count": report.anomaly_count,
        "incident_count": report.incident_count,
        "top": [_data(each, base_url) for each in report.top],
        "ongoing": [_data(each, base_url) for each in report.ongoing],
        "ongoing_count": report.ongoing_count,
        "quiet_count": report.quiet_count,
    }


def _counted(report: ReportFacts) -> str:
    if not report.anomaly_count:
        return "no new anomalies"
    anomalies = _more(report.anomaly_count, "new anomaly", "new anomalies")
    if not report.incident_count:
        return anomalies
    return f"{anomalies} in {_more(report.incident_count, 'incident')}"


def _going_on(count: int) -> str:
    if not count:
        return "Nothing goes on now."
    return f"{_more(count, 'incident')} {'goes' if count == 1 else 'go'} on."


def _label(reported: ReportedIncident) -> str:
    return f"Severity {reported.incident.severity}"


def _line(reported: ReportedIncident, zone: tzinfo, base_url: str) -> str:
    incident, anomaly = reported.incident, reported.anomaly
    others = incident.anomaly_count - 1
    more = f" and {others:,} more" if others > 0 else ""
    since = f"since {local_time(incident.began_ms, zone)}"
    if incident.ended_ms is not None:
        lasted = duration_in_two_units((incident.ended_ms - incident.began_ms) / 1000)
        since = f"at {local_time(incident.began_ms, zone)} for {lasted}"
    what = "no data comes" if anomaly.is_silence else phrase(anomaly)
    return (
        f"{short(anomaly.metric_name)}{more}, {since}: {what}. {incident_link(incident, base_url)}"
    )


def _quiet(report: ReportFacts) -> str:
    if not report.quiet_count:
        return ""
    count = _more(report.quiet_count, "anomaly", "anomalies")
    left = " and others" if report.quiet_count > len(report.quiet_names) else ""
    return f"{count} by silences, maintenance or mutes: {', '.join(report.quiet_names)}{left}"


def _more(count: int, what: str, several: str = "") -> str:
    return f"{count:,} {what if count == 1 else several or what + 's'}"


def _data(reported: ReportedIncident, base_url: str) -> dict[str, Any]:
    incident, anomaly = reported.incident, reported.anomaly
    return {
        "incident_id": incident.id,
        "metric": anomaly.metric_name,
        "severity": incident.severity,
        "anomaly_count": incident.anomaly_count,
        "began_at": _iso(incident.began_ms),
        "ended_at": None if incident.ended_ms is None else _iso(incident.ended_ms),
        "explanation": anomaly.explanation,
        "url": incident_link(incident, base_url),
    }


def _iso(time_ms: int) -> str:
    return moment(time_ms).isoformat().replace("+00:00", "Z")
