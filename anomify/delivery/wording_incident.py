"""What an incident is in words: one anomaly in detail, or the first of several and the others."""

from dataclasses import replace
from datetime import tzinfo
from typing import Final

from anomify.delivery.facts import (
    FLAPPING,
    MISSED,
    OPENED,
    RECOVERED,
    REMINDER,
    UPDATED,
    AnomalyFacts,
    Facts,
    IncidentFacts,
    MissedFacts,
)
from anomify.delivery.wording_anomaly import (
    Wording,
    duration_in_two_units,
    lines_of,
    local_time,
    of_opened,
    of_recovered,
    phrase,
    short,
)
from anomify.incident.model import STORM

INCIDENT_LINK_WORDS: Final = "View the incident"


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
        RECOVERED: _recovered,
        FLAPPING: _flapping,
        MISSED: _missed,
    }
    wording = words[facts.transition](facts, anomaly, incident, zone, base_url)
    extra = lines_of(
        ("Told only now", _held_line(facts, zone)),
        (
            "Came and went meanwhile",
            _missed_line(facts, zone) if facts.transition != MISSED else "",
        ),
        ("Escalated", _escalated_line(facts)),
    )
    return replace(wording, lines=wording.lines + extra)


def incident_link(incident: IncidentFacts, base_url: str) -> str:
    """Return the address of the page of an incident."""
    return f"{base_url}/ui/incident/{incident.id}"


