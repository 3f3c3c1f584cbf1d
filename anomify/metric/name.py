"""Names and labels: how a metric's name is written, and why a name is refused."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

NAME_LABEL = "__name__"
# Longer names are mistakes, and would not fit where names are shown.
PLAIN_NAME_MAX_BYTES = 512
LABELLED_NAME_MAX_BYTES = 4096
# Composing and unescaping shorten a text, but not four times; longer ones are not parsed.
RAW_NAME_MAX_CHARACTERS = 4 * LABELLED_NAME_MAX_BYTES

# Bytes that are not UTF-8, as the error handler `surrogateescape` decodes them.
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")
# Control characters, line separators, overrides of the direction of text, and single surrogates:
# none can be typed or seen, and some make one name look like another.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Characters that are neither drawn nor have a width: Unicode's format characters and
# Default_Ignorable_Code_Point, and a few blanks that are neither. Arabic, Syriac and Kaithi signs
# that are drawn around digits are format characters too, but visible, so they are not among them.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U00016fe4"
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Selects the coloured form of the symbol before it; keyboards insert it after most emoji.
_EMOJI_FORM = "\ufe0f"
_CLASSIC_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_BRACES = re.compile(r"[{}]")
_NEEDS_ESCAPE = re.compile(r'[\\"\n]')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_UNESCAPES = {"\\": "\\", '"': '"', "n": "\n"}
# Blanks between the parts of a name; any other blank is a character of its part.
_BLANKS = " \t\n\r\f\v"
_LABEL = re.compile(
    r'[ \t\n\r\f\v]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^ \t\n\r\f\v"={},]+))'
    r'[ \t\n\r\f\v]*(?:(?P<equals>=)[ \t\n\r\f\v]*"(?P<value>(?:[^"\\]|\\.)*)"[ \t\n\r\f\v]*)?'
    r"(?P<end>,|\Z)",
    re.DOTALL,
)
_PLAIN_VALUE = re.compile(r'="([^"]*)"')
_WORD_BREAK = re.compile(r"[._/:\s]+")

# Prometheus' text format escapes only the first of these, so they are kept in a name.
_KEPT_IN_VALUES = str.maketrans("", "", "\n\r\t")

# The kinds by which refusals of names are counted.
BAD_NAME = "bad_name"
NAME_TOO_LONG = "name_too_long"
DUPLICATE_LABEL = "duplicate_label"
QUOTA = "quota"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NameRefused:
    """A refused name and the reason, in a sentence that states what the sender has to change.

    Refusals are counted by `kind`.
    """

    reason: str
    kind: str = BAD_NAME


@dataclass(frozen=True, slots=True)
class DerivedName:
    """A name that was derived from the description of a series, so another series may have it too.

    The first series with the name gets it; every other one gets the name `apart`, which is unique
    to it, or is refused if `apart` is.
    """

    name: str
    apart: str | NameRefused
    # The SHA-256 of the sender's description of the series.
    source: bytes


def canonical_name(labels: Iterable[tuple[str, str]]) -> str | NameRefused:
    """Return the canonical name of a label set: `name{a="b",c="d"}`, labels sorted.

    Characters are not changed. Empty values are absent labels, as in Prometheus. A set with no
    label but its name gives the plain name, so it is the same metric in every protocol.
    """
    found: dict[str, str] = {}
    labels = tuple(labels)
    if refused := _too_long(sum(len(label) + len(value) for label, value in labels)):
        return refused
    for label, value in labels:
        if not label:
            return NameRefused("one of its labels has no name")
        if label in found:
            return NameRefused(f"the label {_shown(label)} occurs twice", DUPLICATE_LABEL)
        if _UNSEEN.search(label):
            return NameRefused(f"the name of a label {_unseen_reason(label)}")
        found[label] = value
    name = found.pop(NAME_LABEL, "")
    if not name:
        return NameRefused("the series has no __name__ label, so it has no name")
    if refused := _refused_text(name):
        return refused
    spelled = []
    for label in sorted(found):
        value = found[label]
        if not value:
            continue
        if _UNSEEN.search(value.translate(_KEPT_IN_VALUES)):
            return NameRefused(
                f"the value of the label {_shown(label)}"
                f" {_unseen_reason(value.translate(_KEPT_IN_VALUES))}"
            )
        spelled.append(spelled_label(label, value))
    return _spelled(name, spelled)


def plain_or_labelled_name(text: str) -> str | NameRefused:
    """Return the canonical name of a name sent as one string, `name` or `name{...}`."""
    if refused := _too_long(len(text)):
        return refused
    if not _BRACES.search(text):
        return _refused_text(text) or _spelled(text, [])
    labels = parse_name(text)
    return labels if isinstance(labels, NameRefused) else canonical_name(labels)


def with_label(name: str, label: str, value: str) -> str | NameRefused:
    """Return a canonical name with one more label.

    A name that has that label with another value is refused, because replacing the value would
    merge two metrics.
    """
    labels = parse_name(name)
    if isinstance(labels, NameRefused):
        return labels
    there = dict(labels).get(label)
    if there is None:
        return canonical_name([*labels, (label, value)])
    if there == value:
        return name
    return NameRefused(
        f"the label {_shown(label)} is {_shown(there)} in its name and {_shown(value)} in the"
        " header; send one of them"
    )


def parse_name(text: str) -> Labels | NameRefused:
    """Return the labels of a name, `__name__` first; a canonical name is never refused."""
    if refused := _too_long(len(text)):
        return refused
    opening = text.find("{")
    if opening < 0:
        if "}" in text:
            return NameRefused("it has a closing brace without an opening one")
        return ((NAME_LABEL, text),)
    if not text.rstrip(_BLANKS).endswith("}"):
        return NameRefused("it has an opening brace but does not end with a closing one")
    head, inside = text[:opening].strip(_BLANKS), text.rstrip(_BLANKS)[opening + 1 : -1]
    labels = [(NAME_LABEL, head)] if head else []
    position = 0
    while inside[position:].strip(_BLANKS):
        found = _LABEL.match(inside, position)
        if found is None:
            return NameRefused('its labels are not written as {label="value",...}')
        label = found["bare"] if found["quoted"] is None else _unescaped(found["quoted"])
        if found["equals"]:
            labels.append((label, _unescaped(found["value"])))
        elif found["quoted"] is not None and not labels:
            labels.append((NAME_LABEL, label))
        else:
            return NameRefused(f"the label {_shown(label)} has no value")
        position = found.end()
    return tuple(labels)


def spelled_label(label: str, value: str) -> str:
    """Return a label as it is written in a canonical name, without separators.

    >>> spelled_label("env", "staging")
    'env="staging"'
    """
    return f"{_label_spelled(label)}={_quoted(value)}"


def composed_name(name: str) -> str:
    """Return the name in Unicode form NFC, which is equal for all spellings of the same characters.

    One character may be written in several ways: é is one code point, or e and a combining accent.
    This is the name with all of it in Unicode's form NFC.

    >>> composed_name("cafe\u0301") == composed_name("caf\u00e9") == "caf\u00e9"
    True
    """
    if unicodedata.is_normalized("NFC", name):
        return name
    labels = parse_name(name)
    if isinstance(labels, NameRefused) or len(labels) == 1:
        return unicodedata.normalize("NFC", name)
    composed = [
        (unicodedata.normalize("NFC", label), unicodedata.normalize("NFC", value))
        for label, value in labels
    ]
    head = dict(labels)[NAME_LABEL]
    others = sorted(pair for pair in composed if pair[0] != NAME_LABEL)
    return _written(unicodedata.normalize("NFC", head), [spelled_label(*pair) for pair in others])


def invisible_character(name: str) -> str | None:
    """Return the first character of a name that cannot be seen, as `U+200B (ZERO WIDTH SPACE)`.

    New names with such a character are refused, because they would look like another name.
    """
    if name.isascii():
        return None
    for found in _INVISIBLE.finditer(name):
        before = name[found.start() - 1 : found.start()]
        if found[0] == _EMOJI_FORM and before and unicodedata.category(before) == "So":
            continue
        called = unicodedata.name(found[0], "")
        return f"U+{ord(found[0]):04X}" + (f" ({called})" if called else "")
    return None


def has_unseen(text: str) -> bool:
    """Return whether a text contains characters that no name may: control and direction."""
    return _UNSEEN.search(text) is not None


def name_hash(name: str) -> bytes:
    """Return the SHA-256 of a canonical name, by which it is unique within its org."""
    return hashlib.sha256(name.encode()).digest()


def composed_hash(name: str) -> bytes | None:
    """Return the SHA-256 of the composed name, None where it equals the name."""
    if unicodedata.is_normalized("NFC", name):
        return None
    composed = composed_name(name)
    return None if composed == name else name_hash(composed)


def words(name: str) -> list[str]:
    """Return the words of a name, each once, in order; they are suggested as chips.

    >>> words('node_cpu_seconds_total{mode="idle"}')
    ['node', 'cpu', 'seconds', 'total', 'idle']
    """
    head, brace, inside = name.partition("{")
    if head and "\\" not in inside and '"=' not in inside:
        # Nothing in it is escaped or quoted, as in almost every name, so no parser is needed.
        values = _PLAIN_VALUE.findall(inside) if brace else []
    else:
        labels = parse_name(name)
        if isinstance(labels, NameRefused):
            return []
        head = dict(labels)[NAME_LABEL]
        values = [value for label, value in labels if label != NAME_LABEL]
    found = [word for word in _WORD_BREAK.split(head) if word]
    return list(dict.fromkeys([*found, *values]))


def _written(name: str, labels: list[str]) -> str:
    if _BRACES.search(name):
        return "{" + ",".join([_quoted(name), *labels]) + "}"
    return name + "{" + ",".join(labels) + "}" if labels else name


def _spelled(name: str, labels: list[str]) -> str | NameRefused:
    spelled = _written(name, labels)
    limit = LABELLED_NAME_MAX_BYTES if spelled.endswith("}") else PLAIN_NAME_MAX_BYTES
    size = len(spelled.encode())
    if size > limit:
        return NameRefused(
            f"the name is {size:,} bytes long; at most {limit:,} are taken", NAME_TOO_LONG
        )
    return spelled


def _too_long(characters: int) -> NameRefused | None:
    if characters <= RAW_NAME_MAX_CHARACTERS:
        return None
    return NameRefused(
        f"the name is {characters:,} characters long; at most"
        f" {LABELLED_NAME_MAX_BYTES:,} bytes are taken",
        NAME_TOO_LONG,
    )


def _refused_text(name: str) -> NameRefused | None:
    if not name:
        return NameRefused("the name is empty")
    if _UNSEEN.search(name):
        return NameRefused(f"the name {_unseen_reason(name)}")
    if name != name.strip():
        return NameRefused("the name begins or ends with a space")
    return None


def _unseen_reason(text: str) -> str:
    if _NOT_UTF_8.search(text):
        return "is not valid UTF-8"
    return "holds a control or direction character"


def _label_spelled(label: str) -> str:
    return label if _CLASSIC_LABEL.match(label) else _quoted(label)


def _quoted(text: str) -> str:
    return '"' + _NEEDS_ESCAPE.sub(lambda found: _ESCAPES[found[0]], text) + '"'


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _UNESCAPES.get(found[1], found[0]), text)


def _shown(label: str) -> str:
    return ascii(label[:40])
