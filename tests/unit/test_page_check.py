"""The check of a process that answers a page once it is ready."""

from __future__ import annotations

import pytest

from stack.capabilities import Host
from stack.parts import PageCheck


class Answering:
    """A host whose port gives this answer."""

    def __init__(self, answer: bytes | OSError) -> None:
        self.answer = answer
        self.asked = b""

    def port(self, component: str, name: str = "") -> int:
        return {("mail", "http"): 8025}[component, name]

    def exchange(self, port: int, request: bytes, lines: int) -> bytes:
        self.asked = request
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.0 200 OK\r\n", None),
        (b"HTTP/1.0 404 Not Found\r\n", "HTTP/1.0 404 Not Found"),
        (b"", "it closes the connection"),
        (OSError("refused"), "refused"),
    ],
)
def test_a_process_is_healthy_once_its_page_answers(answer: bytes | OSError, problem: str | None) -> None:
    answering = Answering(answer)
    host: Host = answering  # type: ignore[assignment]
    assert PageCheck("mail", "http", "/readyz").problem(host) == problem
    assert isinstance(answer, OSError) or answering.asked == b"GET /readyz HTTP/1.0\r\n\r\n"
