"""Compiles the kernels into numba's cache, so that the first judged point does not wait for it."""

import numpy as np

from anomify.detection.detector import Head, judge
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState


def compile_kernels() -> None:
    """Compile every kernel that is an entry point and write the machine code to numba's cache.

    Later processes of the same user load it from there. Takes about half a minute of CPU the first
    time. Raises what numba raises when a kernel does not compile.
    """
    state = EngineState.new(1)
    for head in Head:
        judge(state, np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1), head)
    stale_after_ms(state, np.zeros(1, np.int64))


if __name__ == "__main__":
    compile_kernels()
