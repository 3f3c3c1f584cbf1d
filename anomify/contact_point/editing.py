"""Create, change and delete contact points; the rules that every API shares."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from anomify.audit.recording import record_audit
from anomify.channel.kind import ChannelKind, Person
from anomify.channel.kinds import KINDS, WEBHOOK
from anomify.channel.signature import new_secret
from anomify.clock import now
from anomify.config import Settings
from anomify.contact_point.confirmation import ask_for_confirmation
from anomify.contact_point.kept_secrets import ENTER_AGAIN, secrets_for_another_host
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import MENTIONED_USERS
from anomify.contact_point.queries import get_contact_point, list_contact_points, list_of_kind
from anomify.contact_point.settings import (
    SECRET,
    keep_former_secret,
    settings_of,
    store_settings,
)
from anomify.db import session
from anomify.errors import Invalid, QuotaExceeded, UpstreamFailed
from anomify.metric.folding import fold
from anomify.metric.name import has_unseen
from anomify.org.lock import lock_org
from anomify.org.sealing import PURPOSE, SealBroken
from anomify.outbound.address_guard import host_of
from anomify.outbound.http_client import Outbound
from anomify.user.creating import fold_email
from anomify.user.model import User
from anomify.user.queries import find_user_by_email

CONTACT_POINTS_MAX = 200
NAME_MAX_CHARACTERS = 200
# Settings that people do not enter; they are stored beside those of the kind.
UNLISTED_SETTINGS = frozenset({MENTIONED_USERS, "team_id"})
# The largest id of a user that a database column holds.
USER_ID_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ContactFields:
    """The requested fields of a contact point; None leaves a field unchanged."""

    kind: str | None = None
    name: str | None = None
    # Whose address or number is used, for e-mail and SMS; 0 for nobody's.
    user_id: int | None = None
    # Only those given are changed; an empty text removes a setting.
    settings: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SavedContact:
    """A saved contact point, and its signing secret if that is new: it is shown only once."""

    contact_point: ContactPoint
    fresh_secret: str | None = None


class ContactEditor:
    """Saves contact points: checks their settings and seals them for the org."""

    def __init__(self, settings: Settings) -> None:
        """Check URLs with the outbound rules of these settings, and seal with their key."""
        self._settings = settings
        self._outbound = Outbound(settings.egress_allow)
        self.key = settings.key_for(PURPOSE)

    def create(self, org_id: int, requested: ContactFields, actor: str) -> SavedContact:
        """Create a contact point. Raises `Invalid` with each wrong field, or `QuotaExceeded`."""
        kind = KINDS.get(requested.kind or "")
        if kind is None or not kind.is_available(self._settings):
            known = [each.name for each in self.kinds()]
            raise Invalid(
                "A contact point needs a kind.", fields={"kind": f"One of {', '.join(known)}."}
            )
        lock_org(org_id)
        if _count(org_id) >= CONTACT_POINTS_MAX:
            raise QuotaExceeded(
                f"An org may have {CONTACT_POINTS_MAX} contact points; delete some first."
            )
        made = new_contact_point(org_id, kind.name, "", actor)
        fresh = self._apply(made, kind, requested, {}, actor)
        session().add(made)
        session().flush()
        _record(made, actor, "contact_point.create", after=self._audit_fields(made))
        return SavedContact(made, fresh)

    def update(
        self, org_id: int, contact_point_id: int, requested: ContactFields, actor: str
    ) -> SavedContact:
        """Change the given fields. Raises `NotFound`, or `Invalid` with each wrong field.

        Saving also starts a contact point again whose receiver had answered 410.
        """
        lock_org(org_id)
        found = get_contact_point(org_id, contact_point_id)
        kind = KINDS[found.kind]
        if requested.kind is not None and requested.kind != found.kind:
            raise Invalid(
                "The kind of a contact point cannot be changed.",
                fields={"kind": "Leave it out, or create another contact point."},
            )
        before = self._audit_fields(found)
        former = self._readable(found)
        fresh = self._apply(found, kind, requested, former, actor)
        found.stopped_at = None
        found.problem = None
        session().flush()
        self._renew_copies(found, former)
        after = self._audit_fields(found)
        changed = {name for name in {**before, **after} if before.get(name) != after.get(name)}
        secrets = _changed_secrets(kind, former, settings_of(found, self.key))
        _record(
            found,
            actor,
            "contact_point.update",
            before={name: before.get(name) for name in changed},
            after={
                **{name: after.get(name) for name in changed},
                **({"replaced": secrets} if secrets else {}),
            },
        )
        return SavedContact(found, fresh)

    def rotate_secret(self, org_id: int, contact_point_id: int, actor: str) -> SavedContact:
        """Replace the signing secret of a webhook; the former one also signs for 24 hours."""
        found = get_contact_point(org_id, contact_point_id)
        if found.kind != WEBHOOK:
            raise Invalid(
                "Only webhooks have a secret of ours.",
                fields={"contact_point_id": "The id of a contact point of the kind webhook."},
            )
        requested = ContactFields(settings={SECRET: new_secret()})
        return self.update(org_id, contact_point_id, requested, actor)

    def kinds(self) -> list[ChannelKind]:
        """Return the kinds of contact points that this server can use."""
        return [kind for kind in KINDS.values() if kind.is_available(self._settings)]

    def checked_settings(
        self, kind: ChannelKind, values: Mapping[str, str], *, has_user: bool = False
    ) -> dict[str, str]:
        """Return what is wrong with settings, by name; the outbound rules are checked, too."""
        listed = {name: value for name, value in values.items() if name not in UNLISTED_SETTINGS}
        if has_user:
            # Looked up when a message is sent; what stands here only satisfies the kind's rules.
            stand_in = "+4930123456" if kind.person is Person.PHONE else "user@org.example"
            listed[kind.address_setting] = stand_in
        problems = kind.problems(listed)
        for setting in kind.settings:
            value = listed.get(setting.name, "")
            if setting.is_url and value and setting.name not in problems:
                try:
                    self._outbound.check_url(value)
                except UpstreamFailed as refusal:
                    problems[setting.name] = refusal.message
        return problems

    def _apply(
        self,
        contact_point: ContactPoint,
        kind: ChannelKind,
        requested: ContactFields,
        former: Mapping[str, str],
        actor: str,
    ) -> str | None:
        problems: dict[str, str] = {}
        user_id = self._user_id(contact_point, kind, requested, problems)
        values = _merged(former, requested.settings or {})
        if kind.name == WEBHOOK and not values.get(SECRET):
            values[SECRET] = new_secret()
        values, user_id = _with_known_person(contact_point.org_id, kind, values, user_id)
        if user_id is not None:
            values.pop(kind.address_setting, None)
        elif kind.person is not None and not values.get(kind.address_setting):
            problems.setdefault("user_id", _needs_somebody(kind))
        found = self.checked_settings(kind, values, has_user=user_id is not None)
        kept = secrets_for_another_host(kind, former, values, requested.settings or {})
        found = {**dict.fromkeys(kept, ENTER_AGAIN), **found}
        problems.update({f"settings.{name}": problem for name, problem in found.items()})
        name = _given_name(requested.name) or contact_point.name
        name = name or _usual_name(kind, values, user_id)
        if problem := _name_problem(contact_point, name, is_chosen=requested.name is not None):
            problems["name"] = problem
        if problems:
            raise Invalid("The contact point cannot be saved like this.", fields=problems)
        if not requested.name and not contact_point.name:
            name = free_name(contact_point.org_id, name)
        contact_point.name, contact_point.user_id = name, user_id
        return self._store(contact_point, kind, values, former, actor)

    def _store(
        self,
        contact_point: ContactPoint,
        kind: ChannelKind,
        values: Mapping[str, str],
        former: Mapping[str, str],
        actor: str,
    ) -> str | None:
        contact_point.lane = kind.lane_of(values)
        fresh = None
        if kind.name == WEBHOOK and values[SECRET] != former.get(SECRET):
            fresh = values[SECRET]
            if former.get(SECRET):
                keep_former_secret(contact_point, former[SECRET], now(), self.key)
        store_settings(contact_point, values, self.key)
        address = values.get(kind.address_setting, "")
        is_free_address = kind.person is Person.EMAIL and contact_point.user_id is None
        if is_free_address and address != former.get(kind.address_setting):
            ask_for_confirmation(contact_point, address, actor, self._settings.base_url)
        return fresh

    def _user_id(
        self,
        contact_point: ContactPoint,
        kind: ChannelKind,
        requested: ContactFields,
        problems: dict[str, str],
    ) -> int | None:
        if requested.user_id is None:
            is_address_given = bool((requested.settings or {}).get(kind.address_setting))
            return None if is_address_given and kind.person else contact_point.user_id
        if requested.user_id == 0:
            return None
        if kind.person is None:
            problems["user_id"] = f"The kind {kind.name} names no user."
            return None
        user = session().get(User, min(requested.user_id, USER_ID_MAX))
        if user is None or user.org_id != contact_point.org_id:
            problems["user_id"] = "Not a user of your org."
            return None
        return user.id

    def _readable(self, contact_point: ContactPoint) -> dict[str, str]:
        try:
            return settings_of(contact_point, self.key)
        except SealBroken:
            # Sealed with another key: everything has to be entered again.
            return {}

    def _renew_copies(self, changed: ContactPoint, former: Mapping[str, str]) -> None:
        """Change the credentials in those that were made from the fields of watchers, too."""
        kind = KINDS[changed.kind]
        values = settings_of(changed, self.key)
        renewed = {
            setting.name
            for setting in kind.settings
            if setting.is_secret
            and former.get(setting.name)
            and former[setting.name] != values.get(setting.name)
        }
        if not renewed or changed.is_automatic or kind.name == WEBHOOK:
            return
        for copy in list_of_kind(changed.org_id, changed.kind):
            copied = self._readable(copy)
            same = {name for name in renewed if copied.get(name) == former[name]}
            if copy.is_automatic and same:
                fresh = {name: values.get(name, "") for name in same}
                store_settings(copy, _merged(copied, fresh), self.key)

    def _audit_fields(self, contact_point: ContactPoint) -> dict[str, object]:
        """Return what the audit trail stores: no secret, and of URLs only the host."""
        values = self._readable(contact_point)
        return {
            "kind": contact_point.kind,
            "name": contact_point.name,
            "user_id": contact_point.user_id,
            **shown_settings(KINDS[contact_point.kind], values),
        }


def shown_settings(kind: ChannelKind, values: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that people may see: no secrets, and of URLs only the host."""
    shown = {}
    for setting in kind.settings:
        value = values.get(setting.name, "")
        if value and setting.is_url:
            shown[setting.name] = host_of(value)
        elif value and not setting.is_secret:
            shown[setting.name] = value
    return shown


