"""Which judged points are unusual, and when metrics were silent in between."""

import numpy as np

from anomify.detection.detector import judge
from anomify.detection.state import EngineState
from anomify.pipeline.unusual import UnusualFinder

MINUTE = 60_000
DUE = 301


def silences_of(times: np.ndarray, batches: int) -> list[int]:
    """Return when the silences began, in minutes, of points that come in some batches."""
    state, finder, found = EngineState.new(1), UnusualFinder(), []
    for some in np.array_split(times, batches):
        slots = np.zeros(len(some), int)
        points = finder.find(slots, some, judge(state, slots, some, some % 7.0))
        found += (points.times[points.is_silence] // MINUTE).tolist()
    return found


def test_finds_a_silence_when_it_is_over_however_the_points_come():
    times = MINUTE * np.delete(np.arange(1, 600), slice(300, 330))
    for batches in (1, 2, 7, 100, len(times)):
        assert silences_of(times, batches) == [DUE]


def test_finds_no_silence_where_gaps_are_usual_or_short():
    every_quarter = MINUTE * np.arange(15, 6_000, 15)
    assert silences_of(every_quarter, 3) == []
    assert silences_of(np.delete(every_quarter, slice(200, 202)), 400) == []
    assert silences_of(MINUTE * np.delete(np.arange(1, 600), slice(300, 303)), 600) == []
