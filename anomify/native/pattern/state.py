"""/pattern/.../disable and /enable: whether a pattern is used."""

from pydantic import Field

from anomify.auth.subject import subject
from anomify.edge.access import EDITOR
from anomify.native.pattern.blueprint import blueprint
from anomify.native.pattern.one import PatternIn
from anomify.native.shape.pattern import OnePatternOut, PatternOut, patterns_json
from anomify.pattern.lineage import REASON_CHARACTERS_MAX, disable_pattern, enable_or_accept


class DisableIn(PatternIn):
    """Which pattern, and why."""

    reason: str = Field(
        "", max_length=REASON_CHARACTERS_MAX, description="Why; it is kept in the audit trail."
    )


class DisabledOut(OnePatternOut):
    """The pattern as it is now, and those that were disabled with it."""

    disabled_children: list[PatternOut] = Field(
        description="Those that were made with it or learnt from it, and were disabled, too."
    )


class EnabledOut(OnePatternOut):
    """The pattern as it is now, and those that were enabled with it."""

    enabled_children: list[PatternOut] = Field(
        description="Those that had been disabled together with it, and are enabled again."
    )


@blueprint.route(
    "/pattern/<int:pattern_id>/disable",
    inputs=DisableIn,
    outputs=DisabledOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def disable(inputs: DisableIn) -> DisabledOut:
    """Stop using a pattern and those that descend from it, from the next judged point on.

    Its matches stay. /pattern/ID/enable undoes it.
    """
    found, others = disable_pattern(
        subject().org.id, inputs.pattern_id, actor=subject().label, reason=inputs.reason
    )
    shown, *children = patterns_json([found, *others])
    return DisabledOut(pattern=shown, disabled_children=children)


@blueprint.route(
    "/pattern/<int:pattern_id>/enable",
    inputs=PatternIn,
    outputs=EnabledOut,
    access=EDITOR,
    changes=True,
    errors=(409,),
)
def enable(inputs: PatternIn) -> EnabledOut:
    """Use a pattern again, or accept one that the product has proposed.

    Those that were disabled together with it are used again, too.
    """
    found, others = enable_or_accept(subject().org.id, inputs.pattern_id, actor=subject().label)
    shown, *children = patterns_json([found, *others])
    return EnabledOut(pattern=shown, enabled_children=children)
