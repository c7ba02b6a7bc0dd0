"""Load over HTTP: so many connections that each ask again as soon as they are answered, for so many seconds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LUA = Path(__file__).with_name("load.lua")
# A client that is busy for a greater part of the time than this cannot ask as fast as it could be answered.
BUSY = 0.85

_LINE = re.compile(
    r"^load: requests=(\d+) seconds=([\d.]+) p50=([\d.]+) p99=([\d.]+) failed=(\d+)(?: busy=([\d.]+))?$", re.M
)


class LoadFailed(Exception):
    """The load was not what it should have been: its figures say nothing."""


@dataclass(frozen=True)
class Load:
    """What is asked: `path`, with several `pages` followed by a number, by `connections` for `seconds`."""

    port: int
    path: str = "/"
    connections: int = 32
    seconds: int = 2
    method: str = "GET"
    pages: int = 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}{1 if self.pages > 1 else ''}"


@dataclass(frozen=True)
class Sample:
    """How many were answered a second, the seconds that half and 99 of 100 were answered in."""

    rate: float
    p50: float
    p99: float
    client_was_busy: bool = False


def client() -> str:
    """What makes the load on this machine."""
    return "wrk" if shutil.which("wrk") else "the bundled client"


def run(*loads: Load) -> Sample:
    """Run one load, or several at the same time: their rates add up, and the slowest counts. Raises LoadFailed."""
    running = [
        subprocess.Popen(command(load), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for load in loads
    ]
    try:
        samples = [
            parse(process.communicate(timeout=load.seconds + 30)[0])
            for process, load in zip(running, loads, strict=True)
        ]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return Sample(
        sum(sample.rate for sample in samples),
        max(sample.p50 for sample in samples),
        max(sample.p99 for sample in samples),
        any(sample.client_was_busy for sample in samples),
    )


def command(load: Load) -> list[str]:
    """The words of the client that makes a load."""
    if client() == "wrk":
        threads = str(min(2, load.connections))
        words = ["wrk", "-t", threads, "-c", str(load.connections), "-d", f"{load.seconds}s", "--timeout", "10s"]
        return [*words, "-s", str(LUA), load.url, "--", load.method, load.path, str(load.pages)]
    options = [str(load.port), load.path, str(load.connections), str(load.seconds), load.method, str(load.pages)]
    return [sys.executable, str(Path(__file__).with_name("client.py")), *options]


def parse(text: str) -> Sample:
    """What either client says in the end. Raises LoadFailed."""
    found = _LINE.search(text)
    if found is None:
        raise LoadFailed(f"the client did not say how it went: {text.strip()[-500:]}")
    requests, seconds, p50, p99, failed, busy = found.groups()
    if int(failed) or not int(requests):
        raise LoadFailed(f"{failed} of {requests} requests failed")
    return Sample(int(requests) / float(seconds), float(p50), float(p99), float(busy or 0) > BUSY)
