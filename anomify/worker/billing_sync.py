"""The task that reads accounts from Stripe again and writes to orgs with unpaid invoices."""

import logging
import threading
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from anomify.billing.account import refresh
from anomify.billing.dunning import write_about_debt
from anomify.billing.plans import free_plan
from anomify.billing.queries import list_accounts_unread_since, list_overdue_orgs
from anomify.billing.stripe_event import forget_events
from anomify.billing.stripe_gateway import StripeGateway
from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database
from anomify.errors import UpstreamFailed

log = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
# Webhooks can get lost: Stripe gives up after three days, and the endpoint may be removed.
READ_EVERY = timedelta(days=1)
# Accounts read in one round; the others are read in the next ones.
ACCOUNTS_MAX = 50
# After so many failures a round ends: Stripe as a whole fails, not single accounts.
FAILURES_MAX = 5
# Orgs read by one query.
ORGS_MAX = 1000


class BillingSync:
    """Does what no webhook triggers. Several may run at once; nothing is done twice."""

    def __init__(self, database: Database, settings: Settings, gateway: StripeGateway) -> None:
        """Use the accounts in `database` and Stripe through `gateway`."""
        self._database = database
        self._gateway = gateway
        self._free = free_plan(settings.free_metrics)
        self._base_url = settings.base_url
        # Orgs whose account could not be read, the one that was tried last at the end.
        self._failed: dict[int, None] = {}

    def run_once(self) -> None:
        """Read, write and forget what is due. Raises `UpstreamFailed` when Stripe fails."""
        with self._database.unit_of_work():
            forget_events(now())
        self._write_about_debts()
        with self._database.unit_of_work(write=False):
            unread = list_accounts_unread_since(now() - READ_EVERY, ACCOUNTS_MAX, self._failed)
            org_ids = [account.org_id for account in unread]
        # Those that could not be read come last, so that they do not delay the others.
        failures = 0
        for org_id in (org_ids + list(self._failed))[:ACCOUNTS_MAX]:
            self._failed.pop(org_id, None)
            try:
                refresh(self._database, self._gateway, org_id, self._free)
            except SQLAlchemyError:
                raise
            except UpstreamFailed as failure:
                self._failed[org_id] = None
                log.error("the account of org %d cannot be read: %s", org_id, failure)  # noqa: TRY400 -- the trace says nothing more
                failures += not failure.permanent
                if failures == FAILURES_MAX:
                    raise
            except Exception:
                self._failed[org_id] = None
                log.exception("the account of org %d cannot be read", org_id)

    def _write_about_debts(self) -> None:
        """Write to each org that owes something, if it is due; one that fails delays no other."""
        last_id = 0
        while True:
            with self._database.unit_of_work(write=False):
                overdue = list_overdue_orgs(ORGS_MAX, last_id)
            for org_id in overdue:
                try:
                    with self._database.unit_of_work():
                        write_about_debt(org_id, self._base_url)
                except SQLAlchemyError:
                    raise
                except Exception:
                    log.exception("the letter about unpaid invoices to org %d failed", org_id)
            if len(overdue) < ORGS_MAX:
                return
            last_id = overdue[-1]

    def run_until(self, stop: threading.Event) -> None:
        """Run until `stop` is set; a call in progress then has its own deadline."""
        while not stop.is_set():
            try:
                self.run_once()
            except UpstreamFailed as failure:
                log.warning("accounts cannot be read now: %s", failure.message)
            except SQLAlchemyError as problem:
                log.warning("accounts cannot be read or kept now: %s", problem)
            stop.wait(EVERY_SECONDS)
