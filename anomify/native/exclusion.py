"""/exclusion: rules that exclude metrics from judging, and tests of a rule before it is saved."""

from collections.abc import Sequence

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import datetime_from_timestamp, to_timestamp
from anomify.edge.access import ADMIN, VIEWER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.exclusion.editing import (
    ExclusionFields,
    add_exclusion,
    delete_exclusion,
    preview_exclusion,
)
from anomify.exclusion.model import PATTERN_CHARACTERS_MAX, REASON_CHARACTERS_MAX, Exclusion
from anomify.exclusion.predicate import KINDS, ExclusionKind
from anomify.exclusion.queries import count_kept_out, list_exclusions
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import RowId
from anomify.native.window import MOST_TIMESTAMP, PageIn

blueprint = NativeBlueprint("exclusion", __name__)


class ExclusionOut(Outputs):
    """A rule and its effect."""

    id: int = Field(description="Its id.")
    type: ExclusionKind = Field(
        description="What kind of rule it is; /exclusion/types explains them."
    )
    pattern: str = Field(description="The pattern for names of metrics.")
    reason: str = Field(description="Why it was made; may be empty.")
    created_by: str = Field(description="Who made it.")
    created_timestamp: int = Field(description="When, unix seconds.")
    expires: int | None = Field(
        description="When it ends by itself, unix seconds; null for one that stays."
    )
    metrics_matched: int = Field(
        description="How many metrics it keeps out now. One that several rules hit is counted"
        " with the oldest of them."
    )


class ExclusionsOut(Outputs):
    """A page of rules."""

    exclusions: list[ExclusionOut] = Field(description="The rules, newest first.")
    total: int = Field(description="How many there are in all.")


class AddedOut(Outputs):
    """A rule as it was saved."""

    exclusion: ExclusionOut = Field(description="The new rule.")


class DeletedOut(Outputs):
    """The rule was deleted."""

    deleted: bool = Field(description="Always true.")


class TypeOut(Outputs):
    """A kind of rule."""

    id: ExclusionKind = Field(description="What to send as type.")
    name: str = Field(description="Its name for people.")
    description: str = Field(description="Which names it matches.")
    example: str = Field(description="A pattern of this kind.")


class TypesOut(Outputs):
    """The kinds of rules."""

    types: list[TypeOut] = Field(description="Every kind there is.")


class TrialOut(Outputs):
    """The effect of a rule."""

    type: ExclusionKind = Field(description="The kind that was tested.")
    pattern: str = Field(description="The pattern, spelled as it would be saved.")
    matched: list[str] = Field(description="Names that it hits, by name; at most `sample`.")
    matched_count: int = Field(description="How many it hits in all.")
    total_metrics: int = Field(description="How many metrics the org has.")
    quota_freed: int = Field(
        description="How many of those hit count against the quota now, and would no longer."
    )


class RuleIn(Inputs):
    """A rule."""

    type: ExclusionKind = Field(description="exact, prefix, contains, regex (RE2) or label.")
    pattern: str = Field(
        max_length=PATTERN_CHARACTERS_MAX,
        description="What to look for in the names of metrics; see /exclusion/types.",
        examples=["staging."],
    )


class AddIn(RuleIn):
    """A new rule."""

    reason: str = Field("", max_length=REASON_CHARACTERS_MAX, description="Why the rule was made.")
    expires: int | None = Field(
        None,
        ge=0,
        le=MOST_TIMESTAMP,
        description="When it shall end by itself, unix seconds; never when left out.",
    )


class TrialIn(RuleIn):
    """A rule to be tried."""

    sample: int = Field(50, ge=1, le=500, description="How many names to show at the most.")


class ExclusionIn(Inputs):
    """Which rule."""

    exclusion_id: RowId = Field(description="The rule's id.", json_schema_extra=names("exclusion"))


@blueprint.route("/exclusion/types", outputs=TypesOut, access=VIEWER)
def types() -> TypesOut:
    """List the kinds of rules, each with an example."""
    return TypesOut(
        types=[
            TypeOut(id=one.kind, name=one.name, description=one.description, example=one.example)
            for one in KINDS
        ]
    )


@blueprint.route("/exclusion/list", inputs=PageIn, outputs=ExclusionsOut, access=VIEWER)
def exclusions(inputs: PageIn) -> ExclusionsOut:
    """List the org's rules, newest first."""
    page = list_exclusions(subject().org.id, limit=inputs.limit, offset=inputs.offset)
    return ExclusionsOut(exclusions=_all_json(page.items), total=page.total)


@blueprint.route(
    "/exclusion/test",
    inputs=TrialIn,
    outputs=TrialOut,
    access=VIEWER,
    limits=("heavy",),
)
def test(inputs: TrialIn) -> TrialOut:
    """Return which metrics a rule would match and how much quota it would free; saves nothing."""
    found = preview_exclusion(subject().org.id, inputs.type, inputs.pattern, sample=inputs.sample)
    return TrialOut(
        type=inputs.type,
        pattern=found.pattern,
        matched=found.sample,
        matched_count=found.hit,
        total_metrics=found.total,
        quota_freed=found.freed,
    )


@blueprint.route(
    "/exclusion/add",
    inputs=AddIn,
    outputs=AddedOut,
    access=ADMIN,
    changes=True,
    errors=(409, 429),
)
def add(inputs: AddIn) -> AddedOut:
    """Add a rule: metrics that it hits are kept, but neither judged nor counted.

    It holds from the next points on, for metrics that are there and for those that come. An
    anomaly that one of them has open ends, without a notification.
    """
    expires = inputs.expires
    made, kept_out = add_exclusion(
        subject().org.id,
        ExclusionFields(
            kind=inputs.type,
            pattern=inputs.pattern,
            reason=inputs.reason,
            expires_at=None if expires is None else datetime_from_timestamp(expires),
        ),
        subject().label,
    )
    return AddedOut(exclusion=exclusion_json(made, kept_out))


@blueprint.route(
    "/exclusion/delete",
    inputs=ExclusionIn,
    outputs=DeletedOut,
    access=ADMIN,
    changes=True,
    errors=(409,),
)
def delete(inputs: ExclusionIn) -> DeletedOut:
    """Delete a rule: from the next points on its metrics count and are judged again.

    They go on from what had been learnt of them before; what came meanwhile was not learnt.
    If they do not fit into the quota, the answer is 409 and the rule stays.
    """
    delete_exclusion(subject().org.id, inputs.exclusion_id, subject().label)
    return DeletedOut(deleted=True)


def exclusion_json(rule: Exclusion, kept_out: int) -> ExclusionOut:
    """Return a rule as the wire has it."""
    return ExclusionOut(
        id=rule.id,
        type=ExclusionKind(rule.kind),
        pattern=rule.pattern,
        reason=rule.reason,
        created_by=rule.created_by,
        created_timestamp=to_timestamp(rule.created_at),
        expires=None if rule.expires_at is None else to_timestamp(rule.expires_at),
        metrics_matched=kept_out,
    )


def _all_json(rules: Sequence[Exclusion]) -> list[ExclusionOut]:
    kept_out = count_kept_out(subject().org.id, [rule.id for rule in rules])
    return [exclusion_json(rule, kept_out.get(rule.id, 0)) for rule in rules]
