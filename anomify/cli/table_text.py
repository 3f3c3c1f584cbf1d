"""The text of a table of points: unpacked, decoded and cut into lines."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final, NoReturn

import click

LINE_CHARACTERS_MAX: Final = 1_000_000
_MAGIC: Final = {
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook; save the table as CSV",
    b"BZh": "is packed with bzip2; unpack it first, or use gzip",
    b"\xfd7zXZ": "is packed with xz; unpack it first, or use gzip",
    b"\x28\xb5\x2f\xfd": "is packed with zstd; unpack it first, or use gzip",
    b"PAR1": "is a Parquet file; save the table as CSV",
}
DAMAGE_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class UnreadableFileError(click.ClickException):
    """The file or some of its rows cannot be read; the message names the file and the lines."""

    exit_code = 2


def is_row(line: str) -> bool:
    """Return whether a line is neither blank nor a comment."""
    return bool(line.strip()) and not line.startswith("#")


def named_separator(lines: Iterator[str]) -> tuple[str | None, Iterator[str]]:
    """Return the separator that a first line such as `sep=;` names, and the other lines."""
    first = next(lines, None)
    if first is None:
        return None, iter(())
    word = first.strip("\r\n").strip('"')
    if word[:4].lower() == "sep=" and len(word) == 5:  # noqa: PLR2004 -- and one character
        return word[4], lines
    return None, chain([first], lines)


@contextmanager
def opened_lines(path: Path) -> Iterator[Iterator[str]]:
    """Open a file, plain or gzipped, as lines of text in its own encoding."""
    with path.open("rb") as raw:
        begun = raw.read(8)
        raw.seek(0)
        for magic, reason in _MAGIC.items():
            if begun.startswith(magic):
                refuse_file(path, reason)
        is_packed = begun.startswith(b"\x1f\x8b")
        if path.suffix == ".gz" and begun and not is_packed:
            refuse_file(path, "is not a CSV file packed with gzip, although its name ends in .gz")
        inner = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if is_packed else raw
        encoding = _encoding(inner.peek(1024)[:1024])
        # Bytes that cannot be decoded are an error only in a cell that is read.
        with io.TextIOWrapper(inner, encoding, errors="surrogateescape", newline="") as text:
            yield _limited(path, text)


def _limited(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LINE_CHARACTERS_MAX + 1):
        if len(line) > LINE_CHARACTERS_MAX:
            refuse_file(path, f"has a line of more than {LINE_CHARACTERS_MAX:,} characters")
        yield line


def _encoding(begun: bytes) -> str:
    if begun.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if begun.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if begun.startswith(codecs.BOM_UTF8) or b"\0" not in begun:
        return "utf-8-sig"
    # UTF-16 without a byte order mark: every second byte of ASCII text is zero.
    return "utf-16-le" if b"\0" in begun[1::2] and b"\0" not in begun[::2] else "utf-16-be"


def refuse_file(path: Path, reason: str) -> NoReturn:
    """Raise `UnreadableFileError` with the file's path and the reason."""
    raise UnreadableFileError(f"{path} {reason}.")
