"""AppState: settings, databases and stores that every request may use."""

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

APP_STATE_KEY = "anomify"


@dataclass(frozen=True)
class AppState:
    """Settings and the open stores; the same object for every request of an app."""

    settings: Settings
    database: Database
    points: "PointStore"
    registry: "Registry"
    refused: RefusedCounter = field(init=False)

    def __post_init__(self) -> None:
        """Make the counter of refused items on the same database."""
        object.__setattr__(self, "refused", RefusedCounter(self.database))


def app_state() -> AppState:
    """Return the state of the current app."""
    return cast("AppState", current_app.extensions[APP_STATE_KEY])


def set_app_state(app: "Flask", state: AppState) -> None:
    """Register the state with the app, so that `app_state()` finds it."""
    app.extensions[APP_STATE_KEY] = state
