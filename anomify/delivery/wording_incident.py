"""What an incident is in words: one anomaly in detail, or the first of several and the others."""

from dataclasses import replace
from datetime import tzinfo

from anomify.delivery.facts import (
    ACKNOWLEDGED,
    FLAPPING,
    MISSED,
    OPENED,
    RECOVERED,
    REMINDER,
    UPDATED,
    AnomalyFacts,
    Facts,
    IncidentFacts,
)
from anomify.delivery.wording_anomaly import (
    Wording,
    duration_in_two_units,
    lines_of,
    local_time,
    of_opened,
    phrase,
    short,
)
from anomify.delivery.wording_over import missed_line, of_missed, of_recovered_incident
from anomify.delivery.wording_parts import (
    INCIDENT_LINK_WORDS,
    count_of_anomalies,
    counted,
    first_and_more,
    incident_link,
    what_is_unusual,
)
from anomify.incident.model import STORM


def wording_of_incident(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    """Return the words for a message about an incident, `anomaly` being its first one."""
    words = {
        OPENED: _opened,
        UPDATED: _updated,
        REMINDER: _reminder,
        RECOVERED: of_recovered_incident,
        FLAPPING: _flapping,
        MISSED: of_missed,
        ACKNOWLEDGED: _acknowledged,
    }
    wording = words[facts.transition](facts, anomaly, incident, zone, base_url)
    extra = lines_of(
        ("Told only now", _held_line(facts, zone)),
        (
            "Came and went meanwhile",
            missed_line(facts, zone) if facts.transition != MISSED else "",
        ),
        ("Escalated", _escalated_line(facts)),
    )
    return replace(wording, lines=wording.lines + extra)


def _opened(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    if incident.kind == STORM:
        return _storm(facts, anomaly, incident, zone, base_url)
    if incident.metrics == 1:
        return of_opened(anomaly, zone, base_url)
    since = local_time(incident.began_ms, zone)
    are_so = "send no data" if incident.is_silence else "are unusual"
    return Wording(
        subject=f"{first_and_more(anomaly, incident)} {are_so}",
        headline=_headline_of_several(incident),
        sentence=(
            f"{incident.metrics:,} metrics of {facts.org_name} {are_so} since {since}. "
            f"First was {anomaly.metric_name}: {what_is_unusual(anomaly)}. "
            f"Severity {incident.severity}."
        ),
        lines=(*_lines_of_several(facts, anomaly, incident, zone),),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _storm(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    since = local_time(incident.began_ms, zone)
    return Wording(
        subject=f"{facts.org_name}: many anomalies at once, {count_of_anomalies(incident)} so far",
        headline=f"Many anomalies at once, severity {incident.severity}",
        sentence=(
            f"So much of {facts.org_name} became unusual within five minutes that what follows is "
            f"told together: {count_of_anomalies(incident)} since {since}. First of them was "
            f"{anomaly.metric_name}: {what_is_unusual(anomaly)}. Severity {incident.severity}."
        ),
        lines=(*_lines_of_several(facts, anomaly, incident, zone),),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _updated(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    since = local_time(incident.began_ms, zone)
    has_risen = bool(facts.told_severity) and facts.told_severity != incident.severity
    rise = ""
    if has_risen:
        rise = f" The severity is now {incident.severity}, it was {facts.told_severity}."
    if incident.metrics == 1:
        opened = of_opened(anomaly, zone, base_url)
        name = anomaly.metric_name
        still = "still sends no data" if anomaly.is_silence else "is still unusual"
        what = _what_follows(anomaly)
        return replace(
            opened,
            subject=f"{short(name)} {still}: severity {incident.severity} now"
            if has_risen
            else opened.subject,
            headline=f"{_still(incident)}, severity {incident.severity}",
            sentence=f"{name} {still}, since {since}{what}.{rise}",
        )
    joined = ""
    if incident.joined_count:
        joined = f" {counted(incident.joined_count, 'more anomaly', 'more anomalies')} joined since"
        joined += " the last message."
    if incident.kind == STORM:
        return replace(
            _storm(facts, anomaly, incident, zone, base_url),
            sentence=(f"What began at {since} is told together. {_go_on(incident)}.{joined}{rise}"),
        )
    return Wording(
        subject=f"{first_and_more(anomaly, incident)} are unusual",
        headline=_headline_of_several(incident),
        sentence=(
            f"{incident.metrics:,} metrics of {facts.org_name} belong to what began at {since} "
            f"with {anomaly.metric_name}: {what_is_unusual(anomaly)}. "
            f"{_go_on(incident)}.{joined}{rise}"
        ),
        lines=_lines_of_several(facts, anomaly, incident, zone),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _reminder(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    lasted = duration_in_two_units((facts.occurred_ms - incident.began_ms) / 1000)
    since = local_time(incident.began_ms, zone)
    if incident.metrics == 1:
        still = "still sends no data" if anomaly.is_silence else "is still unusual"
        return replace(
            of_opened(anomaly, zone, base_url),
            subject=f"{short(anomaly.metric_name)} {still} after {lasted}",
            headline=f"{_still(incident)} after {lasted}, severity {incident.severity}",
            sentence=(
                f"{anomaly.metric_name} {still} after {lasted}, since {since}"
                f"{_what_follows(anomaly)}. Nobody has acknowledged it."
            ),
        )
    are_so = "still send no data" if incident.is_silence else "are still unusual"
    return Wording(
        subject=f"{first_and_more(anomaly, incident)} {are_so} after {lasted}",
        headline=f"{_still(incident)} after {lasted}, severity {incident.severity}",
        sentence=(
            f"What began at {since} with {anomaly.metric_name} goes on after {lasted}: "
            f"{what_is_unusual(anomaly)}. {_go_on(incident)}. Not all of it is acknowledged."
        ),
        lines=_lines_of_several(facts, anomaly, incident, zone),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _acknowledged(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    since = local_time(incident.began_ms, zone)
    by = facts.acknowledged_by or "Somebody"
    about = anomaly.metric_name if incident.metrics == 1 else first_and_more(anomaly, incident)
    return Wording(
        subject=f"{by} acknowledged {short(about)}",
        headline=f"Acknowledged by {by}",
        sentence=f"{by} acknowledged what began at {since} with {anomaly.metric_name}.",
        lines=lines_of(
            ("First", f"{anomaly.metric_name}: {what_is_unusual(anomaly)}"),
            ("Since", since),
            ("Severity", incident.severity),
        ),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _flapping(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    wording = _opened(facts, anomaly, incident, zone, base_url)
    return replace(
        wording,
        subject=f"{short(anomaly.metric_name)} keeps becoming unusual and normal again",
        headline=f"Flapping, severity {incident.severity}",
        sentence=(
            f"{anomaly.metric_name} has become unusual {facts.openings} times within an hour: "
            f"{what_is_unusual(anomaly)}. Nothing more is sent about it until it has been calm for "
            "an hour."
        ),
    )


def _lines_of_several(
    facts: Facts, anomaly: AnomalyFacts, incident: IncidentFacts, zone: tzinfo
) -> tuple[tuple[str, str], ...]:
    more = incident.metrics - 1 - len(facts.others)
    return lines_of(
        ("First", f"{anomaly.metric_name}: {what_is_unusual(anomaly)}"),
        *(("Also", f"{each.metric_name}: {what_is_unusual(each)}") for each in facts.others),
        ("", f"and {more:,} more" if more > 0 else ""),
        ("Since", local_time(incident.began_ms, zone)),
        ("Severity", incident.severity),
    )


def _what_follows(anomaly: AnomalyFacts) -> str:
    """Return what is unusual, to be added to a sentence that states that something is."""
    return "" if anomaly.is_silence else f": {phrase(anomaly)}"


def _still(incident: IncidentFacts) -> str:
    return "Still no data" if incident.is_silence else "Still unusual"


def _headline_of_several(incident: IncidentFacts) -> str:
    what = "metrics send no data" if incident.is_silence else "metrics unusual"
    return f"{incident.metrics:,} {what}, severity {incident.severity}"


def _go_on(incident: IncidentFacts) -> str:
    if incident.open_count == incident.anomaly_count:
        return "All of it goes on"
    goes = "goes" if incident.open_count == 1 else "go"
    return f"{incident.open_count:,} of {count_of_anomalies(incident)} {goes} on"


def _held_line(facts: Facts, zone: tzinfo) -> str:
    if not facts.held_why or facts.held_since_ms is None:
        return ""
    return f"Since {local_time(facts.held_since_ms, zone)} not sent because {facts.held_why}."


def _escalated_line(facts: Facts) -> str:
    if facts.escalated_after_minutes is None:
        return ""
    return f"Nobody has acknowledged it for {counted(facts.escalated_after_minutes, 'minute')}."
