"""The whole product with two orgs in it, and a planter for every kind of thing an input can name.

A new kind (an input declared with `names("kind")`) needs its planter in PLANTERS: it makes one
in the org and returns what the input is given. The generated tests do the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import MetaData, select

from anomify.admin_alert.model import RaisedAlert
from anomify.channel.signature import new_secret
from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database, session
from anomify.exclusion.model import Exclusion
from anomify.factory import create_app
from anomify.job.model import DEAD
from anomify.org.model import Org
from anomify.org.sealing import PURPOSE
from anomify.org.token import create_token
from anomify.triage.actor import Actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.triage.model import Comment
from anomify.triage.status import Status
from anomify.user.model import Invitation, User
from anomify.user.session import session_key, session_name
from tests.factories import (
    Cast,
    make_anomaly,
    make_cast,
    make_contact_point,
    make_delivery,
    make_incident,
    make_match,
    make_metric,
    make_pattern,
    make_session,
    make_silence,
    make_token,
    make_user,
    make_watcher,
)

# When whatever the factories find begins.
MOMENT = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())
# In the name of everything that is Acme's, so that it can be looked for wherever others look.
MARK = "acmes_own"
SECRET_KEY = "k" * 64
SETTINGS_KEY = Settings(data_dir=Path(), secret_key=SECRET_KEY).key_for(PURPOSE)
SCOPES = ("ingest", "read", "write", "admin")
# Ids that stand out in a text; each planted thing has another one.
_numbers = count(424_242, 101)


@dataclass
class Product:
    """An app, who uses it, and what Acme has in it, by the kind of thing."""

    app: Flask
    client: FlaskClient
    cast: Cast
    tokens: dict[str, str]
    # One of each kind in Acme, as an input names it.
    acmes: dict[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        found: Database = self.app.extensions["anomify"].database
        return found

    @cached_property
    def tables(self) -> MetaData:
        """Return every table of the meta database, as the database describes it."""
        found = MetaData()
        found.reflect(self.database.engine)
        return found

    def fresh_owner(self) -> tuple[str, str]:
        """Return a session of a new owner of Acme and a new token of Acme that may do all."""
        with self.database.unit_of_work():
            acme = session().get_one(Org, self.cast.acme.id)
            number = next(_numbers)
            owner = make_user(acme, f"Owner {number}", email=f"owner{number}@acme.example")
            return make_session(owner), make_token(acme, *SCOPES, name=f"fresh {number}")[1]

    def plant(self, kind: str, org: Org | None = None) -> Any:
        """Make one more thing of a kind, in Acme or in another org, and return what names it."""
        with self.database.unit_of_work():
            return PLANTERS[kind](session().get_one(Org, (org or self.cast.acme).id))


@contextmanager
def open_product(url: str, data_dir: Path, **settings: Any) -> Iterator[Product]:
    """Open the product as the factory makes it, with Acme full of things and Charlie outside.

    It is asked more than anybody would ask it, so nothing is limited unless a test wants that.
    """
    is_file = url.startswith("sqlite")
    app = create_app(
        Settings(
            data_dir=data_dir,
            database_url=None if is_file else url,
            secret_key=SECRET_KEY,
            **{"rate_limits": ("off",), **settings},
        )
    )
    app_state = app.extensions["anomify"]
    with app_state.database.unit_of_work():
        cast = make_cast()
        tokens = {
            name: create_token(org, f"{name} robot", SCOPES, maker)[1]
            for name, org, maker in (
                ("acme", cast.acme, "Alice"),
                ("globex", cast.globex, "Charlie"),
            )
        }
        # The account by which people get text messages.
        values = {"account_sid": "AC1", "auth_token": "t", "from": "+4930111", "to": "+4930222"}
        make_contact_point(cast.acme, "sms", SETTINGS_KEY, values=values)
        # The workspace in which people are mentioned.
        values = {"token": "xoxb-1", "channel": "ops"}
        make_contact_point(cast.acme, "slack", SETTINGS_KEY, values=values)
        tokens["acme reader"] = make_token(cast.acme, "read", name="reader")[1]
    product = Product(app, app.test_client(use_cookies=False), cast, tokens)
    product.acmes = {kind: product.plant(kind) for kind in PLANTERS}
    yield product
    app_state.points.close()
    app_state.database.dispose()


# --- what can be named, by kind ---


def plant_metric(org: Org) -> str:
    """A metric by its name; something was found in it at MOMENT."""
    metric = make_metric(org, f"{MARK}.load.{next(_numbers)}")
    make_anomaly(metric, anomaly_id=next(_numbers))
    return metric.name


def plant_anomaly(org: Org) -> int:
    """Return the id of an anomaly with a message."""
    metric = make_metric(org, f"{MARK}.struck.{next(_numbers)}")
    anomaly = make_anomaly(metric, anomaly_id=next(_numbers))
    make_delivery(make_watcher(org, MARK, name=f"{MARK} watcher {next(_numbers)}"), anomaly)
    return anomaly.id


def plant_comment(org: Org) -> int:
    """Return the id of a comment by the org's first user."""
    session().flush()
    first = session().scalars(select(User).where(User.org_id == org.id).order_by(User.id)).first()
    assert first is not None
    anomaly = make_anomaly(make_metric(org, f"{MARK}.discussed.{next(_numbers)}"))
    comment = Comment(
        id=next(_numbers),
        org_id=org.id,
        anomaly_id=anomaly.id,
        author_id=first.id,
        author=first.name,
        message=f"{MARK} again",
        mentioned_user_ids=[],
        created_at=now(),
    )
    session().add(comment)
    session().flush()
    return comment.id


