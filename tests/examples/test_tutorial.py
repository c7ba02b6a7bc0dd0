"""What the tutorial says to write and to type makes the project that it describes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import ROOT, Cli, eventually
from tests.examples.asking import ask
from tests.ports import own_port

pytestmark = pytest.mark.long

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The paragraph before a block that is a file ends with its name.
_FILE = re.compile(r"(the end of\s)?`([\w/]+(?:\.\w+)?)`[^`]*:\n\n\Z")


def script(page: str) -> str:
    """Write the files and type the commands of a page, in its order."""
    steps = ["set -euxo pipefail"]
    for block in _BLOCK.finditer(page):
        language, content = block.groups()
        if language == "sh":
            steps.append(content)
        elif named := _FILE.search(page[: block.start()]):
            sign = ">>" if named[1] else ">"
            steps.append(f"cat {sign} {named[2]} <<'END OF FILE'\n{content}END OF FILE\n")
    return "\n".join(steps)


@pytest.fixture
def cli(tmp_path: Path, engine: str) -> Iterator[Cli]:
    cli = Cli(tmp_path / "shop", engine=engine)
    try:
        yield cli
    finally:
        if cli.state.exists():
            ended = cli.reset()
            assert ended.exit_code == 0, ended


def test_the_tutorial_makes_a_shop_with_a_worker(cli: Cli) -> None:
    mails = own_port()
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    page = page.replace("8050", str(cli.port)).replace('Mail("mail")', f'Mail("mail", publish={mails})')
    page = page.replace("localhost:8025", f"localhost:{mails}")
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", script(page)],
        cwd=cli.folder.parent,
        env=cli.whole_environment | {"PATH": path, "STACKCTL_INSTANCE": cli.instance},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    assert '{"orders": [{"email": "ada@example.com", "confirmed": false}]}' in ended.stdout
    assert "[X] 0001_initial" in ended.stdout
    cli.ok("up")
    # The first order is from before there was a worker.
    expected = [{"email": "ada@example.com", "confirmed": False}, {"email": "grace@example.com", "confirmed": True}]
    eventually(lambda: ask(f"{cli.url}/orders").json["orders"] == expected)
    assert cli.data("status")["components"]["migrate"]["state"] == "done"
    assert cli.pending() == []
