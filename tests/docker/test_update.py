"""`update` asks a real registry, and `up` runs what is pinned."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.ports import own_port

pytestmark = pytest.mark.docker

STACK = """
from stack import Container, Stack
stack = Stack("shop", [Container("server", image={image!r}, command=["redis-server", "--save", ""], user="999:999")])
"""


def docker(*words: str, stdin: str | None = None) -> str:
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def registry() -> Iterator[str]:
    """The address of a registry on this machine."""
    port = own_port()
    container = docker("run", "--detach", "--publish", f"127.0.0.1:{port}:5000", "registry:2")
    yield f"localhost:{port}"
    docker("rm", "--force", "--volumes", container)


@pytest.fixture
def image(registry: str) -> Iterator[str]:
    """The name of an image in it."""
    name = f"{registry}/team/server:1"
    _push(name, "first")
    yield name
    identifiers = docker("image", "ls", "--quiet", "--no-trunc", name.removesuffix(":1")).split()
    docker("image", "rm", "--force", *dict.fromkeys(identifiers))


def _push(name: str, version: str) -> None:
    docker("build", "--quiet", "--tag", name, "-", stdin=f"FROM redis:8\nLABEL version={version}\n")
    eventually(lambda: subprocess.run(["docker", "push", name], capture_output=True, check=False).returncode == 0)


def test_an_image_is_pinned_until_the_next_update(image: str, new_cli: Callable[..., Cli], tmp_path: Path) -> None:
    file = tmp_path / "stackfile.py"
    file.write_text(STACK.format(image=image))
    cli = new_cli(file=file)
    [found] = cli.data("update")["images"]
    assert (found["image"], found["components"], found["pinned"]) == (image, ["server"], None)
    cli.ok("up")
    first = _running(cli, image)
    assert first == found["newest"]
    assert cli.pending() == []
    # Its tag goes on in the registry and on this machine, and the instance stays.
    _push(image, "second")
    plan = cli.data("plan")
    assert plan["changes"] is False
    assert f"{image} is another version here than stack.lock has" in "\n".join(plan["notices"])
    assert cli.run("update", "--dry-run").exit_code == 3
    assert _running(cli, image) == first
    # It is pulled by its digest where it is not.
    docker("image", "rm", "--force", image)
    [found] = cli.data("update")["images"]
    assert found["pinned"] == first
    assert "recreate" in cli.ok("plan").stdout
    cli.ok("up")
    assert _running(cli, image) == found["newest"] != first
    assert cli.pending() == []
    assert image in cli.ok("status").stdout
    assert "sha256" not in cli.ok("status").stdout


def test_what_no_registry_has_is_named_and_nothing_is_written(
    new_cli: Callable[..., Cli], tmp_path: Path, registry: str
) -> None:
    file = tmp_path / "stackfile.py"
    file.write_text(STACK.format(image=f"{registry}/nothing:1"))
    error = new_cli(file=file).fails("update", code="registry-unavailable")
    assert f"{registry}/nothing:1" in error["message"]
    assert "not found" in error["output"]
    assert not (tmp_path / "stack.lock").exists()


def _running(cli: Cli, image: str) -> str:
    """The digest of the image that the component was made from."""
    used = cli.data("status")["components"]["server"]["image"]
    name, _, digest = used.partition("@")
    assert name == image, used
    return str(digest)
