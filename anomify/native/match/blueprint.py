"""The blueprint that the routes of matches share: their endpoints begin with its name."""

from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("match", __name__)
