"""Compiles the kernel into numba's cache, so that nobody waits for it at the first point."""

import numpy as np

from anomify.detection.detector import Head, judge
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState


def compile_kernels() -> None:
    """Compile every kernel and keep the machine code for later processes of this user."""
    state = EngineState.new(1)
    for head in Head:
        judge(state, np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1), head)
    stale_after_ms(state, np.zeros(1, np.int64))


if __name__ == "__main__":
    compile_kernels()
