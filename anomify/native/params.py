"""Types of parameters that several native routes take."""

from typing import Annotated

from pydantic import Field, StringConstraints

from anomify.errors import NotFound
from anomify.metric.name import LABELLED_NAME_MAX_BYTES, NameRefused, plain_or_labelled_name

# A row's id; a larger number is no id, and does not fit into the database's integers.
RowId = Annotated[int, Field(ge=1, le=2**31 - 1)]
# One line that a person typed.
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320)]
# Passwords are never trimmed; the user package checks their strength.
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
# A code of a mail or an app, or a recovery code.
Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Words = list[str]
# Words that names are searched for; each one is work for the database.
SOUGHT_MAX = 20
SOUGHT_CHARACTERS_MAX = 200
Chips = Annotated[
    list[Annotated[str, StringConstraints(max_length=SOUGHT_CHARACTERS_MAX)]],
    Field(max_length=SOUGHT_MAX),
]
RowIds = list[RowId]
# A local time of the day, such as 22:30, and days by name or date; the domain reads them.
ClockTime = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5)]
Days = Annotated[
    list[Annotated[str, StringConstraints(max_length=SOUGHT_CHARACTERS_MAX)]],
    Field(max_length=1_000),
]
# The name of a metric, its labels in whatever order.
Name = Annotated[str, StringConstraints(min_length=1, max_length=LABELLED_NAME_MAX_BYTES)]


def canonical(name: str) -> str:
    """Return the one spelling that a metric is known by. Raises `NotFound` where there is none."""
    parsed = plain_or_labelled_name(name)
    if isinstance(parsed, NameRefused):
        raise NotFound(f"No metric can have this name: {parsed.reason}.")
    return parsed
