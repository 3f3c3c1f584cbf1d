"""The buttons of a message: expected, acknowledge, mute for an hour."""

from typing import Final

from anomify.channel.message import Action, Button
from anomify.contact_point.button import (
    signed_value,
    subject_of_anomaly,
    subject_of_incident,
)
from anomify.delivery.facts import FLAPPING, OPENED, REMINDER, UPDATED, Facts

# What is told with buttons: it goes on, and nobody has taken it over as far as is known.
WITH_BUTTONS: Final = frozenset({OPENED, UPDATED, REMINDER, FLAPPING})
_WORDS: Final = {
    Action.EXPECTED: "Expected",
    Action.ACKNOWLEDGE: "Acknowledge",
    Action.MUTE: "Mute 1 h",
}


def buttons_of(facts: Facts, key: bytes) -> tuple[Button, ...]:
    """Return the buttons of a message, signed with `key`; none for what is over or a notice.

    They are about the whole incident, but whether something was expected is said of the anomaly
    that came first, and never of missing data.
    """
    anomaly, point_id = facts.anomaly, facts.contact_point_id
    if facts.transition not in WITH_BUTTONS or anomaly is None or point_id is None:
        return ()
    one = subject_of_anomaly(anomaly.id)
    incident = facts.incident
    all_of_it = one
    if incident is not None and incident.anomaly_count > 1:
        all_of_it = subject_of_incident(incident.id)
    subjects = {
        Action.EXPECTED: one,
        Action.ACKNOWLEDGE: all_of_it,
        Action.MUTE: all_of_it,
    }
    if anomaly.is_silence:
        del subjects[Action.EXPECTED]
    return tuple(
        Button(
            action,
            _WORDS[action],
            signed_value(key, facts.org_id, point_id, action.value, subject),
        )
        for action, subject in subjects.items()
    )
