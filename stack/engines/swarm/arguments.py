"""Build the command lines of `docker stack`, `docker service` and `docker node`: pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path


def deploy(file: Path, project: str) -> list[str]:
    """Make services as a file says, and leave others alone. An image that changed gets its digest from its registry."""
    return [
        "stack", "deploy", "--detach=true", "--with-registry-auth", "--resolve-image", "changed",
        "--compose-file", str(file), project,
    ]  # fmt: skip


def remove_stack(project: str) -> list[str]:
    """Remove all services and networks of a stack. Its tasks end later."""
    return ["stack", "rm", "--detach=true", project]


def remake(service: str) -> list[str]:
    """Replace the tasks of a service though it is declared as before."""
    return ["service", "update", "--detach", "--quiet", "--force", service]


def scale(counts: Mapping[str, int]) -> list[str]:
    return ["service", "scale", "--detach", *(f"{service}={count}" for service, count in counts.items())]


def remove_services(services: Sequence[str]) -> list[str]:
    return ["service", "rm", *services]


def label_node(node: str, labels: Mapping[str, str | None]) -> list[str]:
    """Change labels of a node in one step; None removes one."""
    words = [
        word
        for name, value in labels.items()
        for word in (["--label-rm", name] if value is None else ["--label-add", f"{name}={value}"])
    ]
    return ["node", "update", *words, node]


def remove_objects(kind: str, names: Sequence[str]) -> list[str]:
    """Remove secrets, configs or networks."""
    return [kind, "rm", *names]


def logs(service: str, tail: int | None, since: datetime | None = None, follow: bool = False) -> list[str]:
    """Print the last lines of each task of a service, with its time, its number and its node in front."""
    recent = [] if since is None else ["--since", since.astimezone(UTC).isoformat().replace("+00:00", "Z")]
    lines = "all" if tail is None else str(tail)
    following = ["--follow"] if follow else []
    return ["service", "logs", "--timestamps", "--no-trunc", "--tail", lines, *recent, *following, service]


def task_logs(task: str, tail: int) -> list[str]:
    """Print the last lines of one task."""
    return ["service", "logs", "--raw", "--tail", str(tail), task]


def build(file: Path, project: str, names: Sequence[str]) -> list[str]:
    """Build images and push them to their registry."""
    return ["compose", "--file", str(file), "--project-name", project, "build", "--push", *names]


def digests(image: str) -> list[str]:
    return ["image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', image]


def at_once(commands: Sequence[Sequence[str]]) -> list[str]:
    """Run several commands at once, with one stream for both of theirs, and end them all when this one is ended."""
    started = " ".join(f"{shlex.join(each)} 2>&1 &" for each in commands)
    return ["sh", "-c", f"trap 'kill $(jobs -p) 2> /dev/null' EXIT; trap 'exit 143' TERM; {started} wait"]
