"""What a watcher wants for a contact point, as the decision about messages takes it."""

from datetime import timedelta

from anomify.delivery.decision import Rules
from anomify.watcher.model import Watcher
from anomify.watcher.threshold import Operator


def rules_of(watcher: Watcher, step: int = 0, resend_seconds: int | None = None) -> Rules:
    """Return the rules of a watcher for a contact point of this step.

    `resend_seconds` is how often its channel needs the same again.
    """
    minutes = watcher.escalation_minutes
    escalate_after = None
    if step and minutes:
        escalate_after = timedelta(minutes=minutes[min(step, len(minutes)) - 1])
    # What a threshold of values finds lasts until it has been over for so long.
    waits_to_recover = watcher.threshold_operator in {None, Operator.NO_DATA}
    return Rules(
        wait=timedelta(seconds=max(watcher.group_wait_seconds, watcher.sustain_seconds)),
        update_every=timedelta(seconds=watcher.group_interval_seconds),
        reminder_every=_interval(watcher.reminder_seconds),
        recover_after=timedelta(seconds=watcher.recover_seconds if waits_to_recover else 0),
        escalate_after=escalate_after,
        resend_every=_interval(resend_seconds),
    )


def _interval(seconds: int | None) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None