def _opened(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    if incident.kind == STORM:
        return _storm(facts, anomaly, incident, zone, base_url)
    if incident.anomaly_count == 1:
        return of_opened(anomaly, zone, base_url)
    since = local_time(incident.began_ms, zone)
    return Wording(
        subject=f"{_and_more(anomaly, incident)} are unusual",
        headline=f"{incident.anomaly_count:,} metrics unusual, severity {incident.severity}",
        sentence=(
            f"{incident.anomaly_count:,} metrics of {facts.org_name} are unusual since {since}. "
            f"First was {anomaly.metric_name}: {_what(anomaly)}. Severity {incident.severity}."
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
        subject=f"{facts.org_name}: {incident.anomaly_count:,} more anomalies at once",
        headline=f"Many anomalies at once, severity {incident.severity}",
        sentence=(
            f"So much of {facts.org_name} became unusual within five minutes that further "
            f"anomalies are told together: {incident.anomaly_count:,} since {since}. First of them "
            f"was {anomaly.metric_name}: {_what(anomaly)}."
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
    count = incident.anomaly_count
    since = local_time(incident.began_ms, zone)
    rise = ""
    if facts.told_severity and facts.told_severity != incident.severity:
        rise = f" Its severity is now {incident.severity}, it was {facts.told_severity}."
    joined = ""
    if incident.joined_count:
        joined = f" {_more(incident.joined_count, 'metric')} joined since the last message."
    if count == 1:
        subject = f"{short(anomaly.metric_name)}: severity {incident.severity} now"
        sentence = f"{anomaly.metric_name} is still unusual, since {since}: {_what(anomaly)}.{rise}"
        return replace(
            of_opened(anomaly, zone, base_url),
            subject=subject,
            headline=f"Still unusual, severity {incident.severity}",
            sentence=sentence,
        )
    return Wording(
        subject=f"{_and_more(anomaly, incident)} are unusual",
        headline=f"{count:,} metrics unusual, severity {incident.severity}",
        sentence=(
            f"{count:,} metrics of {facts.org_name} belong to what began at {since} with "
            f"{anomaly.metric_name}; {_go_on(incident)}.{joined}{rise}"
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
    if incident.anomaly_count == 1:
        still = "sends no data" if anomaly.is_silence else "is still unusual"
        return replace(
            of_opened(anomaly, zone, base_url),
            subject=f"{short(anomaly.metric_name)} {still} after {lasted}",
            headline=f"Still unusual after {lasted}, severity {incident.severity}",
            sentence=(
                f"{anomaly.metric_name} {still} after {lasted}, since {since}: {_what(anomaly)}. "
                "Nobody has acknowledged it."
            ),
        )
    return Wording(
        subject=f"{_and_more(anomaly, incident)} are still unusual after {lasted}",
        headline=f"Still unusual after {lasted}, severity {incident.severity}",
        sentence=(
            f"What began at {since} with {anomaly.metric_name} goes on after {lasted}; "
            f"{_go_on(incident)}. Nobody has acknowledged it."
        ),
        lines=_lines_of_several(facts, anomaly, incident, zone),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _recovered(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    if incident.anomaly_count == 1:
        return of_recovered(anomaly, zone, base_url)
    ended_ms = facts.occurred_ms if incident.ended_ms is None else incident.ended_ms
    lasted = duration_in_two_units((ended_ms - incident.began_ms) / 1000)
    ends = {each.metric_name: _end(each) for each in (anomaly, *facts.others)}
    are_all_normal = all(end == "back to normal" for end in ends.values())
    what = "back to normal" if are_all_normal else "no longer unusual"
    return Wording(
        subject=f"{_and_more(anomaly, incident)} are {what} after {lasted}",
        headline=what.capitalize(),
        sentence=(
            f"All {incident.anomaly_count:,} metrics of the incident that began with "
            f"{anomaly.metric_name} are {what}, since {local_time(ended_ms, zone)}. "
            f"It lasted {lasted}."
        ),
        lines=lines_of(
            ("First", f"{anomaly.metric_name}: {phrase(anomaly)}"),
            ("Since", local_time(incident.began_ms, zone)),
            ("Until", local_time(ended_ms, zone)),
            ("Lasted", lasted),
            *((f"Now {end}", name) for name, end in ends.items() if not are_all_normal),
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
            f"{_what(anomaly)}. Nothing more is sent about it until it has been calm for an hour."
        ),
    )


def _missed(
    facts: Facts,
    _anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    count = max(facts.missed_count, 1)
    line = _missed_line(facts, zone)
    return Wording(
        subject=f"{facts.org_name}: {_more(count, 'incident')} while messages were held back",
        headline="Over by now",
        sentence=(
            f"While messages of the watcher {facts.watcher_name} were held back, "
            f"{_more(count, 'incident')} began and ended: {line}."
        ),
        lines=(),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _lines_of_several(
    facts: Facts, anomaly: AnomalyFacts, incident: IncidentFacts, zone: tzinfo
) -> tuple[tuple[str, str], ...]:
    more = incident.anomaly_count - 1 - len(facts.others)
    return lines_of(
        ("First", f"{anomaly.metric_name}: {_what(anomaly)}"),
        *(("Also", f"{each.metric_name}: {_what(each)}") for each in facts.others),
        ("", f"and {more:,} more" if more > 0 else ""),
        ("Since", local_time(incident.began_ms, zone)),
        ("Severity", incident.severity),
    )


def _what(anomaly: AnomalyFacts) -> str:
    return "no data comes" if anomaly.is_silence else phrase(anomaly)


def _end(anomaly: AnomalyFacts) -> str:
    if anomaly.is_silence:
        return "sending data again"
    if anomaly.pattern_id is not None:
        return "as expected"
    if anomaly.has_fallen_silent:
        return "silent"
    if anomaly.accepted:
        return "at a new level"
    return "back to normal"


def _go_on(incident: IncidentFacts) -> str:
    if incident.open_count == incident.anomaly_count:
        return "all of them are unusual now"
    return f"{incident.open_count:,} of them {'is' if incident.open_count == 1 else 'are'} so now"


def _and_more(anomaly: AnomalyFacts, incident: IncidentFacts) -> str:
    return f"{short(anomaly.metric_name)} and {incident.anomaly_count - 1:,} more"


def _more(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _held_line(facts: Facts, zone: tzinfo) -> str:
    if not facts.held_why or facts.held_since_ms is None:
        return ""
    return f"Since {local_time(facts.held_since_ms, zone)} not sent because {facts.held_why}."


def _missed_line(facts: Facts, zone: tzinfo) -> str:
    """Return in one line what came and went while messages were held back."""
    named = ", ".join(_gone(each, zone) for each in facts.missed)
    more = facts.missed_count - len(facts.missed)
    return f"{named} and {more:,} more" if more > 0 else named


def _gone(missed: MissedFacts, zone: tzinfo) -> str:
    others = missed.anomaly_count - 1
    more = f" and {_more(others, 'other')}" if others else ""
    return (
        f"{short(missed.metric_name)}{more} from {local_time(missed.began_ms, zone)} to "
        f"{local_time(missed.ended_ms, zone)}"
    )


def _escalated_line(facts: Facts) -> str:
    if facts.escalated_after_minutes is None:
        return ""
    return f"Nobody has acknowledged it for {_more(facts.escalated_after_minutes, 'minute')}."
