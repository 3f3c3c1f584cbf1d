"""Create, change, delete and undelete a watcher; the rules that every API shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from anomify.anomaly.recording import SEVERITIES
from anomify.audit.recording import record_audit
from anomify.channel.signature import (
    KEY_LEAST_BYTES,
    KEY_MOST_BYTES,
    PREFIX,
    key_of,
    new_secret,
)
from anomify.clock import now
from anomify.db import session
from anomify.errors import Gone, Invalid, QuotaExceeded, UpstreamFailed
from anomify.metric.folding import fold
from anomify.metric.name import has_unseen
from anomify.org.lock import lock_org
from anomify.org.sealing import seal
from anomify.outbound.http_client import Outbound
from anomify.watcher.chip import CHIP_MAX_CHARACTERS
from anomify.watcher.model import Watcher
from anomify.watcher.queries import count_watchers, get_watcher, ids_of_users

UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
EXPIRATION_DEFAULT_SECONDS = 3600
# Less would send a message for every point; more would suppress messages for over a year.
EXPIRATION_LEAST_SECONDS = 60
EXPIRATION_MOST_SECONDS = 366 * 86_400
SEVERITY_DEFAULT = "high"

WATCHERS_MAX = 1000
CHIPS_MAX = 20
NAME_MAX_CHARACTERS = 200
RECIPIENTS_MAX = 50
UNDELETE_WITHIN = timedelta(days=30)

# How long the former secret also signs, so that receivers can change to the new one.
FORMER_SECRET_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class WatcherFields:
    """The requested fields of a watcher; None leaves a field unchanged, or at its default."""

    chips: Sequence[str] | None = None
    name: str | None = None
    is_alerting: bool | None = None
    severity: str | None = None
    expiration_time: int | None = None
    expiration_time_unit: str | None = None
    email_user_ids: Sequence[int] | None = None
    # An empty text removes the webhook.
    webhook_url: str | None = None
    webhook_secret: str | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved watcher, and its webhook's secret if that is new: it is shown only once."""

    watcher: Watcher
    fresh_secret: str | None = None


