"""/org/...quotametrics: the names that count against the quota, and freeing some of it."""

from itertools import islice

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now, to_timestamp
from anomify.edge.access import ADMIN, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.transaction import transaction
from anomify.errors import Invalid
from anomify.metric.name import NameRefused, plain_or_labelled_name
from anomify.metric.quota import Quota, quota_of
from anomify.metric.quota_usage import MOST_REMOVED, list_counted, metrics_of, pick_metrics
from anomify.metric_deletion.delete_metric import delete_metric_and_anomalies
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import SOUGHT_CHARACTERS_MAX, Name
from anomify.native.window import PageIn, timestamp_of

blueprint = NativeBlueprint("org_quota", __name__)

MOST_PATTERNS = 50
# Metrics that go in one unit of work, a fraction of a second.
REMOVED_AT_ONCE = 50


class CountedOut(Outputs):
    """A metric that counts against the quota."""

    name: str = Field(description="Its name.", examples=["shop.orders"])
    first_seen: int = Field(description="When it came, unix seconds.")
    last_seen: int | float | None = Field(
        description="The time of its newest point; null until that is looked at."
    )


class QuotaOut(Outputs):
    """An org's quota and its use."""

    used: int = Field(
        description="How many metrics count: every one ever accepted, silent or not, until it is"
        " deleted or a rule excludes it."
    )
    quota: int | None = Field(description="How many may count; null where there is no limit.")
    excluded: int = Field(description="How many are kept that do not count.")


class CountedListOut(QuotaOut):
    """A page of the metrics that count."""

    metrics: list[CountedOut] = Field(description="The metrics, by name.")
    total: int = Field(description="How many there are in total.")


class RemovedOut(QuotaOut):
    """What was removed, or would be."""

    removed: list[str] = Field(
        description=f"The names, by name; at most {MOST_REMOVED:,} are removed in one go."
    )
    count: int = Field(description="How many metrics were picked; more may be left to remove.")
    dry_run: bool = Field(description="True if nothing has been removed.")


class CountedIn(PageIn):
    """Which of the metrics that count."""

    q: str = Field(
        "", max_length=SOUGHT_CHARACTERS_MAX, description="Text that the name must hold."
    )
    stale_only: bool = Field(
        default=False, description="Only those that have ended or are silent for too long."
    )


class RemoveIn(Inputs):
    """Which metrics are to go."""

    metrics: list[Name] = Field(
        [],
        max_length=MOST_REMOVED,
        description="Names; one that is unknown is passed over.",
        json_schema_extra=names("metric"),
    )
    patterns: list[Name] = Field(
        [],
        max_length=MOST_PATTERNS,
        description="Whole names with * for any text.",
        examples=[["ci.*.duration"]],
    )
    dry_run: bool = Field(
        default=True, description="Only return what would be deleted; false deletes it permanently."
    )


@blueprint.route("/org/getquotametrics", inputs=CountedIn, outputs=CountedListOut, access=VIEWER)
def counted(inputs: CountedIn) -> CountedListOut:
    """List the metrics that count against the quota, by name."""
    org_id = subject().org.id
    page = list_counted(
        org_id,
        now(),
        text=inputs.q,
        is_stale=inputs.stale_only,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return CountedListOut(
        metrics=[
            CountedOut(
                name=one.metric.name,
                first_seen=to_timestamp(one.metric.created_at),
                last_seen=None if one.last_ms is None else timestamp_of(one.last_ms),
            )
            for one in page.items
        ],
        total=page.total,
        **quota_json(quota_of(org_id)),
    )


@blueprint.route(
    "/org/removequotametrics",
    inputs=RemoveIn,
    outputs=RemovedOut,
    access=ADMIN,
    changes=True,
    has_own_transactions=True,
)
def remove(inputs: RemoveIn) -> RemovedOut:
    """Delete metrics with all their data, or only list them; the default is to list them.

    What is removed does not count from that moment on, and its points, anomalies and messages go
    too. A metric that is still sent comes back as a new one.
    """
    if not inputs.metrics and not inputs.patterns:
        raise Invalid(
            "Say which metrics are to go.", fields={"metrics": "Names, or patterns instead."}
        )
    org_id, actor = subject().org.id, subject().label
    with transaction(write=False):
        picked = pick_metrics(org_id, _canonical(inputs.metrics), inputs.patterns)
    if not inputs.dry_run:
        left = iter(picked.names)
        # Part by part, so that others who want to write need not wait for all of it.
        while some := set(islice(left, REMOVED_AT_ONCE)):
            with transaction(write=True):
                for metric in metrics_of(org_id, some):
                    delete_metric_and_anomalies(metric, actor)
            app_state().registry.forget(some)
    with transaction(write=False):
        quota = quota_of(org_id)
    return RemovedOut(
        removed=list(picked.names.values()),
        count=picked.total,
        dry_run=inputs.dry_run,
        **quota_json(quota),
    )


def quota_json(quota: Quota) -> dict[str, int | None]:
    """Return the quota and its use as the API describes them."""
    return {"used": quota.used, "quota": quota.limit, "excluded": quota.kept_out}


def _canonical(given: list[str]) -> list[str]:
    parsed = [plain_or_labelled_name(name) for name in given]
    return [name for name in parsed if not isinstance(name, NameRefused)]
