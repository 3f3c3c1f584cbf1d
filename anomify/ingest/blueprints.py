"""The blueprints of all ingestion routes."""

from flask import Blueprint

from anomify.ingest import flux, page_events, prometheus


def ingest_blueprints() -> tuple[Blueprint, ...]:
    """Return the blueprints in the order in which they are registered."""
    return tuple(module.blueprint for module in (flux, prometheus, page_events))
