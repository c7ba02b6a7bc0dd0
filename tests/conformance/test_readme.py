"""Every command of the README and of the pages about the playground works, in a clone whose folder has a space."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import forkserver
from tests.cli import ROOT, get
from tests.ports import own_port

# Those that show the playground too, in the order of their commands. What the commands of the other pages do on Docker
# has tests of its own.
PAGES = {
    "embedded": ("docs/commands.md", "docs/data.md", "docs/engines.md", "docs/programs.md"),
    "compose": ("docs/engines.md",),
}
# It runs all tests, this one among them.
NOT_HERE = {"make test"}
# What makes a machine one without Docker.
NO_DAEMON = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what is committed, with what is not yet on top; its playground is published on a port of its own."""
    folder = tmp_path_factory.mktemp("readme") / "my clone"
    copy_project(folder)
    playground = folder / "stack" / "playground.py"
    text = playground.read_text(encoding="utf-8")
    assert "port=8000" in text
    playground.write_text(text.replace("port=8000", f"port=8000, publish={own_port()}"), encoding="utf-8")
    return folder


@pytest.fixture
def clone(checkout: Path, engine: str) -> Iterator[Path]:
    """The clone, whose instances are deleted in the end."""
    try:
        yield checkout
    finally:
        stackctl = str(checkout / ".venv" / "bin" / "stackctl")
        for instance in ("playground", "review"):
            command = [stackctl, "--instance", instance, "reset", "--yes", "--no-snapshot"]
            subprocess.run(command, cwd=checkout, env=environment(engine), check=False)


def copy_project(folder: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())


def untracked(clone: Path) -> str:
    """The files that git neither tracks nor ignores."""
    listing = ["git", "-C", str(clone), "ls-files", "--others", "--exclude-standard"]
    return subprocess.run(listing, check=True, capture_output=True, text=True).stdout


def environment(engine: str) -> dict[str, str]:
    """The user's, without what this test run has set for itself; of a machine without Docker where it is embedded."""
    foreign = ("STACKCTL_", "COMPOSE_", "VIRTUAL_ENV", "PYTEST_", "MAKE", "MFLAGS")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return own | (NO_DAEMON if engine == "embedded" else {})


def commands(text: str, engine: str) -> list[str]:
    """The lines of its ```sh blocks, without those that are for Docker alone where there is none."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    here = [block for block in blocks if engine == "compose" or "docker compose" not in block]
    return [line for block in here for line in block.splitlines() if line not in NOT_HERE]


def published(clone: Path) -> str:
    found = re.search(r"publish=(\d+)", (clone / "stack" / "playground.py").read_text(encoding="utf-8"))
    assert found
    return found[1]


def bash(script: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-xc", script], cwd=folder, env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("more", [False, pytest.param(True, marks=pytest.mark.long)], ids=["readme", "pages"])
def test_every_command_of_the_pages_works(clone: Path, engine: str, more: bool) -> None:
    pages = ("README.md", *(PAGES[engine] if more else ()))
    lines = commands("\n".join((clone / page).read_text(encoding="utf-8") for page in pages), engine)
    assert lines[0] == "make up", "the README begins with the command that sets everything up"
    port = published(clone)
    before = untracked(clone)
    script = "\n".join(["set -euo pipefail", *lines, 'echo "all done"'])
    script = script.replace("localhost:8000", f"localhost:{port}")
    ended = bash(script, clone, environment(engine))
    said = f"{ended.stdout[-6000:]}\n--- standard error:\n{ended.stderr[-6000:]}"
    assert ended.returncode == 0, said
    assert ended.stdout.endswith("all done\n"), said
    assert f"http://localhost:{port}" in ended.stdout, said
    assert f"engine: {engine}" in ended.stdout, said
    assert '{"page":"homepage","source":"database","visits":1}' in ended.stdout, said
    assert '{"page":"homepage","source":"cache","visits":2}' in ended.stdout, said
    assert get(f"http://localhost:{port}/visits/homepage")[1]["visits"] == 2, "down and up kept the data"
    assert untracked(clone) == before, "git ignores every file that the commands write"


def test_the_tools_of_the_engine_work_as_a_page_says(clone: Path, engine: str) -> None:
    if engine == "compose":
        pytest.skip("the commands of the page show those of Docker Compose")
    lines = ["set -euo pipefail", "source .venv/bin/activate", "stackctl up", 'eval "$(stackctl env)"',
             "psql -c 'SELECT visits FROM visit_counter'", "pg_dump -t visit_counter", "redis-cli PING",
             "supervisorctl status"]  # fmt: skip
    ended = bash("\n".join(lines), clone, environment(engine))
    assert ended.returncode == 0, ended.stderr
    for part in ("visits", "CREATE TABLE", "PONG", "RUNNING"):
        assert part in ended.stdout, ended.stdout


def test_each_stack_file_of_the_pages_is_a_stack(tmp_path: Path, engine: str) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    files = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    if engine == "embedded":
        # As it says below: without Docker an app has to declare its command, and a container its process.
        added = r'command=["python", "app.py"], uses='
        files = [file if "{PORT}" in file else re.sub(r"uses=(?!.*command=)", added, file) for file in files]
        files = [file.replace("ports=", 'process=["meilisearch"], ports=') for file in files]
    shown = [rendered(file, tmp_path, engine) for file in files]
    for pattern in (r"DB_PASSWORD_FILE.*db_password", r"VOLUME_MEDIA.*media"):
        assert [text for text in shown if re.search(pattern, text)], pattern


def rendered(example: str, folder: Path, engine: str) -> str:
    file = folder / "shop.py"
    file.write_text(example, encoding="utf-8")
    words = ["--file", str(file), "--engine", engine, "render"]
    variables = environment(engine) | {"DATABASE_URL": "postgresql://shop:open@db.example.com/shop"}
    found = forkserver.run(words, folder, variables, "", limit=60)
    assert found.returncode == 0, found.stderr
    return found.stdout
