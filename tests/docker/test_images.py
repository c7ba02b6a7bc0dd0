"""Images that builds left without a name are pruned; those that are used, or another's, are not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import Cli

pytestmark = pytest.mark.docker

Build = Callable[[str], str]


def docker(*words: str) -> str:
    ended = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True)
    return ended.stdout.strip()


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Build an image of nothing, without a name, for a project of Compose."""
    made: list[str] = []

    def build(project: str) -> str:
        # Another text, and so another image, each time.
        (tmp_path / "Dockerfile").write_text(f"FROM scratch\nCOPY Dockerfile /\nLABEL of={project}\n")
        made.append(docker("build", "--quiet", "--label", f"com.docker.compose.project={project}", str(tmp_path)))
        return made[-1]

    yield build
    for image in made:
        subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, check=False)


def test_only_our_own_images_that_nothing_uses_are_pruned(cli: Cli, build: Build) -> None:
    ours = build(f"stackctl-{cli.instance}-0a1b2c")
    theirs = build(f"{cli.instance}-shop")
    container = docker("create", ours, "nothing")
    try:
        assert cli.data("prune", "--dry-run")["images"] == []
    finally:
        docker("rm", container)
    assert cli.data("prune", "--dry-run")["images"] == [ours]
    assert cli.data("prune", "--yes")["images"] == [ours]
    left = docker("image", "ls", "--quiet", "--no-trunc", "--filter", "dangling=true").split()
    assert ours not in left
    assert theirs in left
