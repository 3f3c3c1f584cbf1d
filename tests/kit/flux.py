"""Datapoints for `/flux`, and the request that sends them."""

import json
from typing import Any

from tests.kit.clock import LONG_AGO_SECONDS

POST = "/flux/metric_data_post"
AT = LONG_AGO_SECONDS


def item(
    metric: Any = "a.b", timestamp: Any = AT, value: Any = 1.5, **others: Any
) -> dict[str, Any]:
    """Return one datapoint as JSON."""
    return {"metric": metric, "timestamp": timestamp, "value": value, **others}


def post(api: Any, document: Any, path: str = POST, **headers: str) -> Any:
    """Send a document as JSON and return the reply."""
    return api.post(path, json.dumps(document), **headers)
