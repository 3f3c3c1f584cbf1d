"""Send a message by Apprise to one of several services at fixed addresses; off by default."""

import re
from typing import TYPE_CHECKING, Final

from anomify.channel.kind import ChannelKind, Setting
from anomify.channel.message import DELIVERED, Message, Receipt, Target
from anomify.channel.reply import misconfigured
from anomify.channel.text import facts_of, footer_of, headline_of

if TYPE_CHECKING:
    from apprise import NotifyBase, NotifyType

# Apprise calls by itself, without the guard of our own client. So these are only services whose
# host is fixed in its code: no URL can lead to a private address, a file or a program.
SCHEMAS: Final = (
    "discord",
    "flock",
    "gchat",
    "ifttt",
    "join",
    "pbul",
    "pover",
    "prowl",
    "pushed",
    "pushy",
    "spush",
    "threema",
    "twist",
    "webex",
)
BODY_MAX_CHARACTERS: Final = 1500
TITLE_MAX_CHARACTERS: Final = 200
_URL = re.compile(r"(?P<schema>[a-z]+)://[!-~]{1,1000}")
_NOT_INSTALLED: Final = "Apprise is not installed; the operator has to install anomify[apprise]."


class AppriseChannel:
    """Sends by the library; it says only whether the service took the message."""

    def send(self, message: Message, target: Target) -> Receipt:
        """Send the message as text."""
        url = target.address or target.settings.get("url", "")
        if problem := url_problem(url):
            return misconfigured(problem)
        try:
            from apprise import (  # noqa: PLC0415 -- an extra that few install, and slow to import
                Apprise,
                AppriseAsset,
                NotifyFormat,
                OverflowMode,
            )
        except ImportError:
            return misconfigured(_NOT_INSTALLED)
        asset = AppriseAsset(async_mode=False, secure_logging=True)
        service: NotifyBase | None = Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is None:
            return misconfigured("Apprise cannot read the URL; compare it with its description.")
        service.overflow_mode = OverflowMode.TRUNCATE
        footer = footer_of(message, TITLE_MAX_CHARACTERS)
        text = "\n\n".join(
            filter(None, (facts_of(message, BODY_MAX_CHARACTERS), message.link, footer))
        )
        is_taken = service.notify(
            body=without_mentions(text),
            title=without_mentions(headline_of(message, TITLE_MAX_CHARACTERS)),
            notify_type=_type_of(message),
            body_format=NotifyFormat.TEXT,
        )
        if is_taken:
            return DELIVERED
        return Receipt(
            is_delivered=False,
            problem=f"{url.partition(':')[0]} did not take the message, or could not be reached; "
            "compare the URL with its description by Apprise.",
        )


def without_mentions(text: str) -> str:
    """Return the text in which nobody is mentioned and no words hide an address.

    >>> without_mentions("@everyone [x](y)") == "@\u200beveryone [x] (y)"
    True
    """
    return text.replace("@", "@\u200b").replace("](", "] (")


def url_problem(url: str) -> str | None:
    """Return what is wrong with a URL of Apprise as a sentence, or None."""
    found = _URL.fullmatch(url)
    if found is None:
        return "This is no URL of Apprise, such as discord://id/token."
    if found["schema"] not in SCHEMAS:
        return f"Only these services can be used: {', '.join(SCHEMAS)}."
    if "?" in url or "#" in url:
        return "Leave out the ? and what follows it: no options are accepted."
    return None


def _type_of(message: Message) -> "NotifyType":
    from apprise import NotifyType  # noqa: PLC0415 -- an extra that few install, and slow to import

    if not message.conversation:
        return NotifyType.INFO
    if not message.is_ongoing:
        return NotifyType.SUCCESS
    return NotifyType.FAILURE if message.severity == "high" else NotifyType.WARNING


KIND = ChannelKind(
    name="apprise",
    words="Apprise",
    about="A message by one of the services that Apprise reaches, such as Discord.",
    settings=(
        Setting(
            "url",
            "URL",
            hint="Of Apprise, such as discord://id/token. Services: " + ", ".join(SCHEMAS) + ".",
            is_secret=True,
            check=url_problem,
        ),
    ),
    make=lambda _settings: AppriseChannel(),
    lane_of=lambda values: "@apprise." + values.get("url", "").partition(":")[0][:20],
    address_setting="url",
    enabled_by="apprise_enabled",
)
