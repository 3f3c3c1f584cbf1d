"""A small neural forecaster, with which the engine is compared (see `anchors.py`).

A network with one hidden layer of random units predicts the next value from the last 96 and from
those one day and one week before. Its output weights are learnt on the first 15 % of a series and
again each week on all that has passed, always from points before those that it predicts. The score
is the distance of the value from the prediction, in the mean size of such distances over some
20,000 points. The constants are those with the best figures among a few on WSD and MSCLOUD.
"""

import numba
import numpy as np

DAY_SECONDS = 86_400
PAST = 96
HIDDEN = 128
TRAINED_SHARE = 0.15
LEAST_ROWS = 100  # with a whole past, without which nothing is learnt
FIT_ROWS = 8_000  # drawn from the past for each training
PENALTY = 300.0  # of the ridge regression
CLIP = 5.0  # largest input, in mean distances from the median
SEED = 1
MEMORY = 20_000.0  # points of the mean size of the errors
LARGEST_ERROR = 6.0  # mean sizes that an error adds at most
LEAST_SIZE = 0.05  # of the mean error, in standard deviations of the values
FIRST_SIZE = 3.0  # of the mean error at first, in least sizes; it counts as so many points:
FIRST_POINTS = 30.0


class Network:
    """A hidden layer of random rectified units beside the inputs; only the outputs are learnt.

    The output weights are those of ridge regression, which has one solution.
    """

    def __init__(self, inputs: int, random: np.random.Generator) -> None:
        """Draw the hidden layer for this many inputs."""
        self.random = random
        self.first = random.normal(0.0, 1.0 / np.sqrt(inputs), (inputs, HIDDEN))
        self.offset = random.normal(0.0, 0.5, HIDDEN)
        self.outputs = np.zeros(inputs + HIDDEN)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Return the outputs (n,) of the inputs (n, inputs)."""
        return self._units(inputs) @ self.outputs

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        """Learn the output weights."""
        units = self._units(inputs)
        products = units.T @ units + PENALTY * np.eye(units.shape[1])
        self.outputs = np.linalg.solve(products, units.T @ targets)

    def _units(self, inputs: np.ndarray) -> np.ndarray:
        hidden = np.maximum(inputs @ self.first + self.offset, 0.0)
        return np.hstack((inputs, hidden))


def forecaster(times: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """Score the distance from the forecast; points that are missing repeat the one before."""
    places = (times - times[0]) // step
    regular = np.full(places[-1] + 1, np.nan)
    regular[places] = values
    present = np.maximum.accumulate(np.where(np.isfinite(regular), np.arange(len(regular)), 0))
    regular = regular[present]
    start = max(int(TRAINED_SHARE * len(regular)), PAST + LEAST_ROWS)
    if start >= len(regular):
        return np.zeros(len(values))
    lags = _lags(len(regular), step)
    network = Network(PAST + 2, np.random.default_rng(SEED))
    errors = np.zeros(len(regular))
    week = 7 * DAY_SECONDS // step
    for first in range(start, len(regular), week):
        rows = np.arange(first, min(first + week, len(regular)))
        middle, spread = _location(regular[:first])
        scaled = np.clip((regular - middle) / spread, -CLIP, CLIP)
        drawn = np.arange(PAST, first)
        if len(drawn) > FIT_ROWS:
            drawn = network.random.choice(drawn, FIT_ROWS, replace=False)
        network.fit(_inputs(scaled, lags, drawn), scaled[drawn])
        forecasts = network.predict(_inputs(scaled, lags, rows))
        errors[rows] = regular[rows] - middle - spread * forecasts
    return _in_scales(errors, regular, start)[places]


def _location(values: np.ndarray) -> tuple[float, float]:
    """Return the median and a scale of the values."""
    middle = float(np.median(values))
    spread = float(np.mean(np.abs(values - middle)))
    return middle, spread or max(abs(middle), 1.0)


def _lags(count: int, step: int) -> np.ndarray:
    """Return the row one day and one week before each row, or the nearest later one there is."""
    rows = np.arange(count)
    day, week = max(DAY_SECONDS // step, 1), max(7 * DAY_SECONDS // step, 1)
    day_before = np.where(rows >= day, rows - day, rows - 1)
    week_before = np.where(rows >= week, rows - week, day_before)
    return np.stack((day_before, week_before), axis=1)


def _inputs(scaled: np.ndarray, lags: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the inputs of these rows."""
    windows = np.lib.stride_tricks.sliding_window_view(scaled, PAST)[rows - PAST]
    return np.hstack((windows, scaled[lags[rows]]))


@numba.njit
def _in_scales(errors: np.ndarray, values: np.ndarray, start: int) -> np.ndarray:
    """Return the sizes of the errors in their mean size, cut at `LARGEST_ERROR`.

    The mean size is taken as no smaller than a share of the deviation of all values so far.
    """
    scores = np.zeros(len(errors))
    mean = np.nan
    middle, power = values[0], 0.0
    for row in range(1, len(errors)):
        if row >= start:
            least = LEAST_SIZE * np.sqrt(power) + 1e-9
            if row == start:
                mean = FIRST_SIZE * least
            size = max(mean, least)
            scores[row] = abs(errors[row]) / size
            added = min(abs(errors[row]), LARGEST_ERROR * size) - mean
            mean += added / min(row - start + FIRST_POINTS, MEMORY)
        moved = values[row] - middle
        middle += moved / (row + 1)
        power += (moved * (values[row] - middle) - power) / (row + 1)
    return scores
