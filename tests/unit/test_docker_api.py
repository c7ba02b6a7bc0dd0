"""What is asked of a local daemon over its socket, which daemon that is, and when the client is asked instead."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from stack.engines.docker import api, objects
from stack.engines.docker.api import Answer, Daemon
from stack.errors import StackError

COLIMA = "unix:///home/me/.colima/docker.sock"


@pytest.fixture(autouse=True)
def _through_the_client() -> None:
    """Here the daemon is what is tested."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the client's configuration."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    api.local.cache_clear()
    yield tmp_path
    api.local.cache_clear()


def context(home: Path, name: str, address: str) -> None:
    folder = home / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": address}}}))


@pytest.mark.parametrize(
    ("variables", "current", "path"),
    [
        ({}, None, "/var/run/docker.sock"),
        ({}, "default", "/var/run/docker.sock"),
        ({}, "colima", "/home/me/.colima/docker.sock"),
        ({"DOCKER_CONTEXT": "default"}, "colima", "/var/run/docker.sock"),
        ({"DOCKER_CONTEXT": "server"}, "colima", None),
        ({"DOCKER_CONTEXT": "unknown"}, None, None),
        ({"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}, "colima", "/run/user/1000/docker.sock"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:2375"}, None, None),
        ({"DOCKER_HOST": "ssh://me@server"}, None, None),
    ],
)
def test_the_daemon_is_the_one_that_the_client_would_ask(
    home: Path, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], current: str | None, path: str | None
) -> None:
    context(home, "colima", COLIMA)
    context(home, "server", "ssh://me@server")
    if current is not None:
        (home / "config.json").write_text(json.dumps({"currentContext": current}))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert api.local() == (None if path is None else Daemon(path))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 3}', "\xff"])
def test_a_configuration_that_makes_no_sense_is_left_to_the_client(home: Path, text: str) -> None:
    (home / "config.json").write_text(text, encoding="latin-1")
    assert api.local() == Daemon("/var/run/docker.sock")


def reply(status: str, body: str) -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{body}".encode()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Serve one prepared answer, or none, to each connection; what was asked is in `asked`."""
    with contextlib.ExitStack() as closing:

        def start(answer: bytes | None, asked: list[str] | None = None) -> Daemon:
            path = str(tmp_path / f"{len(list(tmp_path.iterdir()))}.sock")
            listening = closing.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listening.bind(path)
            listening.listen()

            def run() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        closing.callback(connection.close)
                        text = connection.recv(65536).decode()
                        if asked is not None:
                            asked.append(text.splitlines()[0])
                        if answer is not None:
                            connection.sendall(answer)
                            connection.close()

            threading.Thread(target=run, daemon=True).start()
            closing.callback(listening.shutdown, socket.SHUT_RDWR)
            return Daemon(path)

        yield start


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (reply("200 OK", '{"Id": "63be"}'), Answer({"Id": "63be"})),
        (reply("404 Not Found", '{"message": "no such container"}'), Answer(None)),
        (reply("500 Internal Server Error", '{"message": "out of order"}'), None),
        (reply("400 Bad Request", "this daemon is too old"), None),
        (reply("200 OK", '{"Id": "63'), None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"", None),
    ],
)
def test_only_a_good_answer_counts(serve: Callable[..., Daemon], answer: bytes, found: Answer | None) -> None:
    assert serve(answer).get("/containers/63be/json", 5) == found


def test_a_daemon_that_is_not_there_is_left_to_the_client(tmp_path: Path) -> None:
    assert Daemon(str(tmp_path / "no.sock")).get("/version", 5) is None


def test_a_daemon_that_never_answers_is_told_after_the_time(serve: Callable[..., Daemon]) -> None:
    with pytest.raises(StackError, match=r"no answer to GET /version within 0\.1 s") as raised:
        serve(None).get("/version", 0.1)
    assert raised.value.code == "docker-daemon"


def test_filters_are_sent_as_the_daemon_reads_them(
    serve: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    daemon = serve(reply("200 OK", '[{"Id": "2"}, {"Id": "1"}]'), asked)
    monkeypatch.setattr(api, "local", lambda: daemon)
    assert objects.container_ids("label=a=b c", "label=d", stopped=False) == ("2", "1")
    wanted = "%7B%22label%22%3A%20%5B%22a%3Db%20c%22%2C%20%22d%22%5D%7D"
    assert asked == [f"GET /containers/json?filters={wanted} HTTP/1.0"]


def test_no_volume_at_all_is_an_empty_list(serve: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = serve(reply("200 OK", '{"Volumes": null}'))
    monkeypatch.setattr(api, "local", lambda: daemon)
    assert objects.volume_names("label=a") == ()
