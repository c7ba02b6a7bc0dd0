"""`watch` applies what changes, keeps what ran when that fails, and leaves everything running at the end."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli, eventually, get
from tests.conformance.engines import on_docker_at_length
from tests.ports import own_port
from tests.project import make_project
from tests.terminal import terminal_that_closes

APP = """\
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"says": "{says}", "mode": os.environ.get("MODE")}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Handler).serve_forever()
"""
STACK = """\
from stack import Redis, Stack, WebApp
cache = Redis("cache")
web = WebApp(
    "web", source="app", publish={port}, health="/", command=["python3", "app.py"], uses=[cache],
    environment={{"MODE": "{mode}"}},
)
stack = Stack("shop", [web, cache])
"""
DOCKERFILE = 'FROM python:3.14-slim\nWORKDIR /app\nCOPY . .\nCMD ["python3", "app.py"]\n'


class Lines:
    """The lines of a command, as they come."""

    def __init__(self, command: subprocess.Popen[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._seen: list[str] = []
        threading.Thread(target=self._read, args=(command,), daemon=True).start()

    def _read(self, command: subprocess.Popen[str]) -> None:
        assert command.stdout is not None
        for line in command.stdout:
            self._lines.put(line)

    def until(self, *parts: str) -> str:
        """The first line from now on that has all of these."""
        while True:
            try:
                line = self._lines.get(timeout=60)
            except queue.Empty:
                raise AssertionError(f"no line has {parts}: {''.join(self._seen)}") from None
            self._seen.append(line)
            if all(part in line for part in parts):
                return line


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"app/app.py": APP.format(says="first"), "app/Dockerfile": DOCKERFILE}
    return make_project(tmp_path_factory, "watched", files)


@on_docker_at_length
def test_changes_are_applied_and_a_broken_one_is_not(project: Path, new_cli: Callable[..., Cli], engine: str) -> None:
    port = own_port()
    file = project / "stackfile.py"
    file.write_text(STACK.format(port=port, mode="plain"))
    cli = new_cli(folder=project, file=file, port=port)
    url = f"http://127.0.0.1:{port}/"
    app = project / "app" / "app.py"
    cli.ok("up")
    cache = cli.data("status")["components"]["cache"]["since"]
    # What changed before it begins is caught up with.
    app.write_text(APP.format(says="second"))
    done = "rebuilt" if engine == "compose" else "restarted"
    with cli.start("watch") as watching:
        try:
            lines = Lines(watching)
            lines.until("before this: web", done)
            lines.until("watching for changes")
            assert get(url)[1] == {"says": "second", "mode": "plain"}

            app.write_text(APP.format(says="third"))
            lines.until("app.py: web", done)
            assert get(url)[1]["says"] == "third"

            app.write_text("import nope\n" + APP.format(says="broken"))
            lines.until("module-missing")
            if engine == "compose":
                # Its image has no health check, so that it runs again is all that is awaited.
                assert lines.until("what ran before runs on").startswith("  what ran before")
                eventually(lambda: get(url)[1].get("says") == "third")
                app.write_text(APP.format(says="third"))
                lines.until("app.py: what runs is what is declared again")
            app.write_text(APP.format(says="fourth"))
            lines.until("app.py: web", done)
            assert get(url)[1]["says"] == "fourth"

            file.write_text("stack = (\n")
            lines.until("stackfile.py: not applied", "file-invalid")
            assert get(url)[1]["says"] == "fourth"
            file.write_text(STACK.format(port=port, mode="other"))
            lines.until("stackfile.py: web")
            assert get(url)[1]["mode"] == "other"

            # It holds no lock while nothing changes, and leaves alone what did not change.
            assert cli.data("status")["components"]["cache"]["since"] == cache
            cli.ok("restart", "cache")
        finally:
            watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    eventually(lambda: get(url)[1]["says"] == "fourth")
    assert cli.pending() == []

    # Ctrl-C stops nothing: what is being applied is applied to its end.
    before = cli.data("status")["components"]["web"]["since"]
    app.write_text("import time\ntime.sleep(4)\n" + APP.format(says="slow"))
    with cli.start("watch") as watching:
        eventually(lambda: cli.data("status")["components"]["web"]["since"] not in (None, before))
        watching.send_signal(signal.SIGINT)
        said, told = watching.communicate(timeout=60)
    assert watching.returncode == 0, told
    assert said.startswith("before this: web"), said
    assert "this ends once the change is applied" in told
    assert get(url)[1]["says"] == "slow"

    app.write_text(APP.format(says="fifth"))
    with terminal_that_closes(cli, "up", "--watch") as (lost, wait_for):
        wait_for("watching for changes")
    assert lost.wait(20) == 0
    assert get(url)[1]["says"] == "fifth"
    cli.ok("restart", "cache")
