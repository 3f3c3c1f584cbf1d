"""Decompresses bodies of requests without allocating more than a limit.

Sources: gzip, RFC 1952 and RFC 1951; the raw block of Snappy, "Snappy compressed format
description" in google/snappy.
"""

import zlib

import cramjam

from anomify.errors import Invalid, TooLarge

# The best ratio of Snappy: a copy element of three bytes stands for 64.
SNAPPY_MAX_RATIO = 22
SNAPPY_SMALL_BYTES = 256
GZIP_STEP_BYTES = 64 * 1024
# The uncompressed length is a varint of 32 bits.
SNAPPY_HEADER_BYTES = 5
_GZIP_WINDOW = 31


def unsnappy(data: bytes, limit_bytes: int) -> bytes:
    """Return the content of one raw Snappy block.

    The declared length is checked before memory is allocated. Raises `TooLarge` where it is over
    `limit_bytes`, and `Invalid` where no block of this size can reach it and for damaged bytes.

    >>> unsnappy(bytes([4, 12]) + b"up 1", limit_bytes=100)
    b'up 1'
    """
    declared = unsnappied_length(data)
    if declared > limit_bytes:
        raise TooLarge(
            f"the body is {declared:,} bytes once uncompressed; at most {limit_bytes:,} are taken",
        )
    if declared > SNAPPY_SMALL_BYTES + SNAPPY_MAX_RATIO * len(data):
        raise Invalid("the snappy body declares a length that it cannot hold", code="bad_snappy")
    buffer = bytearray(declared)
    try:
        written = cramjam.snappy.decompress_raw_into(data, buffer) if declared else 0
    except cramjam.DecompressionError as damage:
        raise Invalid(
            "the body is not a snappy block, or was cut short", code="bad_snappy"
        ) from damage
    if written != declared:
        raise Invalid("the snappy body is shorter than it declares", code="bad_snappy")
    return bytes(buffer)


def unsnappied_length(data: bytes) -> int:
    """Return the length that a raw Snappy block declares, in bytes; it may be wrong.

    Raises `Invalid` where the block does not begin with a length.

    >>> unsnappied_length(bytes([4, 12]) + b"up 1")
    4
    """
    length = 0
    for position, byte in enumerate(data[:SNAPPY_HEADER_BYTES]):
        length |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 -- the varint's last byte has no continuation bit
            return length
    raise Invalid("the body is not snappy: it has no length", code="bad_snappy")


def gunzip(data: bytes, limit_bytes: int) -> bytes:
    """Return the content of all members of a gzip file.

    Raises `TooLarge` as soon as the content is longer than `limit_bytes`, and `Invalid` for damaged
    or incomplete bytes. At most 64 KiB over the limit are decompressed.

    >>> import gzip
    >>> gunzip(gzip.compress(b"up 1"), limit_bytes=100)
    b'up 1'
    """
    parts: list[bytes] = []
    total = 0
    rest = data
    while rest:
        stream = zlib.decompressobj(_GZIP_WINDOW)
        while not stream.eof:
            try:
                part = stream.decompress(rest, GZIP_STEP_BYTES)
            except zlib.error as damage:
                raise Invalid("the body is not gzip, or is damaged", code="bad_gzip") from damage
            rest = stream.unconsumed_tail
            if not part and not rest and not stream.eof:
                raise Invalid("the gzip body was cut short", code="bad_gzip")
            total += len(part)
            if total > limit_bytes:
                raise TooLarge(
                    f"the body is too large once uncompressed; at most {limit_bytes:,} bytes are"
                    " taken, so send it in several requests",
                )
            parts.append(part)
        rest = stream.unused_data
    return b"".join(parts)
