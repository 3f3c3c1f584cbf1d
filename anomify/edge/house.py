"""The house: what every request may use, made once by the factory."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from flask import current_app

from anomify.config import Settings
from anomify.db import Database
from anomify.org.refused_items import RefusedCounter

if TYPE_CHECKING:
    from flask import Flask

    from anomify.metric.registry import Registry
    from anomify.metric.store import PointStore

HOUSE_KEY = "anomify"


@dataclass(frozen=True)
class House:
    """Settings and the open stores; the same object for every request of an app."""

    settings: Settings
    database: Database
    points: "PointStore"
    registry: "Registry"
    refused: RefusedCounter = field(init=False)

    def __post_init__(self) -> None:
        """Count what is refused where everything else is kept."""
        object.__setattr__(self, "refused", RefusedCounter(self.database))


def house() -> House:
    """Return the house of the app that is answering."""
    return cast("House", current_app.extensions[HOUSE_KEY])


def put_in_place(app: "Flask", the_house: House) -> None:
    """Let `house()` find the house in this app."""
    app.extensions[HOUSE_KEY] = the_house
