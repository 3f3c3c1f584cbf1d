"""Every blueprint of /matches and /match."""

from types import ModuleType
from typing import Final

from flask import Blueprint

from anomify.native.match import list as match_list
from anomify.native.match import one, pictures

_MODULES: Final[tuple[ModuleType, ...]] = (match_list, one, pictures)


def match_blueprints() -> tuple[Blueprint, ...]:
    """Return the blueprints, each once, in the order in which they are registered."""
    return tuple(dict.fromkeys(module.blueprint for module in _MODULES))
