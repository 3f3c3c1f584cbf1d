"""The layout of a message in Slack's Block Kit, within the limits of each block."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from anomify.channel.message import Message
from anomify.channel.text import ELLIPSIS, footer_of, headline_of, one_line, sentence_of, short

BLOCKS_MAX: Final = 50
HEADER_MAX_CHARACTERS: Final = 150
TEXT_MAX_CHARACTERS: Final = 3000
FIELDS_MAX: Final = 10
# Of ours: longer messages are not read, and all blocks together have a limit, too.
SENTENCE_MAX_CHARACTERS: Final = 1500
FIELD_MAX_CHARACTERS: Final = 300
LINES_MAX: Final = 30
URL_MAX_CHARACTERS: Final = 3000
ALT_MAX_CHARACTERS: Final = 2000
BUTTON_MAX_CHARACTERS: Final = 75
VALUE_MAX_CHARACTERS: Final = 2000
FALLBACK_MAX_CHARACTERS: Final = 3000
# Names of ours; others are shown without bold letters, because they could hold formatting.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 ,.()-]+")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_URL_ESCAPES = str.maketrans({"&": "&amp;", "<": "%3C", ">": "%3E", "|": "%7C", " ": "%20"})
_LONGEST_ESCAPE = 5


def escaped(text: str, most: int) -> str:
    """Return the text in one line with Slack's three control characters as entities.

    The result has at most `most` characters, and no entity is cut.

    >>> escaped("a <!channel> & b", 100)
    'a &lt;!channel&gt; &amp; b'
    """
    text = short(text, most)
    written = text.translate(_ESCAPES)
    while len(written) > most:
        too_many = -(-(len(written) - most) // _LONGEST_ESCAPE)
        text = text.removesuffix(ELLIPSIS)[:-too_many].rstrip() + ELLIPSIS
        written = text.translate(_ESCAPES)
    return written


def plain(text: str, most: int) -> dict[str, Any]:
    """Return a text object in which nothing is formatted, mentioned or linked."""
    # An empty text is refused.
    return {"type": "plain_text", "text": escaped(text, most) or "-", "emoji": False}


def fallback(message: Message, mentions: Sequence[str]) -> str:
    """Return the text for notifications and for programs that do not show blocks."""
    people = "".join(f"<@{each}> " for each in mentions) if message.is_ongoing else ""
    words = escaped(
        sentence_of(message, FALLBACK_MAX_CHARACTERS), FALLBACK_MAX_CHARACTERS - len(people)
    )
    return people + words


def picture_words(message: Message) -> str:
    """Return what the picture shows, for people who cannot see it."""
    about = one_line(message.about)
    return (
        f"{about} around this moment, with the range that was expected" if about else "The metric"
    )


def image_of_url(message: Message) -> dict[str, Any] | None:
    """Return the image block for the signed address of the picture; None without one."""
    if not message.image_url or len(message.image_url) > URL_MAX_CHARACTERS:
        return None
    return {
        "type": "image",
        "image_url": message.image_url,
        "alt_text": short(picture_words(message), ALT_MAX_CHARACTERS),
    }


def image_of_file(message: Message, file_id: str) -> dict[str, Any]:
    """Return the image block for a picture that was uploaded to Slack."""
    return {
        "type": "image",
        "slack_file": {"id": file_id},
        "alt_text": short(picture_words(message), ALT_MAX_CHARACTERS),
    }


def blocks(
    message: Message,
    mentions: Sequence[str],
    *,
    image: Mapping[str, Any] | None,
    has_buttons: bool,
) -> list[Mapping[str, Any]]:
    """Return the blocks of the message; buttons only where their presses can be verified."""
    found: list[Mapping[str, Any]] = [
        {
            "type": "header",
            "text": plain(headline_of(message, HEADER_MAX_CHARACTERS), HEADER_MAX_CHARACTERS),
        }
    ]
    if message.sentence:
        found.append({"type": "section", "text": plain(message.sentence, SENTENCE_MAX_CHARACTERS)})
    if mentions and message.is_ongoing:
        people = " ".join(f"<@{each}>" for each in mentions)
        found.append({"type": "section", "text": {"type": "mrkdwn", "text": people}})
    found.extend(_tables(message))
    if image is not None:
        found.append(image)
    if link := _link(message):
        found.append(
            {"type": "section", "text": {"type": "mrkdwn", "text": link, "verbatim": True}}
        )
    if has_buttons and (buttons := list(_buttons(message))):
        found.append({"type": "actions", "block_id": "anomify", "elements": buttons})
    if footer := footer_of(message, TEXT_MAX_CHARACTERS):
        found.append({"type": "context", "elements": [plain(footer, TEXT_MAX_CHARACTERS)]})
    return found[:BLOCKS_MAX]


def _tables(message: Message) -> Iterator[Mapping[str, Any]]:
    lines = list(message.lines)
    left_out = len(lines) - LINES_MAX
    if left_out > 0:
        lines = [*lines[:LINES_MAX], ("And", f"{left_out} more lines")]
    in_a_table = FIELDS_MAX // 2
    for start in range(0, len(lines), in_a_table):
        fields = []
        for name, value in lines[start : start + in_a_table]:
            fields += [_name(name), plain(value, FIELD_MAX_CHARACTERS)]
        yield {"type": "section", "fields": fields}


def _name(name: str) -> dict[str, Any]:
    if _PLAIN_NAME.fullmatch(name) and len(name) <= HEADER_MAX_CHARACTERS:
        return {"type": "mrkdwn", "text": f"*{name.strip()}*", "verbatim": True}
    return plain(name, FIELD_MAX_CHARACTERS)


def _link(message: Message) -> str:
    if not message.link or len(message.link) > TEXT_MAX_CHARACTERS // 2:
        return ""
    url = message.link.translate(_URL_ESCAPES)
    return f"<{url}|{escaped(message.link_words, 200).replace('|', '/') or 'Open'}>"


def _buttons(message: Message) -> Iterator[Mapping[str, Any]]:
    for button in message.buttons:
        if len(button.value) <= VALUE_MAX_CHARACTERS:
            yield {
                "type": "button",
                "action_id": button.action.value,
                "value": button.value,
                "text": plain(button.words, BUTTON_MAX_CHARACTERS),
            }
