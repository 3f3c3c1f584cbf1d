"""What is over, in words: an incident that has ended, and what came and went meanwhile."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from msgspec import structs

from anomify.delivery.facts import AnomalyFacts, Facts, IncidentFacts, MissedFacts
from anomify.delivery.wording_anomaly import (
    Wording,
    duration_in_two_units,
    lines_of,
    local_time,
    of_recovered,
    peak_sentence,
    short,
)
from anomify.delivery.wording_parts import (
    INCIDENT_LINK_WORDS,
    counted,
    first_and_more,
    incident_link,
    what_is_unusual,
)

AGAIN: Final = "sending data again"


def of_recovered_incident(
    facts: Facts,
    anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    """Return the words for an incident that has ended."""
    if incident.metrics == 1:
        # Of several anomalies of a metric the first began when the incident did.
        whole = structs.replace(anomaly, started_ms=min(anomaly.started_ms, incident.began_ms))
        return of_recovered(whole, zone, base_url)
    ended_ms = facts.occurred_ms if incident.ended_ms is None else incident.ended_ms
    lasted = duration_in_two_units((ended_ms - incident.began_ms) / 1000)
    ends = {each.metric_name: _end(each) for each in (anomaly, *facts.others)}
    what, headline = _ending_of_several((anomaly, *facts.others))
    return Wording(
        subject=f"{first_and_more(anomaly, incident)} {what} after {lasted}",
        headline=headline,
        sentence=(
            f"All {incident.metrics:,} metrics of the incident that began with "
            f"{anomaly.metric_name} {what}, since {local_time(ended_ms, zone)}. It lasted "
            f"{lasted}. {_peak_of_first(anomaly, zone)}"
        ).rstrip(),
        lines=lines_of(
            ("First", f"{anomaly.metric_name}: {what_is_unusual(anomaly)}"),
            ("Since", local_time(incident.began_ms, zone)),
            ("Until", local_time(ended_ms, zone)),
            ("Lasted", lasted),
            *(
                ("Ended", f"{name}: {end}")
                for name, end in ends.items()
                if len(set(ends.values())) > 1
            ),
            ("Severity", incident.severity),
        ),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _ending_of_several(anomalies: Sequence[AnomalyFacts]) -> tuple[str, str]:
    """Return what follows the names of several metrics that are over, and the headline."""
    if any(each.dismissed for each in anomalies):
        return "are not reported any more", "Not reported any more"
    ends = {_end(each) for each in anomalies}
    if ends == {AGAIN}:
        return "send data again", "Data comes again"
    what = ends.pop() if len(ends) == 1 else "no longer unusual"
    return f"are {what}", what.capitalize()


def _peak_of_first(anomaly: AnomalyFacts, zone: tzinfo) -> str:
    peak = peak_sentence(anomaly, zone)
    return peak.replace("At its peak it", f"At its peak {anomaly.metric_name}", 1)


def of_missed(
    facts: Facts,
    _anomaly: AnomalyFacts,
    incident: IncidentFacts,
    zone: tzinfo,
    base_url: str,
) -> Wording:
    """Return the words for what came and went while messages were held back."""
    count = max(facts.missed_count, 1)
    line = missed_line(facts, zone)
    return Wording(
        subject=f"{facts.org_name}: {counted(count, 'incident')} while messages were held back",
        headline="Over by now",
        sentence=(
            f"While messages of the watcher {facts.watcher_name} were held back, "
            f"{counted(count, 'incident')} began and ended: {line}."
        ),
        lines=(),
        link=incident_link(incident, base_url),
        link_words=INCIDENT_LINK_WORDS,
    )


def _end(anomaly: AnomalyFacts) -> str:
    if anomaly.dismissed:
        return anomaly.dismissed
    if anomaly.is_silence:
        return AGAIN
    if anomaly.pattern_id is not None:
        return "as expected"
    if anomaly.has_fallen_silent:
        return "silent"
    if anomaly.accepted:
        return "at a new level"
    return "back to normal"


def missed_line(facts: Facts, zone: tzinfo) -> str:
    """Return in one line what came and went while messages were held back."""
    named = ", ".join(_gone(each, zone) for each in facts.missed)
    more = facts.missed_count - len(facts.missed)
    return f"{named} and {more:,} more" if more > 0 else named


def _gone(missed: MissedFacts, zone: tzinfo) -> str:
    others = missed.anomaly_count - 1
    more = f" and {counted(others, 'other')}" if others else ""
    return (
        f"{short(missed.metric_name)}{more} from {local_time(missed.began_ms, zone)} to "
        f"{local_time(missed.ended_ms, zone)}"
    )
