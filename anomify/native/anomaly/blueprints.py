"""Every blueprint of /anomalies and /anomaly."""

from types import ModuleType
from typing import Final

from flask import Blueprint

from anomify.native.anomaly import comment, history, one, train, triage, triage_many
from anomify.native.anomaly import list as anomaly_list

_MODULES: Final[tuple[ModuleType, ...]] = (
    anomaly_list,
    one,
    train,
    triage,
    triage_many,
    comment,
    history,
)


def anomaly_blueprints() -> tuple[Blueprint, ...]:
    """Return the blueprints, each once, in the order in which they are registered."""
    return tuple(dict.fromkeys(module.blueprint for module in _MODULES))