class WatcherEditor:
    """Saves watchers: checks webhook URLs against the outbound rules and seals webhook secrets."""

    def __init__(self, outbound: Outbound, sealing_key: bytes) -> None:
        """Check webhook URLs with `outbound`, and seal their secrets with the key."""
        self._outbound = outbound
        self._key = sealing_key

    def create(self, org_id: int, requested: WatcherFields, maker: str) -> Saved:
        """Create a watcher. Raises `Invalid` with each wrong field, or `QuotaExceeded`."""
        if requested.chips is None:
            raise Invalid(
                "A watcher needs at least one chip.", fields={"chips": "Name the words to watch."}
            )
        _check_count(org_id)
        watcher = Watcher(
            org_id=org_id,
            chips=[],
            name="",
            is_alerting=False,
            severity=SEVERITY_DEFAULT,
            expiration_seconds=EXPIRATION_DEFAULT_SECONDS,
            expiration_unit="second",
            email_user_ids=[],
            created_by=maker,
            created_at=now(),
        )
        fresh = self._apply(watcher, requested)
        watcher.name = watcher.name or _name_from(watcher.chips)
        session().add(watcher)
        session().flush()
        _record(watcher, maker, "watcher.create", after=_audit_fields(watcher))
        return Saved(watcher, fresh)

    def update(self, org_id: int, watcher_id: int, requested: WatcherFields, actor: str) -> Saved:
        """Change the given fields. Raises `NotFound`, or `Invalid` with each wrong field."""
        watcher = get_watcher(org_id, watcher_id)
        before = _audit_fields(watcher)
        fresh = self._apply(watcher, requested)
        watcher.name = watcher.name or _name_from(watcher.chips)
        session().flush()
        changed = {name for name, value in _audit_fields(watcher).items() if value != before[name]}
        _record(
            watcher,
            actor,
            "watcher.update",
            before={name: before[name] for name in changed},
            after={name: _audit_fields(watcher)[name] for name in changed},
        )
        return Saved(watcher, fresh)

    def _apply(self, watcher: Watcher, requested: WatcherFields) -> str | None:
        if requested.email_user_ids is not None:
            # So that no user is deleted between this check and the commit.
            lock_org(watcher.org_id)
        problems = {
            **_problems(watcher.org_id, requested),
            **self._webhook_problems(watcher, requested),
        }
        if problems:
            raise Invalid("The watcher cannot be saved like this.", fields=problems)
        if requested.chips is not None:
            watcher.chips = _chips(requested.chips)
        if requested.name is not None:
            watcher.name = " ".join(requested.name.split())
        if requested.is_alerting is not None:
            watcher.is_alerting = requested.is_alerting
        if requested.severity is not None:
            watcher.severity = requested.severity
        if requested.expiration_time is not None:
            watcher.expiration_unit = requested.expiration_time_unit or "second"
            watcher.expiration_seconds = (
                requested.expiration_time * UNIT_SECONDS[watcher.expiration_unit]
            )
        if requested.email_user_ids is not None:
            watcher.email_user_ids = list(dict.fromkeys(requested.email_user_ids))
        return self._apply_webhook(watcher, requested)

    def _apply_webhook(self, watcher: Watcher, requested: WatcherFields) -> str | None:
        if requested.webhook_url is not None:
            watcher.webhook_url = requested.webhook_url or None
            # Setting the webhook again restarts it if the receiver had answered 410.
            watcher.webhook_stopped_at = None
        if watcher.webhook_url is None:
            watcher.webhook_secret_sealed = None
            watcher.former_secret_sealed = None
            return None
        if requested.webhook_secret:
            secret = requested.webhook_secret
        elif watcher.webhook_secret_sealed is None:
            secret = new_secret()
        else:
            return None
        if watcher.webhook_secret_sealed is not None:
            watcher.former_secret_sealed = watcher.webhook_secret_sealed
            watcher.former_secret_until = now() + FORMER_SECRET_FOR
        watcher.webhook_secret_sealed = seal(self._key, watcher.org_id, secret)
        return secret

    def _webhook_problems(self, watcher: Watcher, requested: WatcherFields) -> dict[str, str]:
        problems = {}
        if requested.webhook_url:
            try:
                self._outbound.check_url(requested.webhook_url)
            except UpstreamFailed as refusal:
                problems["webhook_url"] = refusal.message
        if requested.webhook_secret:
            url = watcher.webhook_url if requested.webhook_url is None else requested.webhook_url
            if not url:
                problems["webhook_secret"] = "A secret needs a webhook_url."  # noqa: S105 -- a sentence
            elif key_of(requested.webhook_secret) is None:
                problems["webhook_secret"] = (
                    f"Write it as {PREFIX} and base64 of {KEY_LEAST_BYTES} to {KEY_MOST_BYTES} "
                    "bytes, or leave it out to have one made."
                )
        return problems


def delete_watcher(org_id: int, watcher_id: int, actor: str) -> Watcher:
    """Mark a watcher as deleted; it can be restored. Raises `NotFound`."""
    watcher = get_watcher(org_id, watcher_id)
    watcher.deleted_at = now()
    session().flush()
    _record(watcher, actor, "watcher.delete", before=_audit_fields(watcher))
    return watcher


def undelete_watcher(org_id: int, watcher_id: int, actor: str) -> Watcher:
    """Restore a deleted watcher. Raises `NotFound`, `QuotaExceeded`, or `Gone` after 30 days."""
    watcher = get_watcher(org_id, watcher_id, is_deleted=True)
    if watcher.deleted_at is not None and now() - watcher.deleted_at > UNDELETE_WITHIN:
        raise Gone(
            f"It was deleted more than {UNDELETE_WITHIN.days} days ago; make a new one instead."
        )
    _check_count(org_id)
    watcher.deleted_at = None
    session().flush()
    _record(watcher, actor, "watcher.undelete", after=_audit_fields(watcher))
    return watcher


