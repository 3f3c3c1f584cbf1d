"""The blueprint that the routes of anomalies share: their endpoints begin with its name."""

from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("anomaly", __name__)
