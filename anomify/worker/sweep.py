"""The periodic task that deletes old rows, ends expired rules and updates onboarding steps."""

from anomify.clock import now, now_ms
from anomify.config import Settings
from anomify.contact_point.settings import seal_open_settings
from anomify.db import Database
from anomify.delivery.outbox import forget_settled
from anomify.exclusion.editing import end_expired
from anomify.metric.dry_run import delete_old_dry_runs
from anomify.metric.failing import try_isolated_again
from anomify.metric.moved import forget_moved_before
from anomify.metric.onboarding import raise_onboarding
from anomify.metric.retention import DAY_MS, retain
from anomify.metric.store import PointStore
from anomify.org.letter import forget_letters
from anomify.org.refused_items import forget_refused_items
from anomify.org.sealing import PURPOSE
from anomify.silence.editing import forget_ended
from anomify.user.client import forget_expired_clients
from anomify.user.invitation import forget_invitations
from anomify.user.second_factor import forget_attempts
from anomify.user.session import prune_sessions
from anomify.user.signup import forget_signups

# Old months whose chunks move to the file that they share, in one turn: each takes some syncs.
MOST_MONTHS_PACKED = 16


def sweep(database: Database, points: PointStore, settings: Settings) -> None:
    """Delete and end what is due; running it twice is harmless."""
    with database.unit_of_work():
        prune_sessions(now())
        forget_attempts(now())
        forget_expired_clients(now())
        forget_signups()
        raise_onboarding()
        forget_settled(now())
        forget_ended(now())
        end_expired(now())
        forget_letters(now())
        forget_invitations(now())
        delete_old_dry_runs(now())
        forget_refused_items(now_ms())
        try_isolated_again(now())
        seal_open_settings(settings.key_for(PURPOSE))
        if settings.retention_days is not None:
            forget_moved_before(now_ms() - settings.retention_days * DAY_MS)
    retain(points, settings.retention_days, now_ms())
    points.chunks.pack_old_months(MOST_MONTHS_PACKED)
