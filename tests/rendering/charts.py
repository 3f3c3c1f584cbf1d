"""Small charts for the tests of this folder."""

from dataclasses import fields
from typing import Any

import numpy as np

from anomify.rendering.chart import Chart, ChartLook

START = 1_772_700_000_000
MINUTE = 60_000


def chart(values: Any = None, **changes: Any) -> Chart:
    """Return a chart of one value a minute, by default an hour of a sine in its range."""
    values = 100 + 10 * np.sin(np.arange(61) / 5) if values is None else np.asarray(values, float)
    times = START + np.arange(len(values), dtype=np.int64) * MINUTE
    with np.errstate(over="ignore"):
        lowers, uppers = (values - 5).astype(np.float32), (values + 5).astype(np.float32)
    given: dict[str, Any] = {
        "title": "web.requests",
        "times": times,
        "values": values,
        "lowers": lowers,
        "uppers": uppers,
        "from_time": START,
        "until_time": START + 60 * MINUTE,
    }
    look = {
        field.name: changes.pop(field.name) for field in fields(ChartLook) if field.name in changes
    }
    return Chart(**(given | {"look": ChartLook(**look)} | changes))


def no_range(count: int) -> dict[str, Any]:
    """Return the changes for a chart without an expected range."""
    return {"lowers": np.full(count, np.nan), "uppers": np.full(count, np.nan)}
