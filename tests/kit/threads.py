"""Run the same action in two threads at once."""

import threading
from collections.abc import Callable


def problems_of_two(action: Callable[[int], object]) -> list[Exception]:
    """Call `action` with 0 and 1 in two threads that begin together; return what they raised."""
    both = threading.Barrier(2)
    problems: list[Exception] = []

    def act(number: int) -> None:
        both.wait(30)
        try:
            action(number)
        except Exception as problem:  # noqa: BLE001 - the test reports it
            problems.append(problem)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return problems