def plant_triage_transaction(org: Org) -> int:
    """Return the id of a change of an anomaly by the org's first user."""
    first = session().scalars(select(User).where(User.org_id == org.id).order_by(User.id)).first()
    assert first is not None
    anomaly = make_anomaly(make_metric(org, f"{MARK}.acknowledged.{next(_numbers)}"))
    change = TriageChange(status=Status.ACKNOWLEDGED)
    by = Actor(first.name, first.id)
    return change_anomalies(org, {anomaly.id: change}, by, "http://a.example").transaction_id or 0


def plant_pattern(org: Org) -> int:
    """A pattern that explained something once, by its id."""
    number = next(_numbers)
    metric = make_metric(org, f"{MARK}.nightly.{number}")
    pattern = make_pattern(metric, make_anomaly(metric), id=number, label=f"{MARK} {number}")
    make_match(pattern, id=next(_numbers))
    return pattern.id


def plant_match(org: Org) -> int:
    """A match, by its id."""
    number = next(_numbers)
    metric = make_metric(org, f"{MARK}.matched.{number}")
    pattern = make_pattern(metric, id=next(_numbers), label=f"{MARK} {number}")
    return make_match(pattern, id=number).id


def plant_watcher(org: Org) -> int:
    """A watcher by its id."""
    return make_watcher(org, MARK, name=f"{MARK} watcher", id=next(_numbers)).id


def plant_deleted_watcher(org: Org) -> int:
    """A watcher that was deleted just now, by its id."""
    number = next(_numbers)
    return make_watcher(org, MARK, name=f"{MARK} {number}", id=number, deleted_at=now()).id


def plant_contact_point(org: Org) -> int:
    """A contact point by its id."""
    number = next(_numbers)
    # Of a kind that may name a user, so that each input of the routes that change it is accepted.
    return make_contact_point(
        org, "email", name=f"{MARK} {number}", id=number, user_id=plant_user(org)
    ).id


def plant_webhook_contact_point(org: Org) -> int:
    """A contact point of the kind webhook by its id."""
    number = next(_numbers)
    values = {"url": f"https://{MARK.replace('_', '-')}{number}.example/in", "secret": new_secret()}
    return make_contact_point(
        org, "webhook", SETTINGS_KEY, name=f"{MARK} {number}", id=number, values=values
    ).id


def plant_user(org: Org) -> int:
    """A user by their id."""
    number = next(_numbers)
    email = f"{MARK}{number}@{org.name.lower()}.example"
    return make_user(org, f"{MARK} {number}", "editor", id=number, email=email).id


def plant_token(org: Org) -> int:
    """A token by its id."""
    return make_token(org, "read", name=f"{MARK} {next(_numbers)}")[0].id


