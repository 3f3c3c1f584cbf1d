"""Send a test message to everything that a watcher notifies, and return what was answered."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from typing import Final
from uuid import uuid4

from anomify.audit.recording import record_audit
from anomify.channel.kinds import KINDS
from anomify.channel.message import Channel, Message, Receipt, Target
from anomify.clock import now
from anomify.config import Settings
from anomify.contact_point.editing import ContactEditor
from anomify.contact_point.queries import get_contact_point
from anomify.contact_point.trial import Trial, try_out
from anomify.db import Database
from anomify.delivery.facts import facts_of_test
from anomify.delivery.recipient import target_of_contact
from anomify.delivery.wording import message_of
from anomify.org.queries import get_org
from anomify.outbound.recording import Exchange, recorded_exchanges
from anomify.watcher.queries import get_watcher, linked_contacts
from anomify.watcher.reach import note_receipt

# People wait for all of them together.
WAIT_SECONDS: Final = 8.0
AT_ONCE: Final = 10
TESTED_MOST: Final = 20
SHOWN_CHARACTERS_MOST: Final = 20_000
ANSWER_CHARACTERS_MOST: Final = 2_000
HIDDEN: Final = "[hidden]"
# Shorter texts would hide words that are no secrets.
_SECRET_CHARACTERS_LEAST: Final = 4


@dataclass(frozen=True, slots=True)
class TestRequest:
    """One call of a test: what was sent, without secrets and headers, and the answer."""

    method: str
    host: str
    content_type: str
    payload: str
    status: int | None
    answer: str


@dataclass(frozen=True, slots=True)
class ContactTrial:
    """What came of the test message to one contact point."""

    contact_point_id: int
    name: str
    kind: str
    step: int
    trial: Trial
    requests: tuple[TestRequest, ...] = ()


@dataclass(slots=True)
class _Recording:
    """Sends through a channel and records its calls."""

    channel: Channel
    exchanges: list[Exchange] = field(default_factory=list)

    def send(self, message: Message, target: Target) -> Receipt:
        with recorded_exchanges() as exchanges:
            self.exchanges = exchanges
            return self.channel.send(message, target)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the test of one contact point needs, read before its unit of work ends."""

    contact_point_id: int
    name: str
    kind: str
    step: int
    message: Message
    target: Target | Receipt


class WatcherTester:
    """Tests watchers; needs that no unit of work is open."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Read from this database, and send with these settings."""
        self._database = database
        self._settings = settings
        self._key = ContactEditor(settings).key

    def test(self, org_id: int, watcher_id: int, actor: str) -> list[ContactTrial]:
        """Send a test to each contact point, all at once; those of later steps, too.

        Raises `NotFound`. At most TESTED_MOST are tested.
        """
        with self._database.unit_of_work(write=False):
            prepared = self._prepared(org_id, watcher_id)
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            trials = list(pool.map(self._sent, prepared))
        with self._database.unit_of_work():
            watcher = get_watcher(org_id, watcher_id)
            target = f"{watcher.name} ({watcher.id})"
            record_audit(org_id, actor=actor, action="watcher.test", target=target)
            for each in trials:
                if each.trial.is_attempted:
                    receipt = Receipt(
                        is_delivered=each.trial.is_delivered, problem=each.trial.problem
                    )
                    note_receipt(get_contact_point(org_id, each.contact_point_id), receipt)
        return trials

    def _prepared(self, org_id: int, watcher_id: int) -> list[_Prepared]:
        org, watcher, at = get_org(org_id), get_watcher(org_id, watcher_id), now()
        return [
            _Prepared(
                point.id,
                point.name,
                point.kind,
                step,
                message_of(
                    facts_of_test(org, watcher, at, point),
                    self._settings.base_url,
                    message_id=str(uuid4()),
                ),
                target_of_contact(point, at, self._key),
            )
            for step, point in linked_contacts([watcher.id])[watcher.id][:TESTED_MOST]
        ]

    def _sent(self, prepared: _Prepared) -> ContactTrial:
        kind = KINDS.get(prepared.kind)
        if kind is None:
            trial = Trial(
                is_delivered=False,
                problem="This server cannot send messages of this kind.",
                is_attempted=False,
            )
            recording: list[Exchange] = []
            secrets: list[str] = []
        else:
            channel = _Recording(kind.make(self._settings))
            trial = try_out(channel, prepared.message, prepared.target, WAIT_SECONDS)
            recording = list(channel.exchanges)
            secrets = _secrets_of(prepared)
        return ContactTrial(
            prepared.contact_point_id,
            prepared.name,
            prepared.kind,
            prepared.step,
            trial,
            tuple(_shown(each, secrets) for each in recording),
        )


def _secrets_of(prepared: _Prepared) -> list[str]:
    """Return the texts that are not shown: secret settings, and addresses that are passwords."""
    target = prepared.target
    if isinstance(target, Receipt):
        return []
    hidden = {
        setting.name
        for setting in KINDS[prepared.kind].settings
        if setting.is_secret or setting.is_url
    }
    found = [value for name, value in target.settings.items() if name in hidden]
    found += [*target.secrets]
    return sorted(
        {each for each in found if len(each) >= _SECRET_CHARACTERS_LEAST}, key=len, reverse=True
    )


def _shown(exchange: Exchange, secrets: list[str]) -> TestRequest:
    payload, answer = _text_of(exchange), exchange.answer.decode(errors="replace")
    for secret in secrets:
        payload, answer = payload.replace(secret, HIDDEN), answer.replace(secret, HIDDEN)
    return TestRequest(
        exchange.method,
        exchange.host,
        exchange.content_type,
        payload[:SHOWN_CHARACTERS_MOST],
        exchange.status,
        answer[:ANSWER_CHARACTERS_MOST],
    )


def _text_of(exchange: Exchange) -> str:
    """Return what was sent as text; of a mail its headers and its text."""
    if exchange.method != "SMTP":
        return exchange.body.decode(errors="replace")
    mail = message_from_bytes(exchange.body, _class=EmailMessage, policy=modern)
    text = mail.get_body(("plain",))
    headers = "\n".join(f"{name}: {mail[name]}" for name in ("From", "To", "Subject") if mail[name])
    return f"{headers}\n\n{'' if text is None else text.get_content()}"
