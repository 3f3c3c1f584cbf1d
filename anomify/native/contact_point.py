"""/contact_point, /contact_points: where messages can be sent."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

from anomify.auth.subject import subject
from anomify.clock import to_timestamp
from anomify.contact_point.editing import ContactEditor, ContactFields
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.queries import get_contact_point, list_contact_points
from anomify.contact_point.view import SettingView, contact_view
from anomify.delivery.contact_saving import ContactSaver, SavedAndTried
from anomify.edge.access import EDITOR, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.limits import Limit, spend_also
from anomify.edge.strict_json import decode
from anomify.edge.transaction import transaction
from anomify.errors import Invalid
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import RowId
from anomify.watcher.contact_changes import remove_contact_point
from anomify.watcher.model import Watcher
from anomify.watcher.queries import watchers_with

blueprint = NativeBlueprint("contact_point", __name__)


def _object(value: object) -> object:
    """Return the object that a form wrote as JSON; another value is returned unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return decode(value.encode(errors="replace")) if value.strip() else {}
    except Invalid:
        raise ValueError(
            'An object is needed, such as {"url": "https://hooks.example/"}.'
        ) from None


GivenSettings = Annotated[dict[str, str], BeforeValidator(_object)]


class SettingOut(Outputs):
    """A setting of a contact point; secret values are never shown."""

    name: str = Field(description="Its name.")
    is_set: bool = Field(description="Whether it has a value.")
    value: str | None = Field(
        description="Its value; of a URL the host only, and null for what is secret."
    )


class UsingWatcherOut(Outputs):
    """A watcher that notifies a contact point."""

    id: int = Field(description="The watcher's id.")
    name: str = Field(description="Its name.")


class ContactPointOut(Outputs):
    """A contact point."""

    id: int = Field(description="Its id.")
    name: str = Field(description="What people call it; unique in the org.")
    kind: str = Field(description="Its kind, as /contact_points/kinds lists them.")
    user_id: int | None = Field(description="The user whose address or phone number is used.")
    settings: list[SettingOut] = Field(description="Its settings.")
    automatic: bool = Field(description="Whether it was made from a field of a watcher.")
    confirmed: bool = Field(
        description="False for an e-mail address whose owner has not agreed yet; it gets nothing."
    )
    stopped: bool = Field(description="The receiver answered 410; save the contact point again.")
    problem: str | None = Field(
        description="Why messages cannot arrive now, or why the latest one has not."
    )
    delivered_timestamp: int | None = Field(
        description="When a message was last taken, unix seconds."
    )
    watchers: list[UsingWatcherOut] = Field(description="The watchers that notify it.")
    created_by: str = Field(description="Who made it.")
    created_timestamp: int = Field(description="When, unix seconds.")


class OneContactPointOut(Outputs):
    """A contact point."""

    contact_point: ContactPointOut = Field(description="The contact point as it is now.")


class ContactPointsOut(Outputs):
    """The contact points of the org."""

    contact_points: list[ContactPointOut] = Field(description="All of them, by name.")
    total: int = Field(description="How many there are.")


class TestOut(Outputs):
    """What came of a test message."""

    delivered: bool = Field(description="Whether the receiver took it.")
    problem: str | None = Field(description="Why it did not, and what the receiver answered.")


class TestedOut(Outputs):
    """A test message."""

    test: TestOut = Field(description="What came of it.")


class SavedContactPointOut(OneContactPointOut):
    """A contact point as it was saved, and what came of the test message."""

    webhook_secret: str | None = Field(
        None, description="Verifies our signatures; present only when it is new, and never again."
    )
    test: TestOut | None = Field(None, description="What came of the test message.")


class KindSettingOut(Outputs):
    """A setting that contact points of a kind have."""

    name: str = Field(description="Its name in `settings`.")
    words: str = Field(description="What forms call it.")
    hint: str = Field(description="Where to find it, or what it looks like.")
    hidden: bool = Field(description="Whether its value is never shown again.")
    is_required: bool = Field(description="Whether it is needed.")
    is_url: bool = Field(description="Whether it is a URL that is called.")


class KindOut(Outputs):
    """A kind of contact point."""

    kind: str = Field(description="Its name.")
    words: str = Field(description="What forms call it.")
    about: str = Field(description="What it does, in a sentence.")
    takes_user: bool = Field(description="Whether it may name a user instead of an address.")
    settings: list[KindSettingOut] = Field(description="What to enter.")


