"""Every blueprint of /patterns and /pattern."""

from types import ModuleType
from typing import Final

from flask import Blueprint

from anomify.native.pattern import list as pattern_list
from anomify.native.pattern import one, state

_MODULES: Final[tuple[ModuleType, ...]] = (one, pattern_list, state)


def pattern_blueprints() -> tuple[Blueprint, ...]:
    """Return the blueprints, each once, in the order in which they are registered."""
    return tuple(dict.fromkeys(module.blueprint for module in _MODULES))
