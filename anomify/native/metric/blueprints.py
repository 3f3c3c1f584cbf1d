"""Every blueprint of /metrics and /metric."""

from types import ModuleType
from typing import Final

from flask import Blueprint

from anomify.native.metric import (
    anomalies,
    bundle,
    details,
    expected,
    graph,
    moved,
    patterns,
    ranking,
    series,
    settings,
    summary,
)
from anomify.native.metric import list as metric_list

_MODULES: Final[tuple[ModuleType, ...]] = (
    *(anomalies, bundle, details, expected, graph, metric_list, moved, patterns),
    *(ranking, series, settings, summary),
)


def metric_blueprints() -> tuple[Blueprint, ...]:
    """Return the blueprints, each once, in the order in which they are registered."""
    return tuple(dict.fromkeys(module.blueprint for module in _MODULES))
