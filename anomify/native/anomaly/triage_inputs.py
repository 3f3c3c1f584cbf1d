"""What requests about the triage of anomalies contain."""

from typing import Annotated, Self

from pydantic import AliasChoices, Field, model_validator

from anomify.clock import datetime_from_timestamp
from anomify.edge.contract import Inputs, names
from anomify.edge.validation_sentences import WrongParameter
from anomify.native.params import RowId
from anomify.native.window import Timestamp
from anomify.triage.change import ANOMALIES_MAX, ASSIGNEES_MAX, Snooze, TriageChange
from anomify.triage.status import Status

UserIds = Annotated[list[RowId], Field(max_length=ASSIGNEES_MAX)]
# Longer ones are refused by the package, which states the limit.
CommentText = Annotated[str, Field(max_length=20_000)]


class MentionsIn(Inputs):
    """The users whom a comment mentions."""

    mentioned_user_ids: UserIds = Field(
        default=[],
        description="The users who get a letter about the comment. A text mentions a user as"
        " `@[Name](id)`; only those listed here are notified.",
        json_schema_extra=names("user"),
    )


class StatusIn(MentionsIn):
    """What to change; what is left out stays as it is."""

    status: Status | None = Field(
        None,
        description="active or acknowledged; or, to archive it, resolved, duplicate, invalid or"
        " discarded. Each may follow each other one.",
    )
    duplicate_of: RowId | None = Field(
        None,
        description="The id of the anomaly that it is a duplicate of; only with the status"
        " duplicate, which may be left out.",
        json_schema_extra=names("anomaly"),
    )
    snooze_until: Timestamp | None = Field(
        None,
        description="Hide it and remind nobody until then, unix seconds, unless its severity rises"
        " before; 0 ends that.",
    )
    comment: CommentText | None = Field(None, description="A comment to write with the change.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        given = (self.status, self.snooze_until, self.comment, self.duplicate_of)
        if all(value is None for value in given):
            raise WrongParameter("status", "status, snooze_until or comment is needed.")
        return self

    def change(self) -> TriageChange:
        """Return the requested change."""
        snooze = None
        if self.snooze_until is not None:
            until = self.snooze_until
            snooze = Snooze(datetime_from_timestamp(round(until)) if until else None)
        status = self.status
        if status is None and self.duplicate_of is not None:
            status = Status.DUPLICATE
        return TriageChange(
            status=status,
            duplicate_of=self.duplicate_of,
            snooze=snooze,
            comment=self.comment,
            mentioned=self.mentioned_user_ids,
        )


class AssignIn(Inputs):
    """Who is to be assigned."""

    user_ids: UserIds | None = Field(
        None,
        description="Exactly these users; an empty list for nobody.",
        json_schema_extra=names("user"),
    )
    add: UserIds = Field(
        default=[],
        description="These users beside the others.",
        json_schema_extra=names("user"),
    )
    remove: UserIds = Field(
        default=[], description="These users no more.", json_schema_extra=names("user")
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.user_ids is None and not self.add and not self.remove:
            raise WrongParameter("user_ids", "user_ids, add or remove is needed.")
        return self

    def change(self) -> TriageChange:
        """Return the requested change."""
        return TriageChange(assignees=self.user_ids, assign=self.add, unassign=self.remove)


class AnomalyPathIn(Inputs):
    """Which anomaly."""

    anomaly_id: RowId = Field(description="The anomaly's id.", json_schema_extra=names("anomaly"))


class ManyIn(Inputs):
    """Which anomalies."""

    anomaly_ids: list[RowId] = Field(
        min_length=1,
        max_length=ANOMALIES_MAX,
        validation_alias=AliasChoices("anomaly_ids", "ids"),
        description=f"The ids of up to {ANOMALIES_MAX:,} anomalies, each once.",
        json_schema_extra=names("anomaly"),
    )

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if len(set(self.anomaly_ids)) < len(self.anomaly_ids):
            raise WrongParameter("anomaly_ids", "Name each anomaly once.")
        return self
