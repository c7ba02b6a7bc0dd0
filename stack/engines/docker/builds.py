"""Write what the builds of images read beside their sources."""

from __future__ import annotations

from pathlib import Path

from stack.instance import Instance
from stack.sources import ignore_text
from stack.state import State


def write_builds(instance: Instance) -> None:
    """Write what the build of each component reads beside its source."""
    for name in instance.stack.names:
        if (source := instance.source(name)) is not None:
            _write_build(instance, name, source)


def _write_build(instance: Instance, name: str, source: Path) -> None:
    """Copy the Dockerfile: BuildKit excludes from the context what a `NAME.dockerignore` beside it matches."""
    state, label = State(instance.state), f"{instance.stack.name}/{name}/source"
    origin = instance.build(name).dockerfile
    rules = ignore_text(source, instance.state.parent, label, origin)
    dockerfile = (source / origin).read_bytes().decode("utf-8", "surrogateescape")
    copy = instance.dockerfile(name).relative_to(instance.state)
    state.write(str(copy), dockerfile)
    state.write(f"{copy}.dockerignore", rules)
