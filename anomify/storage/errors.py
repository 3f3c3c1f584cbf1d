"""Errors of stored points."""

from anomify.errors import AnomifyError


class Damaged(AnomifyError):
    """Raised for stored bytes that are damaged, or of an unknown version of the format."""

    code = "damaged_storage"


class NewerLayout(AnomifyError):
    """Raised for points that a newer version of Anomify has stored."""

    code = "newer_storage"
