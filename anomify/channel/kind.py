"""ChannelKind and Setting: what the people who create a contact point of one kind enter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from anomify.channel.message import Channel
from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound.address_guard import AddressGuard, host_of

# Long enough for every URL and token that is in use.
SETTING_MAX_CHARACTERS = 2000


def anything(_text: str) -> str | None:
    """Return None: every text is accepted."""
    return None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a contact point."""

    # As it is stored and sent through the API.
    name: str
    # What it is called on pages.
    words: str
    # Where to find it, or what it looks like.
    hint: str = ""
    # Kept sealed and never shown again.
    is_secret: bool = False
    is_required: bool = True
    # A URL that is called: whoever stores it has it checked by `Outbound.check_url`, too.
    is_url: bool = False
    # A secret that is sent to the host of the URL: who changes the host has to know it.
    goes_to_url: bool = False
    # Returns what is wrong with a value as a sentence, or None. Empty values are not checked.
    check: Callable[[str], str | None] = anything

    def problem(self, value: str) -> str | None:
        """Return what is wrong with a value that is not empty, as a sentence, or None."""
        if len(value) > SETTING_MAX_CHARACTERS:
            return f"This is longer than {SETTING_MAX_CHARACTERS:,} characters."
        if not value.isprintable():
            return "This holds line breaks or characters that cannot be seen."
        if self.is_url and (problem := _url_problem(value)):
            return problem
        return self.check(value)


class Person(StrEnum):
    """What is looked up of the user whom a contact point names."""

    EMAIL = "email"
    PHONE = "phone"


def nothing_more(_values: Mapping[str, str]) -> Mapping[str, str]:
    """Return no problems: the settings of a kind do not depend on each other."""
    return {}


@dataclass(frozen=True, slots=True)
class ChannelKind:
    """A kind of contact point: its settings, and how its channel is made."""

    name: str
    # What it is called on pages.
    words: str
    # One sentence for people who choose a kind.
    about: str
    settings: tuple[Setting, ...]
    make: Callable[[Settings], Channel]
    # From the values of the settings to where its messages wait for each other: a host in most.
    lane_of: Callable[[Mapping[str, str]], str]
    # Problems by name of setting that need several values to be seen.
    check_together: Callable[[Mapping[str, str]], Mapping[str, str]] = nothing_more
    # A contact point of this kind may name a user instead of an address; this of them is used.
    person: Person | None = None
    # The setting that has the address, where `Target.address` does not come from a user.
    address_setting: str = ""
    # What is still true has to be sent again this often.
    resend_seconds: int | None = None
    # Shows that somebody has taken an incident over, so that it is told of that.
    takes_acknowledgement: bool = False
    # Later messages of a conversation are shown below the first one.
    answers_in_thread: bool = False
    # Shows the picture itself, so that it has to be drawn; the others have links only.
    shows_picture: bool = False
    # Reports and summaries can be sent there, which are about no incident.
    takes_reports: bool = True
    # The operator has to enable it with this setting of the server.
    enabled_by: str = ""

    def problems(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return what is wrong with the values, by name of setting, in sentences."""
        known = {setting.name: setting for setting in self.settings}
        found = {
            name: f"A contact point of the kind {self.words} has no setting of this name."
            for name in values
            if name not in known
        }
        for name, setting in known.items():
            value = values.get(name, "")
            if not value:
                if setting.is_required:
                    found[name] = f"{setting.words} is needed."
            elif problem := setting.problem(value):
                found[name] = problem
        return found or dict(self.check_together(values))

    def is_available(self, settings: Settings) -> bool:
        """Return whether contact points of this kind can be used on this server."""
        return not self.enabled_by or bool(getattr(settings, self.enabled_by))


def host_lane(name: str) -> Callable[[Mapping[str, str]], str]:
    """Return the function that finds the lane in the URL that one setting holds."""

    def lane_of(values: Mapping[str, str]) -> str:
        return host_of(values.get(name, ""))

    return lane_of


def fixed_lane(lane: str) -> Callable[[Mapping[str, str]], str]:
    """Return the function that finds the same lane for all settings."""

    def lane_of(_values: Mapping[str, str]) -> str:
        return lane

    return lane_of


def _url_problem(value: str) -> str | None:
    try:
        # All networks are allowed here; the operator's rules are known where it is stored.
        AddressGuard(("0.0.0.0/0", "::/0")).check_url(value)
    except UpstreamFailed as failure:
        return failure.message
    return None
