"""Look up what a Docker daemon has: one question for any number of objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stack.engines.docker import answers, arguments, client

READ_TIMEOUT = 30.0


def listed(command: Sequence[str]) -> tuple[str, ...]:
    """Run a command that lists one name or id a line."""
    return tuple(client.read(command, READ_TIMEOUT).split())


def existing(names: Sequence[str]) -> list[str]:
    """Return those of the names that an image or a volume has.

    `docker inspect` is slow for a name that nothing has: it looks for an object of each kind.
    """
    present = {*listed(arguments.list_images(layout=arguments.IMAGE_TAGS)), *listed(arguments.list_volumes())}
    return [name for name in names if name in present or answers.tagged(name) in present]


def inspect(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return all objects of these names, of whatever kind, except for those that do not exist."""
    if not names:
        return []
    answer = client.run(arguments.inspect(names), READ_TIMEOUT)
    unexpected = [line for line in answer.stderr.splitlines() if "no such" not in line.lower()]
    if not answer.ok and unexpected:
        raise client.failed("inspect", answer.stderr)
    found: list[dict[str, Any]] = json.loads(answer.stdout or "[]")
    return found
