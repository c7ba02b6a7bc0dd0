"""Build the command lines of `docker`: pure, without the name of the client itself; tests compare them whole.

A `layout` is the Go template of one line of a list; without one Docker prints the ids alone. No secret is ever among
the arguments: every user of the machine can read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

# An image whose tag moved to a newer build has only its id.
IMAGE_NAME = '{{if eq .Tag "<none>"}}{{.ID}}{{else}}{{.Repository}}:{{.Tag}}{{end}}'
IMAGE_TAGS = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
CONTAINER_NAME = "{{.Names}}"
NAME = "{{.Name}}"
JSON = "{{json .}}"


def title(command: Sequence[str]) -> str:
    """Name a command in a message by its first words: `volume ls`, and `compose up` without the options between."""
    first, *rest = command[2:] if command[0] == "--host" else command
    while first == "compose" and rest[0] in ("--file", "--project-name", "--progress"):
        rest = rest[2:]
    return " ".join([first, *rest[:1]])


def label(name: str) -> str:
    """Build the part of a layout that prints a label."""
    return f'{{{{.Label "{name}"}}}}'


def labelled(name: str, value: str | None = None) -> str:
    """Build the filter that selects what has a label, with `value` if one is given."""
    return f"label={name}" if value is None else f"label={name}={value}"


def api_version() -> list[str]:
    return ["version", "--format", "{{.Server.APIVersion}}"]


def info(layout: str = JSON) -> list[str]:
    return ["info", "--format", layout]


def volume_sizes() -> list[str]:
    return ["system", "df", "--verbose", "--format", "{{json .Volumes}}"]


def list_containers(*filters: str, layout: str | None = None, stopped: bool = True) -> list[str]:
    """List containers; with `stopped` also those that do not run."""
    return ["ps", *(["--all"] if stopped else []), *(_quiet(layout)), *_narrowed(filters, layout)]


def list_networks(*filters: str, layout: str = NAME) -> list[str]:
    return ["network", "ls", *_narrowed(filters, layout)]


def list_volumes(*filters: str, layout: str = NAME) -> list[str]:
    return ["volume", "ls", *_narrowed(filters, layout)]


def list_images(*filters: str, layout: str | None = None) -> list[str]:
    whole_ids = ["--no-trunc"] if layout is None else []
    return ["image", "ls", *_quiet(layout), *whole_ids, *_narrowed(filters, layout)]


def inspect(names: Sequence[str], kind: str | None = None) -> list[str]:
    """Inspect objects of one kind (`container`, `image`), or of any kind."""
    return [*([kind] if kind else []), "inspect", *names]


def execute(container: str, command: Sequence[str], terminal: bool = False) -> list[str]:
    """Run a command in a container by Docker's own `exec`: that of Compose takes twice as long to begin."""
    return ["exec", "--interactive", *(["--tty"] if terminal else []), container, *command]


def create_volume(name: str, labels: Mapping[str, str]) -> list[str]:
    """Create a volume; one of that name that is there stays as it is."""
    return ["volume", "create", *_labels(labels), name]


def create_container(name: str, image: str, volume: str, target: str, labels: Mapping[str, str]) -> list[str]:
    """Create a container that mounts a volume as it is, and is never started."""
    mount = f"type=volume,src={volume},dst={target},volume-nocopy"
    return [
        "create",
        "--name",
        name,
        "--network",
        "none",
        "--pull",
        "never",
        *_labels(labels),
        "--mount",
        mount,
        image,
        "-",
    ]


def run_copy(
    name: str, image: str, source: str, target: str, labels: Mapping[str, str], script: str, pull: str
) -> list[str]:
    """Run a shell script in a container that has one volume at /from, which it only reads, and another at /to."""
    return [
        "run", "--rm", "--interactive", "--name", name, "--network", "none", "--pull", pull, "--user", "0:0",
        *_labels(labels), "--mount", f"type=volume,src={source},dst=/from,readonly,volume-nocopy",
        "--mount", f"type=volume,src={target},dst=/to,volume-nocopy", "--entrypoint", "sh", image, "-c", script,
    ]  # fmt: skip


def create_idle_container(name: str, image: str, labels: Mapping[str, str]) -> list[str]:
    """Create a container that is never started; the daemon refuses if there is one of that name."""
    return ["create", "--name", name, "--network", "none", "--pull", "never", *_labels(labels), image, "-"]


def import_image(name: str, labels: Mapping[str, str]) -> list[str]:
    """Make an image of a tar from standard input."""
    changes = [f"LABEL {json.dumps(key)}={json.dumps(value)}" for key, value in labels.items()]
    return ["import", *(word for change in changes for word in ("--change", change)), "-", name]


def copy_out(container: str, folder: str) -> list[str]:
    """Write a folder of a container to standard output, as a tar."""
    return ["cp", f"{container}:{folder}/.", "-"]


def copy_in(container: str, folder: str) -> list[str]:
    """Read a tar from standard input into a folder of a container, with the owners that it names."""
    return ["cp", "-", f"{container}:{folder}"]


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]


def tag(image: str, name: str) -> list[str]:
    return ["image", "tag", image, name]


def remove_containers(names: Sequence[str]) -> list[str]:
    return ["container", "rm", "--force", *names]


def remove_networks(names: Sequence[str]) -> list[str]:
    return ["network", "rm", *names]


def remove_volumes(names: Sequence[str]) -> list[str]:
    return ["volume", "rm", *names]


def _quiet(layout: str | None) -> list[str]:
    return ["--quiet"] if layout is None else []


def _narrowed(filters: Sequence[str], layout: str | None) -> list[str]:
    narrowed = [word for each in filters for word in ("--filter", each)]
    return narrowed if layout is None else [*narrowed, "--format", layout]
