"""A component that stackctl has never heard of, with two ports and two volumes, can do what every component can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli import Cli, get
from tests.conformance.engines import on_a_server_at_length
from tests.ports import own_port
from tests.project import make_project

pytestmark = on_a_server_at_length

STACK = '''\
from dataclasses import dataclass

from stack import Stack
from stack.component import Component
from stack.references import Reference
from stack.workload import Hardening, HttpCheck, Limits, Port, PortId, Volume, VolumeId, Workload

PROGRAM = """
import http.server, json, pathlib, sys, threading
files, log = map(pathlib.Path, sys.argv[1:3])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        if name:
            (files / name).write_text(name)
            with (log / "names").open("a") as names:
                names.write(name + "\\\\n")
        answer = {"port": self.server.server_port, "files": sorted(path.name for path in files.iterdir()),
                  "log": (log / "names").read_text().split() if (log / "names").exists() else []}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
servers = [http.server.ThreadingHTTPServer((sys.argv[3], int(port)), Handler) for port in sys.argv[4:6]]
print("the depot is open", flush=True)
threading.Thread(target=servers[0].serve_forever, daemon=True).start()
servers[1].serve_forever()
"""


@dataclass(frozen=True)
class Depot(Component):
    role = "depot"

    def exports(self, target):
        return {"HOST": Reference(self.name, "host"), "PORT": Reference(self.name, "port", "http")}

    def workload(self, target):
        http, admin = PortId.of(self.name, "http"), PortId.of(self.name, "admin")
        volumes = [
            Volume(VolumeId.of(self.name, name), f"{self.name}-{name}", f"/srv/{name}") for name in ("files", "log")
        ]
        words = [Reference(self.name, "volume", volume.id.name) for volume in volumes]
        words += [Reference(self.name, "bind"), *(Reference(self.name, "port", port.name) for port in (http, admin))]
        return Workload(
            image="python:3.14-slim" if target == "container" else None,
            command=("python3", "-c", PROGRAM, *words),
            ports=(Port(http, 8080, 18080), Port(admin, 8081, 18081)),
            volumes=tuple(volumes),
            probe=HttpCheck(http, "/"),
            limits=Limits(memory=128, cpus=1.0, pids=64),
            hardening=Hardening(user=None),
            stop_signal="TERM",
            stop_grace=5,
            init=True,
        )


stack = Stack("depots", [Depot("depot")])
'''


class Depot(Cli):
    """The command line for an instance of that stack."""

    def open(self) -> dict[str, Any]:
        return self.data("up", "--port", f"depot:http={self.port}", "--port", f"depot:admin={self.admin}")

    @property
    def admin(self) -> int:
        return self.port + 1

    def keep(self, name: str) -> None:
        assert self.get(f"/{name}")[0] == 200

    @property
    def kept(self) -> tuple[list[str], list[str]]:
        status, answer = self.get()
        assert status == 200, answer
        return answer["files"], answer["log"]


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Depot]:
    folder = make_project(tmp_path_factory, "depot", {"depots.py": STACK})
    cli = Depot(folder, file=folder / "depots.py", engine=engine, port=own_port())
    try:
        cli.open()
        yield cli
    finally:
        cli.reset()


def test_it_answers_on_each_of_its_ports(depot: Depot) -> None:
    urls = depot.open()["urls"]
    host = urls["depot:http"].rpartition(":")[0] if depot.on_a_swarm else "http://localhost"
    assert urls == {"depot:http": f"{host}:{depot.port}", "depot:admin": f"{host}:{depot.admin}"}
    assert [get(url)[0] for url in urls.values()] == [200, 200]


def test_a_second_up_changes_nothing_and_a_plan_shows_each_volume(depot: Depot) -> None:
    assert depot.open()["changed"] is False
    plan = depot.data("plan", "--exit-code")
    assert [each["effect"] for each in plan["data"]] == ["keep", "keep"]


def test_its_status_its_log_and_commands_in_it_are_there(depot: Depot) -> None:
    depot.ok("status", "--exit-code")
    assert depot.data("status")["components"]["depot"]["health"] == "healthy"
    assert "the depot is open" in depot.ok("logs", "depot").stdout
    assert depot.ok("exec", "depot", "--", "python3", "-c", "print(6 * 7)").stdout == "42\n"


def test_its_files_outlive_its_container_and_its_process(depot: Depot) -> None:
    depot.keep("lasting")
    depot.ok("down")
    depot.open()
    assert "lasting" in depot.kept[0]


def test_its_files_are_saved_restored_and_brought_back_by_undo(depot: Depot) -> None:
    depot.keep("first")
    saved = depot.kept
    depot.ok("snapshot", "save", "one")
    assert depot.kept == saved, "it serves on after it was saved"
    depot.keep("second")
    later = depot.kept
    shown = depot.data("snapshot", "show", "one")["components"]["depot"]
    assert set(shown["databases"]) == {"files", "log"}
    depot.ok("snapshot", "restore", "one", "--yes")
    assert depot.kept == saved
    depot.ok("undo", "--yes")
    assert depot.kept == later
    depot.ok("snapshot", "delete", "one", "--yes")


def test_a_reset_saves_its_files_and_undo_brings_them_back(depot: Depot) -> None:
    depot.keep("third")
    before = depot.kept
    depot.ok("reset", "--yes")
    assert depot.get()[0] == 0, "nothing answers any more"
    depot.ok("undo", "--yes")
    assert depot.kept == before


def test_what_it_can_not_do_is_said(depot: Depot) -> None:
    for words in ("rotate depot", "upgrade depot --to 2", "dump --db depot x.sql"):
        assert "depot" in depot.fails(*words.split(), code="usage", exit_code=2)["message"]
    result = depot.run("shell", "depot")
    assert (result.exit_code, "has no client" in result.stderr) == (2, True), result
