"""Where flask and other servers look: the factory, and no app of its own."""

from anomify.factory import create_app

__all__ = ["create_app"]
