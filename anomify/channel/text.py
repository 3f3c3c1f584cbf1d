"""Prepare text for channels: invisible characters are removed, long texts are cut."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from anomify.channel.message import Message

ELLIPSIS: Final = "…"
# Joiners are needed by several scripts and by composed emoji.
_JOINERS = {"\u200c", "\u200d"}


# Control characters except the line feed, and the separators of lines and paragraphs.
_BREAKS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]+")
# Characters that are not seen, or that change the direction in which others are read.
_UNSEEN = re.compile(
    "[\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Halves of pairs in UTF-16, which cannot be encoded.
_HALVES = re.compile("[\ud800-\udfff]")


def many_lines(text: str) -> str:
    r"""Return the text without characters that cannot be seen; line ends stay.

    >>> many_lines("a\r\nb\tc\u202e")
    'a\nb c'
    """
    text = _HALVES.sub("\ufffd", text).replace("\r\n", "\n")
    return _UNSEEN.sub("", _BREAKS.sub(" ", text)).strip()


def one_line(text: str) -> str:
    """Return the text in one line without characters that cannot be seen."""
    return many_lines(text).replace("\n", " ")


def cut(text: str, most: int, ellipsis: str = ELLIPSIS) -> str:
    """Return the text, with an ellipsis as its end where it has more characters than `most`.

    >>> cut("abcdef", 4), cut("abcd", 4), cut("abc", 0)
    ('abc…', 'abcd', '')
    """
    if len(text) <= most:
        return text
    kept = text[: max(0, most - len(ellipsis))]
    # A mark without the character that it belongs to is shown as a fault.
    while kept and (unicodedata.combining(text[len(kept)]) or kept[-1] in _JOINERS):
        kept = kept[:-1]
    return (kept.rstrip() + ellipsis)[:most] if most > 0 else ""


def short(text: str, most: int) -> str:
    """Return the text in one line of at most so many characters."""
    return cut(one_line(text), most)


def cut_bytes(text: str, most: int) -> str:
    """Return the text, with an ellipsis as its end where UTF-8 needs more bytes than `most`.

    >>> cut_bytes("äöü", 6), cut_bytes("äöüß", 7)
    ('äöü', 'äö…')
    """
    if len(text.encode()) <= most:
        return text
    left = most - len(ELLIPSIS.encode())
    return text.encode()[:left].decode(errors="ignore").rstrip() + ELLIPSIS if left >= 0 else ""


def utf16_length(text: str) -> int:
    """Return how many 16-bit units the text has in UTF-16, as several services count."""
    return len(text) + sum(character > "\uffff" for character in text)


def cut_utf16(text: str, most: int) -> str:
    """Return the text, with an ellipsis as its end where UTF-16 needs more units than `most`."""
    if utf16_length(text) <= most:
        return text
    left = most - 1
    kept = []
    for character in text:
        left -= utf16_length(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + ELLIPSIS if most > 0 else ""


def line_of(name: str, value: str, most: int) -> str:
    """Return a named value in one line of at most so many characters."""
    return short(f"{one_line(name)}: {one_line(value)}", most)


def facts_of(message: Message, most: int) -> str:
    """Return the sentence and below it the named values, in at most so many characters."""
    lines = [one_line(message.sentence), ""]
    lines += [line_of(name, value, most) for name, value in message.lines]
    return cut("\n".join(lines).strip(), most)


def footer_of(message: Message, most: int) -> str:
    """Return in one line which org and which watcher the message is of."""
    parts = []
    if message.org_name:
        parts.append(one_line(message.org_name))
    if message.watcher_name:
        parts.append(f"watcher {one_line(message.watcher_name)}")
    return cut(" · ".join(parts), most)


def sentence_of(message: Message, most: int) -> str:
    """Return the sentence, or what comes closest to one, in one line that is not empty."""
    return _first((message.sentence, message.subject, message.headline), most)


def headline_of(message: Message, most: int) -> str:
    """Return the headline, or what comes closest to one, in one line that is not empty."""
    return _first((message.headline, message.subject, message.sentence), most)


def _first(texts: Iterable[str], most: int) -> str:
    return next((found for text in texts if (found := short(text, most))), "Anomify")
