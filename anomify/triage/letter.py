"""Letters to users who were assigned to anomalies or mentioned on them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from anomify.anomaly.model import Anomaly
from anomify.anomaly.wording import explanation_of
from anomify.clock import now
from anomify.org.letter import count_letters, post_letter
from anomify.org.model import Org
from anomify.triage.actor import Actor
from anomify.triage.assignment import get_assignable
from anomify.triage.mention import readable
from anomify.user.model import User

PURPOSE: Final = "triage"
# More to one address in an hour are not written; the inbox shows the rest.
LETTERS_MAX: Final = 60
LETTERS_WINDOW: Final = timedelta(hours=1)
# The most anomalies that a letter describes.
DESCRIBED_MAX: Final = 10
PAGE: Final = "/ui/metric"
INBOX: Final = "/ui/"


@dataclass(slots=True)
class _Notice:
    assigned: list[Anomaly] = field(default_factory=list)
    mentioned: list[tuple[Anomaly, str]] = field(default_factory=list)


@dataclass(slots=True)
class Notices:
    """Collect what the users learn of one transaction: each gets one letter, the actor none."""

    org: Org
    actor: Actor
    base_url: str
    _by_user: dict[int, _Notice] = field(default_factory=dict)

    def add(
        self,
        anomaly: Anomaly,
        *,
        assigned: Collection[int],
        mentioned: Collection[int],
        text: str | None,
    ) -> None:
        """Note who was assigned to an anomaly, and who was mentioned in the text of a comment."""
        for user_id in assigned:
            self._by_user.setdefault(user_id, _Notice()).assigned.append(anomaly)
        for user_id in dict.fromkeys(mentioned):
            notice = self._by_user.setdefault(user_id, _Notice())
            notice.mentioned.append((anomaly, text or ""))

    def post(self) -> None:
        """Write the letters; they are sent when the unit of work is committed."""
        if self.actor.user_id is not None:
            self._by_user.pop(self.actor.user_id, None)
        users = get_assignable(self.org, self._by_user, "user_ids")
        for user_id, notice in self._by_user.items():
            self._post_one(users[user_id], notice)

    def _post_one(self, user: User, notice: _Notice) -> None:
        if count_letters(user.email, PURPOSE, now() - LETTERS_WINDOW) >= LETTERS_MAX:
            return
        subject, happened = self._happened(notice)
        concerned = list(
            dict.fromkeys([*notice.assigned, *(anomaly for anomaly, _ in notice.mentioned)])
        )
        parts = [f"Hello {user.name},", happened]
        parts += [self._described(anomaly) for anomaly in concerned[:DESCRIBED_MAX]]
        if len(concerned) > DESCRIBED_MAX:
            parts.append(f"All of them: {self.base_url}{INBOX}?assignee=me&window=all")
        parts.append(f"This is about the organisation {self.org.name} in Anomify.")
        post_letter(
            user.email, subject, "\n\n".join(parts) + "\n", org_id=self.org.id, purpose=PURPOSE
        )

    def _happened(self, notice: _Notice) -> tuple[str, str]:
        """Return the subject of a letter and the sentences about what happened."""
        sentences = []
        by = self.actor.name
        if notice.assigned:
            assigned = f"{by} assigned you to {_counted(notice.assigned)}"
            sentences.append(f"{assigned}.")
        if notice.mentioned:
            anomalies = [anomaly for anomaly, _ in notice.mentioned]
            mentioned = f"{by} mentioned you on {_counted(anomalies)}"
            # A comment on many at once is the same on each.
            sentences.append(f"{mentioned}:\n\n{_quoted(notice.mentioned[0][1])}")
        subject = assigned if notice.assigned else mentioned
        return subject, "\n\n".join(sentences)

    def _described(self, anomaly: Anomaly) -> str:
        name = anomaly.span.metric.name
        query = urlencode({"name": name, "event": anomaly.id})
        explanation = explanation_of(anomaly.span, self.org.timezone)
        return f"{name}\n{explanation}\n{self.base_url}{PAGE}?{query}"


def _counted(anomalies: Collection[Anomaly]) -> str:
    if len(anomalies) > 1:
        return f"{len(anomalies):,} anomalies"
    (anomaly,) = anomalies
    return f"the anomaly of {anomaly.span.metric.name}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in readable(text).splitlines())
