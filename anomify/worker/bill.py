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
ORGS_MAX = 1000


class Bookkeeper:
    """Does what no webhook asks for. More than one may run at once; nothing is done twice."""

    def __init__(self, database: Database, settings: Settings, gateway: StripeGateway) -> None:
        """Take where the accounts are, and the way to Stripe."""
        self._database = database
        self._gateway = gateway
        self._free = free_plan(settings.free_metrics)
        self._base_url = settings.base_url

    def run_once(self) -> None:
        """Read, write and forget what is due. Raises `UpstreamFailed` when Stripe fails."""
        with self._database.unit_of_work():
            forget_events(now())
            overdue = [org.id for org in list_overdue_orgs(ORGS_MAX)]
        for org_id in overdue:
            with self._database.unit_of_work():
                tell_of_debt(org_id, self._base_url)
        with self._database.unit_of_work(write=False):
            accounts = list_accounts_unread_since(now() - READ_EVERY, ACCOUNTS_MAX)
        for account in accounts:
            try:
                refresh(self._database, self._gateway, account.org_id, self._free)
            except UpstreamFailed as failure:
                if not failure.permanent:
                    raise
                # Of this customer only: the others are not kept waiting.
                log.error("the account of org %d cannot be read: %s", account.org_id, failure)  # noqa: TRY400 -- the trace says nothing more

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
