"""An app on the embedded engine runs with the Python of its own project, whatever shell `up` is typed in."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stack import Redis, Stack, WebApp
from stack.engines.embedded import virtual_env
from stack.instance import Instance
from stack.workload import PortId
from tests.cli import Cli
from tests.servers import MISSING

Make = Callable[..., Cli]

APP = """\
import http.server, os, sys
import only_here

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f'{{"prefix": "{sys.prefix}", "variable": "{os.environ["VIRTUAL_ENV"]}"}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Handler).serve_forever()
"""
STACK = """\
from stack import Stack, WebApp
stack = Stack("shop", [WebApp("web", source="app", command=["python", "app.py"], stop_grace=1)])
"""


def make(folder: Path) -> Path:
    """A virtual environment with a module that no other has."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, capture_output=True)
    modules = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    (Path(modules) / "only_here.py").touch()
    return folder


def pretend(folder: Path) -> Path:
    """What looks like one."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / "pyvenv.cfg").touch()
    return folder


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    stack = Stack("shop", [WebApp("web", source="app", command=["run"]), Redis("cache")])
    return Instance(
        "shop", "stackctl-shop-123456", stack, tmp_path, tmp_path / ".stackctl" / "shop", {PortId("web"): 8000}
    )


def test_the_nearest_environment_is_the_one(instance: Instance, tmp_path: Path) -> None:
    assert virtual_env.find(instance, None) == {}
    active = pretend(tmp_path / "active")
    assert virtual_env.find(instance, active) == {"web": active}
    beside = pretend(tmp_path / ".venv")
    assert virtual_env.find(instance, active) == {"web": beside}
    own = pretend(tmp_path / "app" / ".venv")
    assert virtual_env.find(instance, active) == {"web": own}


def test_what_is_no_environment_or_stackctls_own_is_passed_over(instance: Instance, tmp_path: Path) -> None:
    (pretend(tmp_path / ".venv") / "bin" / "python").unlink()
    assert virtual_env.find(instance, tmp_path / "gone") == {}
    assert virtual_env.find(instance, Path(sys.prefix)) == {}


def test_the_bundled_service_runs_with_what_came_with_it(instance: Instance, tmp_path: Path) -> None:
    bundled = Path(virtual_env.__file__).parents[3] / "stack"
    stack = Stack("shop", [WebApp("web", source="../service", command=["run"])])
    assert virtual_env.find(replace(instance, folder=bundled, stack=stack), pretend(tmp_path / "active")) == {}


def test_what_was_active_is_remembered_until_another_is(tmp_path: Path) -> None:
    remembered, one, other = tmp_path / "remembered", pretend(tmp_path / "one"), pretend(tmp_path / "other")
    assert virtual_env.activated({}, remembered) is None
    assert virtual_env.activated({"VIRTUAL_ENV": str(one)}, remembered) == one
    remembered.write_text(str(one))
    assert virtual_env.activated({}, remembered) == one
    assert virtual_env.activated({"VIRTUAL_ENV": str(tmp_path / "gone")}, remembered) == one
    assert virtual_env.activated({"VIRTUAL_ENV": str(other)}, remembered) == other


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
@pytest.mark.parametrize("engine", ["embedded"], scope="module")
def test_an_app_runs_with_the_environment_of_its_project(new_cli: Make, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.py").write_text(APP)
    (tmp_path / "shop.py").write_text(STACK)
    active = make(tmp_path / "active")
    cli = new_cli(file=tmp_path / "shop.py", environment={"VIRTUAL_ENV": str(active)})
    cli.up()
    assert cli.get()[1] == {"prefix": str(active), "variable": str(active)}
    cli.environment = {}
    assert cli.pending() == [], "another shell changes nothing"
    own = make(tmp_path / "app" / ".venv")
    (action,) = cli.data("plan")["actions"]
    assert action["differences"] == [{"field": "virtual_env", "before": str(active), "after": str(own)}]
    cli.up()
    assert cli.get()[1]["prefix"] == str(own)
    assert cli.pending() == []
