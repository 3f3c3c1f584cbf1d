"""A name resolver with prepared answers."""

import socket
from collections.abc import Iterable


class Resolver:
    """Answers each look-up with the next of its answers and lists the hosts that were looked up."""

    def __init__(self, *answers: Iterable[str]) -> None:
        self._answers = list(answers)
        self.requested: list[str] = []

    def __call__(self, host: str, _port: int) -> Iterable[str]:
        self.requested.append(host)
        answer = self._answers[min(len(self.requested), len(self._answers)) - 1]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "nobody knows")
        return answer
