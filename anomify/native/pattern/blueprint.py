"""The blueprint that the routes of patterns share: their endpoints begin with its name."""

from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("pattern", __name__)