class KindsOut(Outputs):
    """The kinds of contact points that this server can use."""

    kinds: list[KindOut] = Field(description="The kinds, in the order in which forms offer them.")


class ContactPointFieldsIn(Inputs):
    """What a contact point needs."""

    name: str | None = Field(
        None,
        description="What people call it; made of the address when it is left out.",
        json_schema_extra=names(None),
    )
    user_id: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None,
        description="For e-mail and text messages: the user whose address is used. 0 for nobody.",
        json_schema_extra=names("user"),
    )
    require_test: bool = Field(
        default=False, description="Save nothing unless the test message arrives."
    )


class CreateContactPointIn(ContactPointFieldsIn):
    """A new contact point."""

    kind: str = Field(
        description="One of /contact_points/kinds.", max_length=32, examples=["email"]
    )
    settings: GivenSettings = Field(
        default={},
        description="The settings of the kind by name.",
        examples=[{"url": "https://hooks.example/in"}],
    )


class UpdateContactPointIn(ContactPointFieldsIn):
    """What to change; the rest stays."""

    contact_point_id: RowId = Field(
        description="The contact point's id.", json_schema_extra=names("contact_point")
    )
    settings: GivenSettings = Field(
        default={}, description="Settings to change by name; an empty text removes one."
    )


class ContactPointIn(Inputs):
    """Which contact point."""

    contact_point_id: RowId = Field(
        description="The contact point's id.", json_schema_extra=names("contact_point")
    )


class WebhookIn(Inputs):
    """Which webhook."""

    contact_point_id: RowId = Field(
        description="The id of a contact point of the kind webhook.",
        json_schema_extra=names("webhook_contact_point"),
    )


@blueprint.route(
    "/contact_point/create",
    inputs=CreateContactPointIn,
    outputs=SavedContactPointOut,
    access=EDITOR,
    changes=True,
    # The test message is sent while no transaction is open.
    has_own_transactions=True,
)
def create(inputs: CreateContactPointIn) -> SavedContactPointOut:
    """Create a contact point and send a test message to it.

    It is saved whether the message arrives or not, unless `require_test` is true. An e-mail address
    that belongs to no user of the org first gets a letter with a link, and nothing else before its
    owner has confirmed it.
    """
    caller = subject()
    spend_also(Limit.TEST)
    requested = ContactFields(inputs.kind, inputs.name, inputs.user_id, inputs.settings)
    return _saved(
        _saver().create(caller.org.id, requested, caller.label, requires_test=inputs.require_test)
    )


@blueprint.route(
    "/contact_point/<int:contact_point_id>/update",
    inputs=UpdateContactPointIn,
    outputs=SavedContactPointOut,
    access=EDITOR,
    changes=True,
    has_own_transactions=True,
)
def update(inputs: UpdateContactPointIn) -> SavedContactPointOut:
    """Change a contact point and send a test message to it; what is left out stays.

    A replaced secret of a webhook also signs for 24 hours.
    """
    caller = subject()
    spend_also(Limit.TEST)
    requested = ContactFields(
        name=inputs.name, user_id=inputs.user_id, settings=inputs.settings or None
    )
    return _saved(
        _saver().update(
            caller.org.id,
            inputs.contact_point_id,
            requested,
            caller.label,
            requires_test=inputs.require_test,
        )
    )


@blueprint.route(
    "/contact_point/<int:contact_point_id>/delete",
    inputs=ContactPointIn,
    outputs=OneContactPointOut,
    access=EDITOR,
    changes=True,
)
def delete(inputs: ContactPointIn) -> OneContactPointOut:
    """Delete a contact point; watchers do not notify it any more, and its secrets are erased."""
    caller = subject()
    shown = _one(get_contact_point(caller.org.id, inputs.contact_point_id))
    remove_contact_point(caller.org.id, inputs.contact_point_id, caller.label)
    return shown


@blueprint.route(
    "/contact_point/<int:contact_point_id>/test",
    inputs=ContactPointIn,
    outputs=TestedOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    limits=("write", "test"),
    has_own_transactions=True,
)
def test(inputs: ContactPointIn) -> TestedOut:
    """Send a test message now and return what the receiver answered, after ten seconds at most."""
    trial = _saver().test(subject().org.id, inputs.contact_point_id)
    return TestedOut(test=TestOut(delivered=trial.is_delivered, problem=trial.problem or None))


