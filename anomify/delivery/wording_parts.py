"""Parts of sentences about incidents: what is unusual, how many there are, and the link."""

from typing import Final

from anomify.delivery.facts import AnomalyFacts, IncidentFacts
from anomify.delivery.wording_anomaly import phrase, short

INCIDENT_LINK_WORDS: Final = "View the incident"


def incident_link(incident: IncidentFacts, base_url: str) -> str:
    """Return the address of the page of an incident."""
    return f"{base_url}/ui/incident/{incident.id}"


def what_is_unusual(anomaly: AnomalyFacts) -> str:
    """Return what is unusual about an anomaly, as a part of a sentence."""
    return "no data comes" if anomaly.is_silence else phrase(anomaly)


def first_and_more(anomaly: AnomalyFacts, incident: IncidentFacts) -> str:
    """Return the name of the first metric, and how many others there are."""
    return f"{short(anomaly.metric_name)} and {incident.metrics - 1:,} more"


def count_of_anomalies(incident: IncidentFacts) -> str:
    """Return how many anomalies there are, in words."""
    return counted(incident.anomaly_count, "anomaly", "anomalies")


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number of things in words.

    >>> counted(1, "metric"), counted(2_000, "anomaly", "anomalies")
    ('1 metric', '2,000 anomalies')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
