"""What people may see of a contact point: no secret values, and of URLs only the host."""

from dataclasses import dataclass

from anomify.channel.kind import Person, Setting
from anomify.channel.kinds import KINDS
from anomify.contact_point.editing import shown_settings
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import why_not_reached
from anomify.contact_point.settings import settings_of
from anomify.org.sealing import SealBroken


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting as it may be shown."""

    setting: Setting
    is_set: bool
    # None for what is secret or not set.
    shown: str | None


@dataclass(frozen=True, slots=True)
class ContactView:
    """A contact point as it may be shown."""

    settings: tuple[SettingView, ...]
    is_confirmed: bool
    # Why messages cannot arrive now, or why the latest one has not.
    problem: str | None


def contact_view(contact_point: ContactPoint, key: bytes) -> ContactView:
    """Return what people may see of the contact point."""
    problem = why_not_reached(contact_point) or contact_point.problem
    try:
        values = settings_of(contact_point, key)
    except SealBroken as broken:
        values, problem = {}, f"{broken} Enter its settings again."
    kind = KINDS[contact_point.kind]
    shown = shown_settings(kind, values)
    return ContactView(
        settings=tuple(
            SettingView(setting, bool(values.get(setting.name)), shown.get(setting.name))
            for setting in kind.settings
        ),
        is_confirmed=contact_point.user_id is not None
        or contact_point.confirmed_at is not None
        or kind.person is not Person.EMAIL,
        problem=problem,
    )
