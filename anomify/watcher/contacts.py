"""Which contact points a watcher notifies: chosen ones, and those made from its other fields.

The fields `email_user_ids`, `sms_user_ids`, `slack_channel`, `slack_mention_user_ids`,
`teams_webhook` and `webhook_url` name addresses. Each becomes an automatic contact point, which
watchers with the same address share, except webhooks: each of those has a secret of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import delete, select

from anomify.channel.kinds import EMAIL, KINDS, WEBHOOK
from anomify.channel.signature import new_secret
from anomify.clock import now
from anomify.contact_point.editing import (
    ContactEditor,
    delete_contact_point,
    free_name,
    new_contact_point,
)
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import MENTIONED_USERS, mentioned_ids
from anomify.contact_point.queries import contact_points_among, list_of_kind
from anomify.contact_point.settings import (
    SECRET,
    keep_former_secret,
    settings_of,
    store_settings,
)
from anomify.db import session
from anomify.metric.folding import fold
from anomify.org.sealing import SealBroken
from anomify.user.model import User
from anomify.watcher.contact_plan import ContactPlan, RequestedContacts, SlackFields, WantedContact
from anomify.watcher.escalation import RECIPIENTS_MAX, escalation_problem, steps_of, twice
from anomify.watcher.model import Watcher, WatcherContact
from anomify.watcher.queries import ids_of_users, linked_contacts

SLACK: Final = "slack"
TEAMS: Final = "teams"
SMS: Final = "sms"
URL: Final = "url"
CHANNEL: Final = "channel"
# The credentials of a Slack workspace: a bot's token, or an address that posts into one channel.
TOKEN: Final = "token"  # noqa: S105 -- the name of a setting


class WatcherContacts:
    """Links watchers to contact points, and makes the automatic ones."""

    def __init__(self, editor: ContactEditor) -> None:
        """Check settings with this editor, and seal them with its key."""
        self._editor = editor
        self._key = editor.key

    def plan(
        self, org_id: int, watcher: Watcher | None, requested: RequestedContacts
    ) -> ContactPlan:
        """Return what the request changes, with what is wrong with it by field."""
        plan = ContactPlan()
        linked = self._linked(watcher)
        self._refuse_unavailable(requested, plan)
        if plan.problems:
            return plan
        if requested.contact_point_ids is not None:
            found = contact_points_among(org_id, requested.contact_point_ids)
            unknown = sorted(set(requested.contact_point_ids) - set(found))
            if unknown:
                plan.problems["contact_point_ids"] = (
                    f"Not contact points of your org: {', '.join(map(str, unknown))}."
                )
            elif len(found) > RECIPIENTS_MAX:
                plan.problems["contact_point_ids"] = f"At most {RECIPIENTS_MAX} are allowed."
            plan.chosen = list(found.values())
        self._plan_escalation(org_id, watcher, requested, plan)
        self._plan_people(org_id, EMAIL, "email_user_ids", requested.email_user_ids, plan)
        self._plan_people(org_id, SMS, "sms_user_ids", requested.sms_user_ids, plan)
        self._plan_slack(org_id, linked, requested, plan)
        self._plan_teams(requested, plan)
        self._plan_webhook(linked, requested, plan)
        return plan

    def mail_of(self, org_id: int, user_id: int, maker: str) -> ContactPoint | None:
        """Return the contact point of a user's e-mails, which may be new; None without the user."""
        if not ids_of_users(org_id, [user_id]):
            return None
        return self._shared(org_id, WantedContact(EMAIL, {}, user_id), maker)

    def would_notify(self, watcher: Watcher | None, plan: ContactPlan) -> bool:
        """Return whether the watcher has a contact point when the plan is carried out."""
        if plan.chosen or plan.later or any(plan.wanted.values()):
            return True
        steps = steps_of(watcher)
        return any(not _is_replaced(each, plan, steps[each.id]) for each in self._linked(watcher))

    def carry_out(self, watcher: Watcher, plan: ContactPlan, maker: str) -> str | None:
        """Link the watcher to what was planned; return the secret of its webhook if it is new."""
        linked = {each.id: each for each in self._linked(watcher)}
        before = steps_of(watcher)
        after = {
            found_id: before[found_id]
            for found_id, each in linked.items()
            if not _is_replaced(each, plan, before[found_id])
        }
        after.update(plan.later or {})
        after.update({each.id: 0 for each in plan.chosen or ()})
        fresh = None
        for wanted in (each for some in plan.wanted.values() for each in some):
            if isinstance(wanted, ContactPoint):
                after[wanted.id] = 0
                continue
            if wanted.kind == WEBHOOK:
                found, fresh = self._webhook(watcher, list(linked.values()), wanted, maker)
            else:
                found = self._shared(watcher.org_id, wanted, maker)
            after[found.id] = 0
        if plan.escalation_minutes is not None:
            watcher.escalation_minutes = plan.escalation_minutes
        self._store_links(watcher, before, after)
        return fresh

    def _plan_escalation(
        self,
        org_id: int,
        watcher: Watcher | None,
        requested: RequestedContacts,
        plan: ContactPlan,
    ) -> None:
        steps = requested.escalation
        if steps is None:
            later = [each for each, step in steps_of(watcher).items() if step]
            if again := set(later) & set(requested.contact_point_ids or ()):
                plan.problems["contact_point_ids"] = twice(again)
            return
        plan.escalation_minutes = [step.after_minutes for step in steps]
        plan.later = {}
        if requested.contact_point_ids is not None:
            at_once = set(requested.contact_point_ids)
        else:
            at_once = {each for each, step in steps_of(watcher).items() if not step}
        if problem := escalation_problem(org_id, steps, at_once):
            plan.problems["escalation"] = problem
            return
        for number, step in enumerate(steps, 1):
            plan.later.update(dict.fromkeys(step.contact_point_ids, number))

    def _refuse_unavailable(self, requested: RequestedContacts, plan: ContactPlan) -> None:
        available = {kind.name for kind in self._editor.kinds()}
        for parameter, kind in (
            ("sms_user_ids", SMS),
            ("slack_channel", SLACK),
            ("teams_webhook", TEAMS),
        ):
            if getattr(requested, parameter) and kind not in available:
                plan.problems[parameter] = f"This server sends no messages of the kind {kind}."

    def _plan_people(
        self,
        org_id: int,
        kind: str,
        parameter: str,
        user_ids: Sequence[int] | None,
        plan: ContactPlan,
    ) -> None:
        if user_ids is None:
            return
        if problem := _users_problem(org_id, user_ids):
            plan.problems[parameter] = problem
            return
        credentials: Mapping[str, str] = {}
        if kind == SMS and user_ids:
            source = self._source(org_id, SMS, ())
            if source is None:
                plan.problems[parameter] = (
                    "Your org sends no text messages yet; create a contact point of the kind sms "
                    "with the account at your provider first."
                )
                return
            address = KINDS[SMS].address_setting
            credentials = {name: value for name, value in source.items() if name != address}
        plan.wanted[kind] = [
            WantedContact(kind, credentials, each) for each in dict.fromkeys(user_ids)
        ]

    def _plan_slack(
        self,
        org_id: int,
        linked: Sequence[ContactPoint],
        requested: RequestedContacts,
        plan: ContactPlan,
    ) -> None:
        channel, mentions = requested.slack_channel, requested.slack_mention_user_ids
        if channel is None and mentions is None:
            return
        if mentions and (problem := _users_problem(org_id, mentions)):
            plan.problems["slack_mention_user_ids"] = problem
            return
        present = self.slack_of(linked)
        if channel is None:
            channel = present.channel
        if mentions is None:
            mentions = present.mention_user_ids
        channel = channel.strip()
        if not channel:
            if requested.slack_mention_user_ids:
                plan.problems["slack_mention_user_ids"] = "Mentions need a slack_channel."
            plan.wanted[SLACK] = []
            return
        named = _named(org_id, channel)
        if named is not None and not mentions:
            plan.wanted[SLACK] = [named]
            return
        source = self._source(org_id, SLACK, (TOKEN,)) if named is None else self._readable(named)
        if source is None:
            plan.problems["slack_channel"] = (
                "Your org has no contact point of this name and no connected Slack workspace; "
                "create a contact point of the kind slack with a bot token first."
            )
            return
        settings = {**source}
        settings.pop(MENTIONED_USERS, None)
        if named is None:
            settings[CHANNEL] = channel
        if mentions:
            settings[MENTIONED_USERS] = ",".join(map(str, sorted(set(mentions))))
        for problem in self._editor.checked_settings(KINDS[SLACK], settings).values():
            plan.problems.setdefault("slack_channel", problem)
        plan.wanted[SLACK] = [WantedContact(SLACK, settings)]

    def _plan_teams(self, requested: RequestedContacts, plan: ContactPlan) -> None:
        if requested.teams_webhook is None:
            return
        url = requested.teams_webhook.strip()
        plan.wanted[TEAMS] = []
        if not url:
            return
        for problem in self._editor.checked_settings(KINDS[TEAMS], {URL: url}).values():
            plan.problems.setdefault("teams_webhook", problem)
        plan.wanted[TEAMS] = [WantedContact(TEAMS, {URL: url})]

    def _plan_webhook(
        self, linked: Sequence[ContactPoint], requested: RequestedContacts, plan: ContactPlan
    ) -> None:
        if requested.webhook_url is None and not requested.webhook_secret:
            return
        present = next(
            (each for each in linked if each.is_automatic and each.kind == WEBHOOK), None
        )
        former = {} if present is None else self._readable(present)
        url = former.get(URL, "") if requested.webhook_url is None else requested.webhook_url
        if not url:
            if requested.webhook_secret:
                plan.problems["webhook_secret"] = "A secret needs a webhook_url."  # noqa: S105 -- a sentence
            plan.wanted[WEBHOOK] = []
            return
        secret = requested.webhook_secret or former.get(SECRET) or new_secret()
        settings = {URL: url, SECRET: secret}
        found = self._editor.checked_settings(KINDS[WEBHOOK], settings)
        plan.problems.update({f"webhook_{name}": problem for name, problem in found.items()})
        plan.wanted[WEBHOOK] = [WantedContact(WEBHOOK, settings)]

    def slack_of(self, linked: Sequence[ContactPoint]) -> SlackFields:
        """Return what the Slack fields of a watcher show of its contact points."""
        mine = [each for each in linked if each.kind == SLACK]
        mine.sort(key=lambda each: not each.is_automatic)
        if not mine:
            return SlackFields("", ())
        values = self._readable(mine[0])
        is_named = not mine[0].is_automatic or not values.get(CHANNEL)
        return SlackFields(
            mine[0].name if is_named else values[CHANNEL], tuple(mentioned_ids(values))
        )

    def url_of(self, linked: Sequence[ContactPoint], kind: str) -> str | None:
        """Return the URL of the automatic contact point of this kind, or None without one."""
        for each in linked:
            if each.kind == kind and each.is_automatic:
                return self._readable(each).get(URL)
        return None

    def _webhook(
        self, watcher: Watcher, linked: Sequence[ContactPoint], wanted: WantedContact, maker: str
    ) -> tuple[ContactPoint, str | None]:
        """Return the watcher's own webhook with these settings, and its secret if that is new."""
        found = next(
            (
                each
                for each in linked
                if each.is_automatic and each.kind == WEBHOOK and _watchers_with(each) == 1
            ),
            None,
        )
        former = {} if found is None else self._readable(found)
        if found is None:
            found = self._made(watcher.org_id, wanted, maker)
        elif former.get(SECRET) and former[SECRET] != wanted.settings[SECRET]:
            keep_former_secret(found, former[SECRET], now(), self._key)
        store_settings(found, wanted.settings, self._key)
        lane = KINDS[WEBHOOK].lane_of(wanted.settings)
        if lane != found.lane:
            found.name = free_name(watcher.org_id, f"{KINDS[WEBHOOK].words} to {lane}")
            found.lane = lane
        # Setting the webhook again restarts it if the receiver had answered 410.
        found.stopped_at = None
        is_fresh = former.get(SECRET) != wanted.settings[SECRET]
        return found, wanted.settings[SECRET] if is_fresh else None

    def _shared(self, org_id: int, wanted: WantedContact, maker: str) -> ContactPoint:
        for each in list_of_kind(org_id, wanted.kind):
            if (
                each.is_automatic
                and each.user_id == wanted.user_id
                and self._readable(each) == dict(wanted.settings)
            ):
                each.stopped_at = None
                return each
        return self._made(org_id, wanted, maker)

    def _made(self, org_id: int, wanted: WantedContact, maker: str) -> ContactPoint:
        kind = KINDS[wanted.kind]
        name = f"{kind.words} to {_shown(wanted)}" if _shown(wanted) else kind.words
        made = new_contact_point(org_id, wanted.kind, free_name(org_id, name), maker)
        made.is_automatic = True
        made.user_id = wanted.user_id
        made.lane = kind.lane_of(wanted.settings)
        store_settings(made, wanted.settings, self._key)
        session().add(made)
        session().flush()
        return made

    def _store_links(
        self, watcher: Watcher, before: Mapping[int, int], after: Mapping[int, int]
    ) -> None:
        for each, step in sorted(after.items()):
            if each not in before:
                session().add(
                    WatcherContact(watcher_id=watcher.id, contact_point_id=each, step=step)
                )
            elif before[each] != step:
                session().get_one(WatcherContact, (watcher.id, each)).step = step
        if gone := set(before) - set(after):
            session().execute(
                delete(WatcherContact).where(
                    WatcherContact.watcher_id == watcher.id,
                    WatcherContact.contact_point_id.in_(gone),
                )
            )
        session().flush()
        for unlinked in contact_points_among(watcher.org_id, gone).values():
            if unlinked.is_automatic and not _watchers_with(unlinked):
                delete_contact_point(unlinked, watcher.created_by)

    def _source(self, org_id: int, kind: str, needed: Sequence[str]) -> dict[str, str] | None:
        """Return the settings of the org's oldest contact point of a kind that people made."""
        for each in list_of_kind(org_id, kind):
            values = {} if each.is_automatic else self._readable(each)
            if values and all(values.get(name) for name in needed):
                return values
        return None

    def _readable(self, contact_point: ContactPoint) -> dict[str, str]:
        try:
            return settings_of(contact_point, self._key)
        except SealBroken:
            return {}

    def _linked(self, watcher: Watcher | None) -> list[ContactPoint]:
        if watcher is None or watcher.id is None:
            return []
        return [each for _, each in linked_contacts([watcher.id])[watcher.id]]


