"""Processes whose instance is gone are found and ended, whatever state they are in."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from stack.engines.embedded.checks import supervisors
from tests.cli import Cli, eventually
from tests.servers import MISSING

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture(scope="module")
def engine() -> str:
    """The engine that a test's instances are on."""
    return "embedded"


def own_supervisors(cli: Cli) -> list[tuple[Path, int]]:
    return [(home, number) for home, number in supervisors() if cli.instance in str(home)]


@pytest.mark.long
def test_a_frozen_supervisor_and_its_servers_are_ended(cli: Cli) -> None:
    cli.up()
    ((_, number),) = own_supervisors(cli)
    family = psutil.Process(number).children(recursive=True)
    shutil.rmtree(cli.state)
    os.kill(number, signal.SIGSTOP)
    cli.ok("prune", "--yes", "--data")
    assert own_supervisors(cli) == []
    eventually(lambda: not any(each.is_running() for each in family))
    assert cli.get("/livez")[0] == 0


@pytest.mark.long
def test_a_supervisor_without_a_home_is_found_by_its_command(cli: Cli) -> None:
    cli.up()
    ((home, number),) = own_supervisors(cli)
    family = psutil.Process(number).children(recursive=True)
    for folder in (cli.state, home):
        shutil.rmtree(folder, ignore_errors=True)
    (line,) = cli.data("ls")["instances"]
    assert (line["state"], line["running"]) == ("orphaned", True)
    (orphan,) = cli.data("prune", "--yes")["orphans"]
    assert orphan["removes"] == {"containers": [f"supervisord (process {number})"]}
    assert orphan["keeps"] == []
    assert own_supervisors(cli) == []
    eventually(lambda: not any(each.is_running() for each in family))
    assert cli.data("ls")["instances"] == []


# It serves, and has a process in a session of its own.
APP = """
import http.server, os, subprocess
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print("child", child.pid, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_what_went_into_the_background_ends_with_its_component(new_cli: Callable[..., Cli], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    file = tmp_path / "shop.py"
    file.write_text(
        "from stack import Stack, WebApp\n"
        "stack = Stack('shop', [WebApp('web', source='.', stop_grace=1, command=['python3', 'app.py'])])\n",
        encoding="utf-8",
    )
    cli = new_cli(file=file)
    cli.up()
    child = int(cli.ok("logs", "web").stdout.split("child ")[1].split()[0])
    assert psutil.Process(child).is_running()
    cli.ok("down")
    eventually(lambda: not psutil.pid_exists(child))
