"""The blueprint that the routes of a metric share: their endpoints begin with its name."""

from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("metric", __name__)
