"""Save a contact point and try it out at once, outside of any transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from anomify.channel.kinds import KINDS, WEBHOOK
from anomify.channel.message import Receipt, Target
from anomify.channel.signature import new_secret
from anomify.clock import now
from anomify.config import Settings
from anomify.contact_point.editing import ContactEditor, ContactFields, SavedContact
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.queries import get_contact_point
from anomify.contact_point.settings import SECRET
from anomify.contact_point.trial import Trial, trial_message, try_out
from anomify.db import Database
from anomify.delivery.recipient import target_of_contact
from anomify.errors import Invalid
from anomify.org.queries import get_org
from anomify.watcher.contact_changes import change_contact_point
from anomify.watcher.reach import note_receipt


@dataclass(frozen=True, slots=True)
class SavedAndTried:
    """A saved contact point, its secret if that is new, and what came of the test message."""

    contact_point_id: int
    fresh_secret: str | None
    trial: Trial


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a test message needs, read before its unit of work ends."""

    kind: str
    org_name: str
    name: str
    target: Target | Receipt


class ContactSaver:
    """Saves contact points with a test message each; needs that no unit of work is open."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Save in this database, and send with these settings."""
        self._database = database
        self._settings = settings
        self._editor = ContactEditor(settings)

    def create(
        self, org_id: int, requested: ContactFields, actor: str, *, requires_test: bool = False
    ) -> SavedAndTried:
        """Create a contact point as `ContactEditor.create` does, and try it out.

        With `requires_test` nothing is stored and `Invalid` is raised if the test fails.
        """
        if requested.kind == WEBHOOK and not (requested.settings or {}).get(SECRET):
            # Made here, so that the test that is required has the secret that is stored after it.
            given = {**(requested.settings or {}), SECRET: new_secret()}
            requested = replace(requested, settings=given)
        return self._saved(
            lambda: self._editor.create(org_id, requested, actor), requires_test=requires_test
        )

    def update(
        self,
        org_id: int,
        contact_point_id: int,
        requested: ContactFields,
        actor: str,
        *,
        requires_test: bool = False,
    ) -> SavedAndTried:
        """Change a contact point as `ContactEditor.update` does, and try it out."""
        return self._saved(
            lambda: change_contact_point(self._editor, org_id, contact_point_id, requested, actor),
            requires_test=requires_test,
        )

    def test(self, org_id: int, contact_point_id: int) -> Trial:
        """Send a test message and return the result. Raises `NotFound`."""
        with self._database.unit_of_work(write=False):
            prepared = self._prepared(get_contact_point(org_id, contact_point_id))
        trial = self._sent(prepared)
        self._note(org_id, contact_point_id, trial)
        return trial

    def _saved(self, save: Callable[[], SavedContact], *, requires_test: bool) -> SavedAndTried:
        if requires_test:
            trial = self._tried_before(save)
            if not trial.is_delivered:
                raise Invalid(
                    f"Nothing was saved, because the test failed: {trial.problem}",
                    code="test_failed",
                    fields={"require_test": trial.problem},
                )
        with self._database.unit_of_work():
            saved = save()
            point = saved.contact_point
            prepared = self._prepared(point)
        if not requires_test:
            trial = self._sent(prepared)
        self._note(point.org_id, point.id, trial)
        return SavedAndTried(point.id, saved.fresh_secret, trial)

    def _tried_before(self, save: Callable[[], SavedContact]) -> Trial:
        """Send the test message of what would be saved; the change itself is undone."""
        with self._database.unit_of_work() as db_session:
            prepared = self._prepared(save().contact_point)
            db_session.rollback()
        return self._sent(prepared)

    def _prepared(self, point: ContactPoint) -> _Prepared:
        return _Prepared(
            point.kind,
            get_org(point.org_id).name,
            point.name,
            target_of_contact(point, now(), self._editor.key),
        )

    def _sent(self, prepared: _Prepared) -> Trial:
        channel = KINDS[prepared.kind].make(self._settings)
        return try_out(channel, trial_message(prepared.org_name, prepared.name), prepared.target)

    def _note(self, org_id: int, contact_point_id: int, trial: Trial) -> None:
        if not trial.is_attempted:
            return
        with self._database.unit_of_work():
            note_receipt(
                get_contact_point(org_id, contact_point_id),
                Receipt(is_delivered=trial.is_delivered, problem=trial.problem),
            )
