"""Ask each component that this machine reaches as a user would: at its URL, with the name of it in the Host header."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping

from stack.instance import Instance
from stack.observed import Observed
from stack.verdict.judge import Answer
from stack.workload import HttpCheck, TcpCheck

# Where a published port is. The name in the URL may also have another address, behind which another server listens.
_HOST = "127.0.0.1"
_NAME = "localhost"
TIMEOUT = 5.0
_LONGEST_BODY = 65536
_LONGEST_TEXT = 200
_MOST_REDIRECTS = 5
_TCP = "tcp://"
# A server that sends nothing by itself; one behind a proxy that is not there yet is closed within a millisecond.
_STAYS_OPEN = 0.3


Probe = Callable[[str], Answer]


def urls(instance: Instance, observed: Observed) -> Mapping[str, str]:
    """Return where each component that runs is asked: at a port that is published, or that a process listens on.

    The engine knows the port also when what was remembered of the instance is lost.
    """
    found = {}
    for name in instance.stack.names:
        state, check = observed.components.get(name), instance.stack.own_workload(name, "container").probe
        if state is not None and state.running and check is not None:
            port = state.ports.get(check.port) or instance.ports.get(check.port)
            if port is not None:
                found[name] = _url(check, state.first.address or _NAME, port)
    return found


def ask(instance: Instance, observed: Observed, probe: Probe, timeout: float = TIMEOUT) -> Mapping[str, Answer]:
    """Ask each component that can be asked, all at once; one that takes longer than `timeout` did not answer."""
    asked = urls(instance, observed)
    answers: dict[str, Answer] = {}

    def store(name: str) -> None:
        answers[name] = probe(asked[name])

    threads = [threading.Thread(target=store, args=(name,), daemon=True) for name in asked]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = {name: Answer(False, f"no answer from {url} in {timeout:g} s") for name, url in asked.items()}
    return late | answers


def _url(check: HttpCheck | TcpCheck, host: str, port: int) -> str:
    return f"http://{host}:{port}{check.path}" if isinstance(check, HttpCheck) else f"{_TCP}{host}:{port}"


def _address(url: str) -> str:
    """Return where to connect for a URL."""
    host = urllib.parse.urlsplit(url).hostname
    return _HOST if host in (None, _NAME) else str(host)


def accepts(port: int, address: str = "") -> bool:
    """Whether something accepts connections on a published port, of this machine or of a node."""
    try:
        socket.create_connection((address or _HOST, port), TIMEOUT).close()
    except OSError:
        return False
    return True


def ask_url(url: str, timeout: float = TIMEOUT) -> Answer:
    """Ask at a URL: send a request, or for `tcp://` only connect."""
    return tcp_probe(url, timeout) if url.startswith(_TCP) else http_probe(url, timeout)


def tcp_probe(url: str, timeout: float = TIMEOUT) -> Answer:
    """Connect, and see whether the connection stays open: an engine's proxy accepts one that the component refuses."""
    port = urllib.parse.urlsplit(url).port or 0
    try:
        with socket.create_connection((_address(url), port), timeout) as connection:
            connection.settimeout(_STAYS_OPEN)
            if not connection.recv(1):
                return Answer(False, f"{url} closes a connection at once")
    except TimeoutError:
        return Answer(True, f"{url} accepts connections")
    except OSError as error:
        return Answer(False, f"no connection to {url}: {clean(str(error) or type(error).__name__)}")
    return Answer(True, f"{url} accepts connections")


def http_probe(url: str, timeout: float = TIMEOUT) -> Answer:
    """Send one GET, past any proxy, and follow redirects within the app. One to elsewhere is an answer of the app."""
    way = [url]
    try:
        while True:
            status, location, kind, body = _get(way[-1], timeout)
            if location is None:
                break
            target = urllib.parse.urljoin(way[-1], location)
            here, there = urllib.parse.urlsplit(url), urllib.parse.urlsplit(target)
            if there.hostname not in (here.hostname, _HOST):
                return Answer(True, f"{status} from {url}, to {clean(target)}")
            if (there.scheme, there.port) != (here.scheme, here.port):
                return Answer(False, f"{status} from {url}: it redirects to {clean(target)}, where it does not listen")
            if target in way or len(way) > _MOST_REDIRECTS:
                return Answer(
                    False, f"{status} from {url}: it redirects for ever ({clean(' → '.join([*way, target]))})"
                )
            way.append(target)
    except (http.client.HTTPException, OSError, ValueError) as error:  # it may redirect to what is no URL
        return Answer(False, f"no answer from {url}: {clean(str(error) or type(error).__name__)}")
    wrong = "; ".join(clean(each) for each in complaints(kind, body))
    if status < 400 and not wrong:
        return Answer(True, f"{status} from {url}")
    return Answer(False, f"{status} from {url}: {wrong or gist(kind, body)}".rstrip(": "))


def _get(url: str, timeout: float) -> tuple[int, str | None, str, bytes]:
    """The status, where it redirects to, the type and the body of an answer."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(_address(url), parts.port or 80, timeout=timeout)
    try:
        connection.putrequest(
            "GET", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")), skip_host=True
        )
        for header, value in (("Host", parts.netloc), ("User-Agent", "stackctl"), ("Accept", "*/*")):
            connection.putheader(header, value)
        connection.endheaders()
        with connection.getresponse() as response:
            location = response.headers.get("Location") if 300 <= response.status < 400 else None
            return response.status, location, response.headers.get_content_type(), response.read(_LONGEST_BODY)
    finally:
        connection.close()


def complaints(kind: str, body: bytes) -> list[str]:
    """The checks that fail in an answer of type `application/health+json`, though its status is 200.

    An app may serve on without a part of what it uses; ready it is only with all of it.
    """
    if kind != "application/health+json":
        return []
    try:
        checks = json.loads(body)["checks"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [
        f"{name}: {check.get('output') or 'fails'}"
        for name, found in checks
        for check in (found if isinstance(found, list) else [found])
        if isinstance(check, dict) and check.get("status") == "fail"
    ]


def gist(kind: str, body: bytes) -> str:
    """What an answer says, in a line: of HTML the title, or else its first text; of anything else the first line."""
    text = body.decode("utf-8", errors="replace")
    if kind == "text/html":
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        shown = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", "\n", text)
        import html  # its table of names takes as long to load as the rest of this module

        text = html.unescape(title[1] if title and title[1].strip() else shown)
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = clean(line)
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}…"


def clean(text: str) -> str:
    """On one line, without what would change a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
