"""What a request from outside finds out: the answer, in a line, as a browser would get it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from stack import Stack, WebApp
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.verdict.judge import Answer
from stack.verdict.probe import ask, gist, http_probe
from stack.workload import PortId

Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that gives these answers, one a connection, and the last one for ever; gives its port."""
    with ExitStack() as servers:

        def start(*answers: str, requests: list[str] | None = None) -> int:
            server = servers.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=_answer, args=(server, answers, requests if requests is not None else []))
            thread.start()
            servers.callback(thread.join)
            servers.callback(server.shutdown, socket.SHUT_RDWR)
            return int(server.getsockname()[1])

        yield start


def _answer(server: socket.socket, answers: Sequence[str], requests: list[str]) -> None:
    count = 0
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            requests.append(connection.recv(4096).decode())
            connection.sendall(answers[min(count, len(answers) - 1)].encode())
        count += 1


def answer(status: str, body: str = "", *headers: str) -> str:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", body])


def test_a_request_names_the_host_that_is_printed(serve: Serve) -> None:
    requests: list[str] = []
    port = serve(answer("200 OK"), requests=requests)
    assert http_probe(f"http://localhost:{port}/health").ok
    assert f"Host: localhost:{port}\r\n" in requests[0]


def test_an_error_page_is_told_by_its_title(serve: Serve) -> None:
    page = "<html><head><title>Server\nError</title></head><body><h1>Oh</h1>\n<p>no</p></body></html>"
    port = serve(answer("500 Internal Server Error", page, "Content-Type: text/html; charset=utf-8"))
    url = f"http://localhost:{port}/"
    assert http_probe(url).detail == f"500 from {url}: Server"


@pytest.mark.parametrize(
    ("location", "ok", "says"),
    [
        ("/health", False, "redirects for ever"),
        ("http://elsewhere.invalid/login", True, "to http://elsewhere.invalid/login"),
        ("http://localhost:many/", False, "no answer from http://localhost:"),
        ("/\u00e4 \u00f6", False, "no answer from http://localhost:"),
        ("https://localhost/health", False, "redirects to https://localhost/health, where it does not listen"),
    ],
)
def test_a_redirect_is_told_with_where_it_goes(serve: Serve, location: str, ok: bool, says: str) -> None:
    found = http_probe(f"http://localhost:{serve(answer('302 Found', '', f'Location: {location}'))}/health")
    assert (found.ok, says in found.detail) == (ok, True), found


def test_a_redirect_within_the_app_is_followed(serve: Serve) -> None:
    port = serve(answer("301 Moved Permanently", "", "Location: /health/"), answer("200 OK"))
    assert http_probe(f"http://localhost:{port}/health").ok


def test_nothing_of_an_answer_changes_the_terminal(serve: Serve) -> None:
    for text in (answer("503 Gone", "\x1b[2Jno\x07 licence\0"), "\x1b[2J\x07 garbage\r\n\r\n"):
        detail = http_probe(f"http://localhost:{serve(text)}/").detail
        assert detail.isprintable(), detail


def test_apps_are_asked_at_once_and_no_longer_than_the_limit() -> None:
    stack = Stack(
        "shop", [WebApp("web", source="."), WebApp("api", source=".", port=9000), WebApp("off", source=".", port=1)]
    )
    instance = Instance(
        "shop", "shop", stack, Path("/"), Path("/"), {PortId("web"): 8000, PortId("api"): 9000, PortId("off"): 1}
    )
    up = ComponentState("1", "running", "none", 0, 0, False, None, "image")
    states = {"web": up, "api": replace(up, ports={PortId("api"): 9001}), "off": replace(up, state="exited")}
    silence = threading.Event()

    def probe(url: str) -> Answer:
        if "9001" in url:
            silence.wait(10)
        return Answer(True, url)

    try:
        found = ask(instance, Observed(states), probe, timeout=0.05)
    finally:
        silence.set()
    assert found == {
        "web": Answer(True, "http://localhost:8000/health"),
        "api": Answer(False, "no answer from http://localhost:9001/health in 0.05 s"),
    }


def test_no_answer_is_told(serve: Serve) -> None:
    found = http_probe(f"http://localhost:{serve('')}/health")
    assert (found.ok, "no answer from http://localhost:" in found.detail) == (False, True)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/html", b"<h1>Bad Gateway</h1><hr>nginx", "Bad Gateway"),
        ("text/html", b"<style>h1 {}</style><title></title><p>a &amp; b</p>", "a & b"),
        ("text/plain", b"\n\nno licence\nmore", "no licence"),
        ("application/json", b'{"error": "no"}', '{"error": "no"}'),
        ("text/plain", b"", ""),
        ("text/plain", b"x" * 500, "x" * 200 + "…"),
    ],
)
def test_what_an_answer_says_is_one_line(kind: str, body: bytes, said: str) -> None:
    assert gist(kind, body) == said
