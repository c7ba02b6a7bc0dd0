"""A stack with three volumes, one of them shared, goes from one engine to the other and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.servers import MISSING

STACK = """\
from stack import Container, Stack, Volume, Worker

media, index = Volume("media"), Volume("index", backup=False)
RUN = ["sh", "-c", 'umask 077; echo made > "$VOLUME_MEDIA/by-app"; exec sleep 1000']
app = Container(
    "app",
    source="app",
    command=RUN,
    process=RUN,
    volumes={"/srv/media": media, "own": "/srv/own", "/srv/index": index},
)
worker = Worker("worker", of=app, command=["sleep", "1000"], volumes={"state": "/srv/state"})
reader = Container(
    "reader",
    image="python:3.14-slim",
    command=["sleep", "1000"],
    process=["sleep", "1000"],
    volumes={"/elsewhere": media},
)
stack = Stack("shared", [app, worker, reader])
"""


class Shared(Cli):
    """The command line for an instance of that stack, on one of the engines."""

    def shell(self, component: str, script: str) -> str:
        return self.ok("exec", component, "--", "sh", "-c", script).stdout

    def write(self, text: str) -> None:
        """Write a text to each volume; to the shared one from a component that is not the first that has it."""
        for component, variable in (("worker", "MEDIA"), ("app", "OWN"), ("worker", "STATE"), ("app", "INDEX")):
            self.shell(component, f'echo {text} > "$VOLUME_{variable}/text"')

    def read(self) -> list[str]:
        found = "".join(self.shell("app", f'cat "$VOLUME_{each}/text"') for each in ("MEDIA", "OWN", "INDEX"))
        return [*found.split(), *self.shell("worker", 'cat "$VOLUME_STATE/text"').split()]


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_three_volumes_go_to_the_other_engine_and_back(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "shared.py").write_text(STACK)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM python:3.14-slim\n")
    here = Shared(tmp_path, file=tmp_path / "shared.py")
    other = replace(here, instance=f"{here.instance}-o", engine="embedded")
    try:
        here.ok("up")
        assert other.data("up")["components"].keys() == {"app", "worker", "reader"}
        here.write("first")
        # What one component made, another with the same user reads at a place of its own.
        assert eventually(lambda: here.shell("reader", "cat /elsewhere/by-app /elsewhere/text")) == "made\nfirst\n"
        saved = here.data("snapshot", "save", "--output", "there.zip")
        assert (sorted(saved["components"]), saved["unsaved"]) == (["app", "media", "worker"], ["index"])
        other.write("other")
        other.ok("snapshot", "restore", "--input", "there.zip", "--yes")
        assert other.read() == ["first", "first", "other", "first"]
        other.write("second")
        other.ok("snapshot", "save", "--output", "back.zip")
        here.ok("snapshot", "restore", "--input", "back.zip", "--yes")
        assert here.read() == ["second", "second", "first", "second"]
        here.shell("reader", "echo more > /elsewhere/more")
        assert here.data("up")["changed"] is False
        here.ok("undo", "--yes")
        assert here.read() == ["first"] * 4
        question = here.run("reset")
        assert "index is not saved: backup=False; nothing brings it back." in question.stdout + question.stderr
    finally:
        here.reset()
        other.reset()
