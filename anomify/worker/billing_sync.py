"""Looks after those who pay: reads anew whom no news came of, and writes to those who owe."""

import logging
import threading
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from anomify.billing.account import refresh
from anomify.billing.dunning import tell_of_debt
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
# News can get lost: Stripe gives up after three days, and somebody may take the endpoint away.
READ_EVERY = timedelta(days=1)
# Of each round; the others come in the next ones.
ACCOUNTS_MAX = 50
# After so many a round ends: it is Stripe that fails, not this or that customer.
FAILURES_MAX = 5
# Of one question.
ORGS_MAX = 1000


class BillingSync:
    """Does what no webhook asks for. More than one may run at once; nothing is done twice."""

    def __init__(self, database: Database, settings: Settings, gateway: StripeGateway) -> None:
        """Take where the accounts are, and the way to Stripe."""
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
        self._tell_of_debts()
        with self._database.unit_of_work(write=False):
            unread = list_accounts_unread_since(now() - READ_EVERY, ACCOUNTS_MAX, self._failed)
            org_ids = [account.org_id for account in unread]
        # Those that could not be read come last, so that they keep nobody waiting.
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

    def _tell_of_debts(self) -> None:
        """Write to each org that owes something, if it is due; one that fails delays no other."""
        last_id = 0
        while True:
            with self._database.unit_of_work(write=False):
                overdue = list_overdue_orgs(ORGS_MAX, last_id)
            for org_id in overdue:
                try:
                    with self._database.unit_of_work():
                        tell_of_debt(org_id, self._base_url)
                except SQLAlchemyError:
                    raise
                except Exception:
                    log.exception("org %d cannot be told of what it owes", org_id)
            if len(overdue) < ORGS_MAX:
                return
            last_id = overdue[-1]

    def run_until(self, stop: threading.Event) -> None:
        """Work until told to stop; a call that is on its way then has its own deadline."""
        while not stop.is_set():
            try:
                self.run_once()
            except UpstreamFailed as failure:
                log.warning("accounts cannot be read now: %s", failure.message)
            except SQLAlchemyError as problem:
                log.warning("accounts cannot be read or kept now: %s", problem)
            stop.wait(EVERY_SECONDS)