@blueprint.route(
    "/contact_point/<int:contact_point_id>/rotate_secret",
    inputs=WebhookIn,
    outputs=SavedContactPointOut,
    access=EDITOR,
    changes=True,
)
def rotate_secret(inputs: WebhookIn) -> SavedContactPointOut:
    """Make a new secret for a webhook; messages are signed with both for 24 hours."""
    caller = subject()
    saved = _editor().rotate_secret(caller.org.id, inputs.contact_point_id, caller.label)
    return SavedContactPointOut(
        contact_point=_one(saved.contact_point).contact_point, webhook_secret=saved.fresh_secret
    )


@blueprint.route(
    "/contact_point/<int:contact_point_id>",
    inputs=ContactPointIn,
    outputs=OneContactPointOut,
    access=VIEWER,
)
def contact_point(inputs: ContactPointIn) -> OneContactPointOut:
    """Describe a contact point, without its secrets."""
    return _one(get_contact_point(subject().org.id, inputs.contact_point_id))


@blueprint.route("/contact_points/list", inputs=Inputs, outputs=ContactPointsOut, access=VIEWER)
def contact_points(inputs: Inputs) -> ContactPointsOut:
    """List the org's contact points with the watchers that notify each."""
    del inputs
    found = contact_points_json(list_contact_points(subject().org.id))
    return ContactPointsOut(contact_points=found, total=len(found))


@blueprint.route("/contact_points/kinds", inputs=Inputs, outputs=KindsOut, access=VIEWER)
def kinds(inputs: Inputs) -> KindsOut:
    """List the kinds of contact points and what each needs, for forms."""
    del inputs
    return KindsOut(
        kinds=[
            KindOut(
                kind=kind.name,
                words=kind.words,
                about=kind.about,
                takes_user=kind.person is not None,
                settings=[
                    KindSettingOut(
                        name=setting.name,
                        words=setting.words,
                        hint=setting.hint,
                        hidden=setting.is_secret,
                        is_required=setting.is_required,
                        is_url=setting.is_url,
                    )
                    for setting in kind.settings
                ],
            )
            for kind in _editor().kinds()
        ]
    )


def contact_points_json(found: Sequence[ContactPoint]) -> list[ContactPointOut]:
    """Return contact points of the org as the wire has them."""
    watchers = watchers_with(subject().org.id, [each.id for each in found])
    return [_json(each, watchers[each.id]) for each in found]


def _json(point: ContactPoint, watchers: Sequence[Watcher]) -> ContactPointOut:
    view, taken_at = contact_view(point, _editor().key), point.delivered_at
    return ContactPointOut(
        id=point.id,
        name=point.name,
        kind=point.kind,
        user_id=point.user_id,
        settings=[_setting_json(each) for each in view.settings],
        automatic=point.is_automatic,
        confirmed=view.is_confirmed,
        stopped=point.stopped_at is not None,
        problem=view.problem,
        delivered_timestamp=None if taken_at is None else to_timestamp(taken_at),
        watchers=[UsingWatcherOut(id=each.id, name=each.name) for each in watchers],
        created_by=point.created_by,
        created_timestamp=to_timestamp(point.created_at),
    )


def _setting_json(view: SettingView) -> SettingOut:
    return SettingOut(name=view.setting.name, is_set=view.is_set, value=view.shown)


def _one(point: ContactPoint) -> OneContactPointOut:
    (shown,) = contact_points_json([point])
    return OneContactPointOut(contact_point=shown)


def _saved(saved: SavedAndTried) -> SavedContactPointOut:
    with transaction(write=False):
        shown = _one(get_contact_point(subject().org.id, saved.contact_point_id))
    trial = saved.trial
    return SavedContactPointOut(
        contact_point=shown.contact_point,
        webhook_secret=saved.fresh_secret,
        test=TestOut(delivered=trial.is_delivered, problem=trial.problem or None),
    )


def _saver() -> ContactSaver:
    return ContactSaver(app_state().database, app_state().settings)


def _editor() -> ContactEditor:
    return ContactEditor(app_state().settings)
