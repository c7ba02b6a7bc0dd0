"""The front end passes requests on to the private API, which caches its list until it changes."""

from __future__ import annotations

import pytest

from tests.examples.asking import ask
from tests.examples.example import Example

pytestmark = pytest.mark.long


def test_a_task_is_added_cached_and_done(example: Example) -> None:
    tasks = f"{example.url}/api/tasks"
    added = ask(tasks, body={"title": "Write"})
    assert (added.status, added.json["title"]) == (201, "Write"), added.text
    one = added.json["id"]
    assert [ask(tasks).headers["x-cache"] for _ in range(2)] == ["miss", "hit"]
    assert ask(f"{tasks}/{one}", "PATCH", body={"done": True}).json["done"] is True
    changed = ask(tasks)
    assert (changed.headers["x-cache"], changed.json) == ("miss", [{"id": one, "title": "Write", "done": True}])
    assert ask(tasks, body={"title": ""}).status == 400
    assert ask(f"{tasks}/4711", "PATCH", body={"done": True}).status == 404


def test_the_page_and_its_script_are_served(example: Example) -> None:
    assert "<title>Tasks</title>" in ask(example.url).text
    assert "javascript" in ask(f"{example.url}/tasks.js").headers["content-type"]


def test_the_api_serves_without_its_cache(example: Example) -> None:
    tasks = f"{example.url}/api/tasks"
    added = ask(tasks, body={"title": "Read"}).json
    example.ok("exec", "cache", "--", "redis-cli", "CONFIG", "SET", "maxmemory-policy", "noeviction")
    example.ok("exec", "cache", "--", "redis-cli", "CONFIG", "SET", "maxmemory", "1")
    assert added in ask(tasks).json
    assert ask(f"{tasks}/{added['id']}", "PATCH", body={"done": True}).json["done"] is True


def test_only_the_front_end_is_published(example: Example) -> None:
    ports = {name: each["ports"] for name, each in example.data("status")["components"].items()}
    if example.engine == "compose":
        assert [name for name, published in ports.items() if published] == ["web"]
    assert example.pending() == []


def test_the_commands_of_its_readme_work(example: Example) -> None:
    assert '"title":"Write"' in example.bash("\n".join(example.commands))
