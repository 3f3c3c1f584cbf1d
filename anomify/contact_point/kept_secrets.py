"""Secrets that stay when a contact point is changed, and where they would be sent then."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from anomify.channel.kind import ChannelKind

ENTER_AGAIN: Final = "Enter it again: it would be sent to another address than before."


def secrets_for_another_host(
    kind: ChannelKind,
    former: Mapping[str, str],
    values: Mapping[str, str],
    given: Mapping[str, str],
) -> list[str]:
    """Return the secrets that are kept, but would be sent to another host from now on.

    Whoever may edit a contact point would read them there: they are never shown.
    """
    if not former or all(
        _origin(former.get(setting.name, "")) == _origin(values.get(setting.name, ""))
        for setting in kind.settings
        if setting.is_url
    ):
        return []
    return [
        setting.name
        for setting in kind.settings
        if setting.goes_to_url and values.get(setting.name) and not given.get(setting.name)
    ]


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme, parts.netloc.lower()