def _check_count(org_id: int) -> None:
    if count_watchers(org_id) >= WATCHERS_MAX:
        raise QuotaExceeded(f"An org may have {WATCHERS_MAX:,} watchers; delete some first.")


def _record(watcher: Watcher, actor: str, action: str, **how: dict[str, object]) -> None:
    target = f"{watcher.name} ({watcher.id})"
    record_audit(watcher.org_id, actor=actor, action=action, target=target, **how)


def _audit_fields(watcher: Watcher) -> dict[str, object]:
    """Return what the audit trail stores of a watcher: only the host of its webhook."""
    return {
        "name": watcher.name,
        "chips": list(watcher.chips),
        "alert": watcher.is_alerting,
        "severity": watcher.severity,
        "expiration_seconds": watcher.expiration_seconds,
        "email_user_ids": list(watcher.email_user_ids),
        # With many receivers the path of the URL is a secret.
        "webhook_host": urlsplit(watcher.webhook_url or "").hostname,
    }


def _problems(org_id: int, requested: WatcherFields) -> dict[str, str]:
    problems = {}
    if requested.chips is not None and (problem := _chips_problem(_chips(requested.chips))):
        problems["chips"] = problem
    if requested.name is not None and (problem := _name_problem(requested.name)):
        problems["name"] = problem
    if requested.severity is not None and requested.severity not in SEVERITIES:
        problems["severity"] = f"One of {', '.join(SEVERITIES)} is needed."
    problems.update(_expiration_problems(requested))
    if requested.email_user_ids is not None and (
        problem := _users_problem(org_id, requested.email_user_ids)
    ):
        problems["email_user_ids"] = problem
    return problems


def _expiration_problems(requested: WatcherFields) -> dict[str, str]:
    unit = requested.expiration_time_unit or "second"
    if unit not in UNIT_SECONDS:
        return {"expiration_time_unit": f"One of {', '.join(UNIT_SECONDS)} is needed."}
    if requested.expiration_time is None:
        if requested.expiration_time_unit is not None:
            return {"expiration_time": "The unit needs a number."}
        return {}
    seconds = requested.expiration_time * UNIT_SECONDS[unit]
    if not EXPIRATION_LEAST_SECONDS <= seconds <= EXPIRATION_MOST_SECONDS:
        return {"expiration_time": "At least one minute and at most one year is needed."}
    return {}


def _chips(given: Sequence[str]) -> list[str]:
    """Return the chips stripped, without empty ones and without duplicates in another case."""
    chips: dict[str, str] = {}
    for chip in given:
        if chip.strip():
            chips.setdefault(fold(chip.strip()), chip.strip())
    return list(chips.values())


def _chips_problem(chips: list[str]) -> str | None:
    if not chips:
        return "Name the words to watch."
    if len(chips) > CHIPS_MAX:
        return f"At most {CHIPS_MAX} chips are allowed."
    if any(len(chip) > CHIP_MAX_CHARACTERS for chip in chips):
        return f"A chip has at most {CHIP_MAX_CHARACTERS} characters."
    if any(has_unseen(chip) for chip in chips):
        return "No metric's name holds control or direction characters."
    return None


def _name_problem(name: str) -> str | None:
    if len(name) > NAME_MAX_CHARACTERS:
        return f"A name has at most {NAME_MAX_CHARACTERS} characters."
    # It is part of mail subjects; line breaks are replaced by spaces.
    if has_unseen(" ".join(name.split())):
        return "A name holds no control or direction characters."
    return None


def _users_problem(org_id: int, user_ids: Sequence[int]) -> str | None:
    if len(user_ids) > RECIPIENTS_MAX:
        return f"A watcher notifies at most {RECIPIENTS_MAX} people."
    unknown = set(user_ids) - ids_of_users(org_id, user_ids)
    if unknown:
        return f"Not users of your org: {', '.join(map(str, sorted(unknown)))}."
    return None


def _name_from(chips: Sequence[str]) -> str:
    return " ".join(chips)[:NAME_MAX_CHARACTERS]