def new_contact_point(org_id: int, kind: str, name: str, maker: str) -> ContactPoint:
    """Return a contact point without settings that is not stored yet."""
    return ContactPoint(
        org_id=org_id, kind=kind, name=name, lane="", created_by=maker, created_at=now()
    )


def delete_contact_point(contact_point: ContactPoint, actor: str) -> None:
    """Delete a contact point and its secrets; its row stays for the log of what it was sent."""
    at = now()
    _record(contact_point, actor, "contact_point.delete", before={"kind": contact_point.kind})
    contact_point.deleted_at = at
    contact_point.settings_sealed = contact_point.settings_open = None
    contact_point.former_secret_sealed = contact_point.confirmation_hash = None
    session().flush()


def free_name(org_id: int, name: str) -> str:
    """Return the name, with a number after it where the org has a contact point of this name."""
    taken = {fold(each.name) for each in list_contact_points(org_id)}
    name = name[: NAME_MAX_CHARACTERS - 6]
    number, tried = 1, name
    while fold(tried) in taken:
        number += 1
        tried = f"{name} ({number})"
    return tried


def _count(org_id: int) -> int:
    counted = (
        select(func.count())
        .select_from(ContactPoint)
        .where(
            ContactPoint.org_id == org_id,
            ContactPoint.deleted_at.is_(None),
            ContactPoint.is_automatic.is_(False),
        )
    )
    return session().scalar(counted) or 0