def _is_replaced(linked: ContactPoint, plan: ContactPlan, step: int) -> bool:
    if step:
        return plan.later is not None
    if linked.is_automatic or (linked.kind == SLACK and plan.chosen is None):
        return linked.kind in plan.wanted
    return plan.chosen is not None


def _users_problem(org_id: int, user_ids: Sequence[int]) -> str | None:
    if len(user_ids) > RECIPIENTS_MAX:
        return f"A watcher notifies at most {RECIPIENTS_MAX} people."
    unknown = set(user_ids) - ids_of_users(org_id, user_ids)
    if unknown:
        return f"Not users of your org: {', '.join(map(str, sorted(unknown)))}."
    return None


def _named(org_id: int, channel: str) -> ContactPoint | None:
    for each in list_of_kind(org_id, SLACK):
        if not each.is_automatic and fold(each.name) == fold(channel):
            return each
    return None


def _shown(wanted: WantedContact) -> str:
    if wanted.user_id is not None:
        return session().get_one(User, wanted.user_id).name
    return wanted.settings.get(CHANNEL, "") or KINDS[wanted.kind].lane_of(wanted.settings)


def _watchers_with(contact_point: ContactPoint) -> int:
    rows = session().scalars(
        select(WatcherContact.watcher_id)
        .where(WatcherContact.contact_point_id == contact_point.id)
        .limit(2)
    )
    return len(rows.all())
