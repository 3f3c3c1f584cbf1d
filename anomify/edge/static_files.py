"""Static files whose addresses change with their content, so that browsers may cache them."""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cramjam
from flask import Flask, Response, request

from anomify.edge.compression import GZIP, LEAST_BYTES, TYPES, set_compressed

KEPT_SECONDS = 365 * 86_400
BROTLI = "br"
# Files are compressed once, so that it may take a little longer.
BROTLI_LEVEL = 9
GZIP_LEVEL = 9
_VERSION = re.compile(r"[0-9a-f]{16}")


class StaticFilesApp(Flask):
    """A Flask app whose addresses of static files begin with a hash of all static files.

    One hash for all, because scripts and styles name each other relative to their own address. An
    address without a hash, or with that of another version, returns the current file, which
    browsers must not cache.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        """Take the parameters of Flask, and read the files once for their hash."""
        super().__init__(*args, **more)
        self.static_version = _hash_of(Path(self.static_folder or ""))
        self.url_defaults(self._add_version)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function unchanged: no view is asynchronous, and checking that takes time."""
        return func

    def send_static_file(self, filename: str) -> Response:
        """Return the file of this name, compressed if the client accepts that."""
        version, _, rest = filename.partition("/")
        has_version = bool(_VERSION.fullmatch(version) and rest)
        reply = super().send_static_file(rest if has_version else filename)
        if has_version and version == self.static_version:
            reply.headers["Cache-Control"] = f"public, max-age={KEPT_SECONDS}, immutable"
        if reply.status_code == 200 and reply.mimetype in TYPES:  # noqa: PLR2004 -- a whole file
            self._compress(reply, rest if has_version else filename)
        return reply

    def _compress(self, reply: Response, filename: str) -> None:
        accepted = request.accept_encodings
        encoding = next((one for one in (BROTLI, GZIP) if accepted.quality(one) > 0), None)
        path = Path(self.static_folder or "") / filename
        found = path.stat()
        if encoding is None or found.st_size < LEAST_BYTES:
            return
        set_compressed(reply, _compressed(path, found.st_mtime_ns, encoding), encoding)

    def _add_version(self, endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "filename" in values:
            values["filename"] = f"{self.static_version}/{values['filename']}"


@lru_cache(maxsize=200)
def _compressed(path: Path, _changed_ns: int, encoding: str) -> bytes:
    content = path.read_bytes()
    if encoding == BROTLI:
        return bytes(cramjam.brotli.compress(content, BROTLI_LEVEL))
    return bytes(cramjam.gzip.compress(content, GZIP_LEVEL))


def _hash_of(folder: Path) -> str:
    """Return 16 hexadecimal digits that change with any name or content below the folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]
