"""Every command of the README works, in its order, in a clean clone whose folder has a space in its name."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import ROOT, free_port, get

pytestmark = pytest.mark.docker

# It runs all tests, this one among them.
NOT_HERE = {"make test"}


def blocks(text: str) -> list[str]:
    """The shell commands of a README: what stands in its ```sh blocks."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone of what is committed, with what is not yet on top; its playground is published on a port of its own."""
    folder = tmp_path_factory.mktemp("readme") / "my clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    playground = folder / "stack" / "playground.py"
    text = playground.read_text(encoding="utf-8")
    assert "port=8000" in text
    playground.write_text(text.replace("port=8000", f"port=8000, publish={free_port()}"), encoding="utf-8")
    try:
        yield folder
    finally:
        stackctl = str(folder / ".venv" / "bin" / "stackctl")
        for instance in ("playground", "review"):
            subprocess.run([stackctl, "--instance", instance, "reset", "--yes"], cwd=folder, env=environment())


def environment() -> dict[str, str]:
    """The user's, without what this test run has set for itself."""
    foreign = ("STACKCTL_", "COMPOSE_", "VIRTUAL_ENV", "PYTEST_", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def published(clone: Path) -> str:
    found = re.search(r"publish=(\d+)", (clone / "stack" / "playground.py").read_text(encoding="utf-8"))
    assert found
    return found[1]


def test_every_command_of_the_readme_works(clone: Path) -> None:
    readme = (clone / "README.md").read_text(encoding="utf-8")
    commands = [line for block in blocks(readme) for line in block.splitlines() if line not in NOT_HERE]
    assert commands[0] == "make up", "the README begins with the command that sets everything up"
    port = published(clone)
    script = "\n".join(["set -euo pipefail", *commands, 'echo "all done"'])
    script = script.replace("localhost:8000", f"localhost:{port}").replace("8081", str(free_port()))
    ended = subprocess.run(
        ["bash", "-xc", script], cwd=clone, env=environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    said = f"{ended.stdout[-6000:]}\n--- standard error:\n{ended.stderr[-6000:]}"
    assert ended.returncode == 0, said
    assert ended.stdout.endswith("all done\n"), said
    assert f"http://localhost:{port}" in ended.stdout, said
    assert '{"page":"homepage","source":"database","visits":1}' in ended.stdout, said
    assert '{"page":"homepage","source":"cache","visits":2}' in ended.stdout, said
    assert get(f"http://localhost:{port}/visits/homepage")[1]["visits"] == 2, "down and up kept the data"


def test_the_stack_file_of_the_readme_is_a_stack(clone: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    file = tmp_path / "shop.py"
    file.write_text(example, encoding="utf-8")
    command = [str(ROOT / ".venv/bin/stackctl"), "--file", str(file), "render"]
    rendered = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert rendered.returncode == 0, rendered.stderr
    assert "DB_PASSWORD_FILE: /run/secrets/db_password" in rendered.stdout
