"""Visitors and readers who note every request that they make, and what became of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.history import Kind, Operation, Outcome

_LIMIT = 10.0
NOT_COUNTED = "urn:problem-type:database-unavailable"


@dataclass
class Load:
    """So many visitors and readers on some ports, hosts and pages, from `start` until `stop`."""

    ports: Callable[[], Sequence[int]]
    pages: Sequence[str] = ("homepage",)
    visitors: int = 8
    readers: int = 4
    hosts: Sequence[str] = ("127.0.0.1",)
    log: list[Operation] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number in range(self.visitors + self.readers):
            kind: Kind = "visit" if number < self.visitors else "read"
            self._threads.append(threading.Thread(target=self._run, args=(kind, number)))
            self._threads[-1].start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request does not end"

    def acknowledged(self) -> int:
        return sum(each.kind == "visit" and each.outcome == "ok" for each in self.log)

    def _run(self, kind: Kind, number: int) -> None:
        turn = number
        while not self._over.is_set():
            ports = self.ports()
            page = self.pages[turn % len(self.pages)]
            self.log.append(request(ports[turn % len(ports)], kind, page, self.hosts[turn % len(self.hosts)]))
            if self.log[-1].outcome != "ok":
                self._over.wait(0.01)
            turn += 1


def request(port: int, kind: Kind, page: str, host: str = "127.0.0.1") -> Operation:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=_LIMIT)
    start = time.monotonic()
    outcome: Outcome = "unknown"
    number, stale = 0, False
    try:
        connection.request("POST" if kind == "visit" else "GET", f"/visits/{page}")
        with connection.getresponse() as response:
            answer = json.loads(response.read())
            if response.status == 200:
                outcome, number, stale = "ok", answer["visits"], answer.get("stale", False)
            elif answer.get("type") == NOT_COUNTED:
                outcome = "failed"
    except ConnectionRefusedError:
        outcome = "failed"
    except (OSError, http.client.HTTPException, ValueError):
        outcome = "unknown"
    finally:
        connection.close()
    return Operation(kind, page, start, time.monotonic(), outcome, number, stale)