def _merged(former: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    merged = {**former, **{name: value.strip() for name, value in given.items()}}
    return {name: value for name, value in merged.items() if value}


def _with_known_person(
    org_id: int, kind: ChannelKind, values: dict[str, str], user_id: int | None
) -> tuple[dict[str, str], int | None]:
    """Name the user where an e-mail address is one's: it needs no confirmation."""
    address = values.get(kind.address_setting, "") if kind.person is Person.EMAIL else ""
    if user_id is not None or not address:
        return values, user_id
    try:
        folded = fold_email(address)
    except Invalid:
        return values, None
    user = find_user_by_email(folded)
    return {**values, kind.address_setting: folded}, (
        user.id if user is not None and user.org_id == org_id else None
    )


def _needs_somebody(kind: ChannelKind) -> str:
    what = "a phone number" if kind.person is Person.PHONE else "an address"
    return f"Choose a user of the org, or enter {what}."


def _given_name(name: str | None) -> str:
    return " ".join((name or "").split())


def _usual_name(kind: ChannelKind, values: Mapping[str, str], user_id: int | None) -> str:
    if user_id is not None:
        return f"{kind.words} to {session().get_one(User, user_id).name}"[:NAME_MAX_CHARACTERS]
    shown = next(
        (
            host_of(values[setting.name]) if setting.is_url else values[setting.name]
            for setting in kind.settings
            if values.get(setting.name) and not setting.is_secret
        ),
        "",
    )
    return (f"{kind.words} to {shown}" if shown else kind.words)[:NAME_MAX_CHARACTERS]


def _name_problem(contact_point: ContactPoint, name: str, *, is_chosen: bool) -> str | None:
    if len(name) > NAME_MAX_CHARACTERS:
        return f"A name has at most {NAME_MAX_CHARACTERS} characters."
    if has_unseen(name):
        return "A name holds no control or direction characters."
    others = [
        each for each in list_contact_points(contact_point.org_id) if each.id != contact_point.id
    ]
    if is_chosen and any(fold(each.name) == fold(name) for each in others):
        return "Your org has a contact point of this name."
    return None


def _changed_secrets(
    kind: ChannelKind, former: Mapping[str, str], values: Mapping[str, str]
) -> list[str]:
    return [
        setting.words
        for setting in kind.settings
        if (setting.is_secret or setting.is_url)
        and former.get(setting.name) != values.get(setting.name)
    ]


def _record(contact_point: ContactPoint, actor: str, action: str, **how: dict[str, object]) -> None:
    target = f"{contact_point.name} ({contact_point.id})"
    record_audit(contact_point.org_id, actor=actor, action=action, target=target, **how)
