"""The search finds the nearest document, once the worker has embedded it."""

from __future__ import annotations

import signal
import urllib.parse

import pytest

from tests.cli import eventually
from tests.examples.asking import ask
from tests.examples.example import Example

pytestmark = pytest.mark.long

DOCUMENTS = {
    "cats": "Cats sleep most of the day",
    "bread": "Bread needs flour, water, salt and time",
    "rows": "PostgreSQL stores rows in pages",
}
# Ends the worker, and neither this command nor what runs it.
KILL = """
import contextlib, os, pathlib, signal
for process in pathlib.Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(OSError):  # it has ended, or is that of another instance
        if process.joinpath("cmdline").read_bytes().split(b"\\0")[1:3] == [b"-m", b"app.worker"]:
            os.kill(int(process.name), signal.SIGKILL)
"""


def add(search: Example, body: str) -> int:
    added = ask(f"{search.url}/documents", body={"body": body})
    assert added.status == 202, added.text
    return int(added.json["id"])


def nearest(search: Example, query: str) -> str | None:
    found = ask(f"{search.url}/search?q={urllib.parse.quote(query)}&limit=1").json
    return found[0]["body"] if found else None


def embedded(search: Example, number: int) -> bool:
    return bool(ask(f"{search.url}/documents/{number}").json["embedded"])


def test_the_nearest_document_is_found(example: Example) -> None:
    assert nearest(example, "anything") is None
    for body in DOCUMENTS.values():
        number = add(example, body)
        eventually(lambda number=number: embedded(example, number))  # type: ignore[misc]
    assert nearest(example, "a sleeping cat") == DOCUMENTS["cats"]
    assert nearest(example, "how to bake breads") == DOCUMENTS["bread"]
    assert nearest(example, "where does Postgres store a row?") == DOCUMENTS["rows"]
    assert ask(f"{example.url}/documents/4711").status == 404
    assert ask(f"{example.url}/documents", body={"body": ""}).status == 422


def test_a_document_waits_for_a_worker_that_was_killed(example: Example) -> None:
    assert restarts(example) == 0
    # In a container the command may be ended with it.
    assert example.run("exec", "worker", "--", "python", "-c", KILL).exit_code in (0, 128 + signal.SIGKILL)
    number = add(example, "Redis keeps its keys in memory")
    eventually(lambda: embedded(example, number))
    assert nearest(example, "in-memory key store") == "Redis keeps its keys in memory"
    assert eventually(lambda: restarts(example)) == 1


def restarts(search: Example) -> int:
    return int(search.data("status")["components"]["worker"]["restarts"])


def test_the_commands_of_its_readme_work(example: Example) -> None:
    assert '"embedded":false' in example.bash("\n".join(example.commands))
