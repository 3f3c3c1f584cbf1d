"""Names and labels: the one spelling a metric is known by, and why a name is refused."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

NAME_LABEL = "__name__"
# Anything longer is not a name but a mistake, and would not fit where names are shown.
PLAIN_NAME_MAX_BYTES = 512
LABELLED_NAME_MAX_BYTES = 4096
# Composing and unescaping shorten a text, but not four times; longer ones are not even read.
RAW_NAME_MAX_CHARACTERS = 4 * LABELLED_NAME_MAX_BYTES

# Control characters, line separators, what overrides the direction of text, and halves of
# characters: none can be typed or seen, and some make one name look like another.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CLASSIC_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_BRACES = re.compile(r"[{}]")
_NEEDS_ESCAPE = re.compile(r'[\\"\n]')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_UNESCAPES = {"\\": "\\", '"': '"', "n": "\n"}
_LABEL = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"={},]+))\s*'
    r'(?:(?P<equals>=)\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*)?(?P<end>,|\Z)',
    re.DOTALL,
)
_PLAIN_VALUE = re.compile(r'="([^"]*)"')
_WORD_BREAK = re.compile(r"[._/:\s]+")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NameRefused:
    """A name that is not taken, and why, in a sentence its sender can act on."""

    reason: str


def canonical_name(labels: Iterable[tuple[str, str]]) -> str | NameRefused:
    """Return the one spelling of a label set: `name{a="b",c="d"}`, labels sorted, NFC.

    Empty values are absent labels, as in Prometheus. A set without other labels than its name is
    the plain name, so it is the same metric by whichever door it comes.
    """
    found: dict[str, str] = {}
    labels = tuple(labels)
    if refused := _too_long(sum(len(label) + len(value) for label, value in labels)):
        return refused
    for raw_label, raw_value in labels:
        label = unicodedata.normalize("NFC", raw_label)
        if not label:
            return NameRefused("one of its labels has no name")
        if label in found:
            return NameRefused(f"the label {_shown(label)} occurs twice")
        if _UNSEEN.search(label):
            return NameRefused("the name of a label holds a control or direction character")
        found[label] = unicodedata.normalize("NFC", raw_value)
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
        if _UNSEEN.search(value.replace("\n", "")):
            return NameRefused(
                f"the value of the label {_shown(label)} holds a control or direction character"
            )
        spelled.append(spelled_label(label, value))
    return _spelled(name, spelled)


def plain_or_labelled_name(text: str) -> str | NameRefused:
    """Return the one spelling of a name that was sent as one string, `name` or `name{...}`."""
    if refused := _too_long(len(text)):
        return refused
    if not _BRACES.search(text):
        name = unicodedata.normalize("NFC", text)
        return _refused_text(name) or _spelled(name, [])
    labels = parse_name(text)
    return labels if isinstance(labels, NameRefused) else canonical_name(labels)


def with_label(name: str, label: str, value: str) -> str | NameRefused:
    """Return a canonical name with one more label; a label of that name is replaced."""
    labels = parse_name(name)
    if isinstance(labels, NameRefused):
        return labels
    kept = [pair for pair in labels if pair[0] != label]
    return canonical_name([*kept, (label, value)])


def parse_name(text: str) -> Labels | NameRefused:
    """Return the labels of a name, `__name__` first; of a canonical name this never fails."""
    if refused := _too_long(len(text)):
        return refused
    opening = text.find("{")
    if opening < 0:
        if "}" in text:
            return NameRefused("it has a closing brace without an opening one")
        return ((NAME_LABEL, text),)
    if not text.rstrip().endswith("}"):
        return NameRefused("it has an opening brace but does not end with a closing one")
    head, inside = text[:opening].strip(), text.rstrip()[opening + 1 : -1]
    labels = [(NAME_LABEL, head)] if head else []
    position = 0
    while inside[position:].strip():
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
    """Return a label as it stands in a canonical name, without what separates it from others.

    >>> spelled_label("env", "staging")
    'env="staging"'
    """
    return f"{_label_spelled(label)}={_quoted(value)}"


def has_unseen(text: str) -> bool:
    """Tell whether a text holds what no name may: control and direction characters."""
    return _UNSEEN.search(text) is not None


def name_hash(name: str) -> bytes:
    """Return the SHA-256 of a canonical name, by which it is unique within its org."""
    return hashlib.sha256(name.encode()).digest()


def words(name: str) -> list[str]:
    """Return the words that a name is made of, each once, in order: what chips are offered from.

    >>> words('node_cpu_seconds_total{mode="idle"}')
    ['node', 'cpu', 'seconds', 'total', 'idle']
    """
    head, brace, inside = name.partition("{")
    if head and "\\" not in inside and '"=' not in inside:
        # Nothing in it is escaped or oddly named, as of almost every metric: that is read quickly.
        values = _PLAIN_VALUE.findall(inside) if brace else []
    else:
        labels = parse_name(name)
        if isinstance(labels, NameRefused):
            return []
        head = dict(labels)[NAME_LABEL]
        values = [value for label, value in labels if label != NAME_LABEL]
    found = [word for word in _WORD_BREAK.split(head) if word]
    return list(dict.fromkeys([*found, *values]))


def _spelled(name: str, labels: list[str]) -> str | NameRefused:
    if _BRACES.search(name):
        spelled = "{" + ",".join([_quoted(name), *labels]) + "}"
    elif labels:
        spelled = name + "{" + ",".join(labels) + "}"
    else:
        spelled = name
    limit = LABELLED_NAME_MAX_BYTES if spelled.endswith("}") else PLAIN_NAME_MAX_BYTES
    size = len(spelled.encode())
    if size > limit:
        return NameRefused(f"the name is {size:,} bytes long; at most {limit:,} are taken")
    return spelled


def _too_long(characters: int) -> NameRefused | None:
    if characters <= RAW_NAME_MAX_CHARACTERS:
        return None
    return NameRefused(
        f"the name is {characters:,} characters long; at most"
        f" {LABELLED_NAME_MAX_BYTES:,} bytes are taken"
    )


def _refused_text(name: str) -> NameRefused | None:
    if not name:
        return NameRefused("the name is empty")
    if _UNSEEN.search(name):
        return NameRefused("the name holds a control or direction character")
    if name != name.strip():
        return NameRefused("the name begins or ends with a space")
    return None


def _label_spelled(label: str) -> str:
    return label if _CLASSIC_LABEL.match(label) else _quoted(label)


def _quoted(text: str) -> str:
    return '"' + _NEEDS_ESCAPE.sub(lambda found: _ESCAPES[found[0]], text) + '"'


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _UNESCAPES.get(found[1], found[0]), text)


def _shown(label: str) -> str:
    return ascii(label[:40])
