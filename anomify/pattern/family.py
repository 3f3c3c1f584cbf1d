"""Families of metrics: those of one name with the same labels, whatever their values are."""

import hashlib

from anomify.metric.name import NAME_LABEL, NameRefused, parse_name


def family_hash(name: str) -> bytes | None:
    r"""Return the SHA-256 of a metric's name and the names of its labels, None without labels.

    >>> family_hash('cpu{host="a"}') == family_hash('cpu{host="b"}')
    True
    >>> family_hash('cpu{host="a"}') == family_hash('cpu{core="a"}')
    False
    >>> family_hash("cpu.a") is None
    True
    """
    labels = parse_name(name)
    if isinstance(labels, NameRefused) or len(labels) < 2:  # noqa: PLR2004 -- the name is a label
        return None
    head = dict(labels).get(NAME_LABEL, "")
    others = sorted(label for label, _ in labels if label != NAME_LABEL)
    return hashlib.sha256("\0".join([head, *others]).encode()).digest()
