"""Where flask and other servers look: the factory, and no app of its own."""

import os

from anomify.factory import create_app

# What the product writes is for the user who runs it alone.
os.umask(0o077)

__all__ = ["create_app"]