def plant_exclusion(org: Org) -> int:
    """A rule that keeps metrics out, by its id."""
    number = next(_numbers)
    row = Exclusion(
        id=number,
        org_id=org.id,
        kind="exact",
        pattern=f"{MARK}.{number}",
        created_by="Alice",
        created_at=now(),
    )
    session().add(row)
    session().flush()
    return row.id


def plant_silence(org: Org) -> int:
    """A silence that is in force, by its id."""
    number = next(_numbers)
    return make_silence(org, id=number, comment=f"{MARK} {number}", metric=MARK).id


def plant_incident(org: Org) -> int:
    """An incident that goes on and was told of, by its id."""
    metric = make_metric(org, f"{MARK}.incident.{next(_numbers)}")
    anomaly = make_anomaly(metric, anomaly_id=next(_numbers), minutes=None)
    incident = make_incident(anomaly, id=next(_numbers))
    make_delivery(make_watcher(org, MARK, name=f"{MARK} watcher {next(_numbers)}"), anomaly)
    return incident.id


def plant_delivery(org: Org) -> str:
    """A message that was given up, by its id."""
    metric = make_metric(org, f"{MARK}.told.{next(_numbers)}")
    watcher = make_watcher(org, MARK, name=f"{MARK} watcher {next(_numbers)}")
    return make_delivery(watcher, make_anomaly(metric), state=DEAD, recipient=MARK).id


def plant_invitation(org: Org) -> int:
    """Return the id of a pending invitation."""
    number = next(_numbers)
    moment = now()
    row = Invitation(
        id=number,
        org_id=org.id,
        email=f"{MARK}{number}@guests.example",
        role="viewer",
        secret_hash=number.to_bytes(32, "big"),
        invited_by="Alice",
        created_at=moment,
        sent_at=moment,
        expires_at=moment + timedelta(hours=72),
    )
    session().add(row)
    session().flush()
    return row.id


def plant_session(org: Org) -> str:
    """A session of the org's first user, as lists of sessions name it."""
    first = session().scalars(select(User).where(User.org_id == org.id).order_by(User.id)).first()
    assert first is not None
    return session_name(session_key(make_session(first)))


def plant_adminalert(org: Org) -> str:
    """A warning of the org's admins that was raised, by the code in its letter."""
    number = next(_numbers)
    moment = now()
    row = RaisedAlert(
        org_id=org.id, type_id=1, code=f"{number:032x}", raised_at=moment, began_at=moment
    )
    session().add(row)
    session().flush()
    return row.code


PLANTERS: dict[str, Callable[[Org], Any]] = {
    "metric": plant_metric,
    "anomaly": plant_anomaly,
    "comment": plant_comment,
    "triage_transaction": plant_triage_transaction,
    "pattern": plant_pattern,
    "match": plant_match,
    "watcher": plant_watcher,
    "deleted_watcher": plant_deleted_watcher,
    "contact_point": plant_contact_point,
    "webhook_contact_point": plant_webhook_contact_point,
    "user": plant_user,
    "token": plant_token,
    "exclusion": plant_exclusion,
    "silence": plant_silence,
    "incident": plant_incident,
    "delivery": plant_delivery,
    "invitation": plant_invitation,
    "session": plant_session,
    "adminalert": plant_adminalert,
}
# What names nothing anywhere, by kind; NOBODYS_NUMBER where the kind has none here.
NOBODYS: dict[str, Any] = {
    "metric": f"{MARK}.load.999999",
    "delivery": "f" * 36,
    "session": "f" * 16,
    "adminalert": "f" * 32,
}
# Kinds that belong to one user, not to the org.
PERSONAL = {"session"}
NOBODYS_NUMBER = 999_999
# What a route needs beside the name of a thing, by parameter, where its type does not tell.
EXAMPLES: dict[str, Any] = {
    "timestamp": MOMENT,
    "chips": MARK,
    "comment": "Looking at it.",
    "remove": NOBODYS_NUMBER,
    # Mentions need one.
    "slack_channel": "ops",
    # A later step needs a time.
    **{f"escalation_minutes_{row}": str(15 * row) for row in range(1, 10)},
}
