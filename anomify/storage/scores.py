"""Stores display scores as 8-bit codes on a logarithmic scale."""

import numpy as np
from numpy.typing import NDArray

from anomify.series import Float32s

NOT_JUDGED = 255
_MOST_SCORE = 254
# The logarithmic scale of stored scores: a step is 0.0007 near 0 and 0.012 near 1.
_SCORE_CURVE = 15.0


def _decoded_scores() -> Float32s:
    codes = np.arange(_MOST_SCORE + 1) / _MOST_SCORE
    scores = np.expm1(codes * np.log1p(_SCORE_CURVE)) / _SCORE_CURVE
    return np.append(scores, np.nan).astype(np.float32)


DECODED_SCORES = _decoded_scores()


def score_codes(scores: Float32s) -> NDArray[np.uint8]:
    """Return the 8-bit code of each display score, uint8 (n,), on a logarithmic scale of 0..254.

    The code of NaN, a point that was not judged, is 255.

    >>> score_codes(np.array([0.0, 1.0, np.nan], np.float32)).tolist()
    [0, 254, 255]
    """
    curved = np.log1p(np.clip(scores, 0.0, 1.0) * _SCORE_CURVE) / np.log1p(_SCORE_CURVE)
    codes = np.rint(curved * _MOST_SCORE)
    return np.where(np.isnan(codes), NOT_JUDGED, codes).astype(np.uint8)
