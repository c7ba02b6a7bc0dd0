"""`doctor`: each check judges one thing, a fix stands where something is wrong, and nothing that is broken ends it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import stackctl
from stack import Postgres
from stack.capabilities import Completed, Programs, Session
from stack.commands.doctor import examine, of_component, of_login, of_python, of_taken_port, text_of
from stack.engines.compose import checks
from stack.engines.compose.checks import Docker, Labelled, of_docker, of_images, of_orphans
from stack.engines.compose.driver import ComposeEngine
from stack.engines.embedded.checks import configuration_of, of_programs
from stack.engines.embedded.driver import EmbeddedEngine
from stack.errors import StackError
from stack.findings import Finding, disk, ok
from stack.observed import ComponentState
from stack.ports import Holder
from stack.record import Record
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workload import PortId
from tests.unit.fake_engine import FakeSession, World

HOLDER = Holder("process 7 (python)", "`kill 7`")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
INFO = {
    "ServerVersion": "28.5.2+dfsg4",
    "OperatingSystem": "Debian",
    "Architecture": "x86_64",
    "DockerRootDir": "/var/lib/docker",
    "SystemTime": "2026-01-02T03:04:05.872514459Z",
    "ClientInfo": {"Version": "28.2.2", "Context": "default", "Plugins": [{"Name": "compose", "Version": "2.40.3-3"}]},
}
DOCKER = Docker(INFO, "", NOW, NOW + timedelta(seconds=1), 2**40)
CLIENT_ALONE = INFO | {"ServerVersion": "", "SystemTime": ""}
UP = ComponentState("1", "running", "healthy", 0, 0, False, NOW, "image")


def levels(findings: Iterator[Finding]) -> dict[str, str]:
    return {finding.check: finding.level for finding in findings}


def found(findings: Iterator[Finding] | Sequence[Finding], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


def test_a_docker_that_is_well() -> None:
    names = ["docker client", "docker compose", "docker daemon", "docker disk", "docker clock"]
    assert levels(of_docker(DOCKER)) == dict.fromkeys(names, "ok")


@pytest.mark.parametrize(
    ("docker", "check", "level", "message"),
    [
        (
            replace(DOCKER, info=CLIENT_ALONE | {"ServerErrors": ["Cannot connect to the Docker daemon at x"]}),
            "docker daemon", "fail", "the Docker daemon does not answer",
        ),
        (
            replace(DOCKER, info=CLIENT_ALONE, said="permission denied while trying to connect to the docker API"),
            "docker daemon", "fail", "this user may not talk to the Docker daemon",
        ),
        (replace(DOCKER, info=INFO | {"ServerVersion": "24.0.7"}), "docker daemon", "fail", "24.0.7 is too old"),
        (
            replace(DOCKER, info=INFO | {"ClientInfo": {"Version": "28", "Context": "x", "Plugins": None}}),
            "docker compose", "fail", "no Compose plugin",
        ),
        (
            replace(DOCKER, info=INFO | {"ClientInfo": {"Plugins": [{"Name": "compose", "Version": "v2.10.2"}]}}),
            "docker compose", "fail", "v2.10.2 is too old",
        ),
        (replace(DOCKER, free=2**30), "docker disk", "warn", "1.0 GiB free in /var/lib/docker"),
        (replace(DOCKER, free=2**20), "docker disk", "fail", "0.0 GiB free"),
        (
            replace(DOCKER, info=INFO | {"SystemTime": "2026-01-02T03:05:45Z"}),
            "docker clock", "warn", "differ by 99 s",
        ),
        (
            replace(DOCKER, info=INFO | {"SystemTime": "2026-01-02T02:04:05Z"}),
            "docker clock", "warn", "differ by 3600 s",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_docker_is_told_with_a_fix(docker: Docker, check: str, level: str, message: str) -> None:
    finding = found(of_docker(docker), check)
    assert (finding.level, message in finding.message) == (level, True), finding
    assert finding.fix


def test_a_disk_that_cannot_be_seen_is_not_judged() -> None:
    assert found(of_docker(replace(DOCKER, free=None)), "docker disk").level == "ok"


def test_a_slow_answer_is_no_skew() -> None:
    slow = replace(DOCKER, asked=NOW - timedelta(seconds=30), answered=NOW + timedelta(seconds=30))
    assert found(of_docker(slow), "docker clock").level == "ok"


def test_images_are_told_when_missing_and_when_old() -> None:
    old, young = NOW - timedelta(days=120), NOW - timedelta(days=3)
    lines = [*of_images({"postgres:18": old, "redis:8": young, "shop-web": None}, NOW)]
    assert [finding.level for finding in lines] == ["warn", "warn"]
    assert lines[0].message == "not on this machine: shop-web"
    assert lines[1].message.startswith("postgres:18 is 120 days old")
    assert "docker pull postgres:18" in lines[1].fix
    assert levels(of_images({"redis:8": young}, NOW)) == {"docker images": "ok"}


def test_orphans_are_named_and_not_too_many_of_them() -> None:
    assert of_orphans([]).level == "ok"
    finding = of_orphans([Labelled("volume", f"v{number}", "/gone") for number in range(9)])
    assert (finding.level, finding.message.endswith("volume v4 and 4 more")) == ("warn", True), finding


REFUSED = 'FATAL: password authentication failed for user "app"'


def answering(answer: Completed) -> Session:
    """A session in a process where every command ends in the same way."""
    return FakeSession("db", World(answer=answer))


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (of_python((3, 11, 0), "python"), "ok"),
        (of_python((3, 10, 9), "python"), "fail"),
        (of_taken_port(PortId("web"), 8000, HOLDER, certain=True), "fail"),
        (of_taken_port(PortId("web"), 8000, HOLDER, certain=False), "warn"),
        (of_component("web", UP), "ok"),
        (of_component("web", replace(UP, health="none")), "ok"),
        (of_component("web", replace(UP, restarts=2)), "warn"),
        (of_component("web", replace(UP, health="starting")), "warn"),
        (of_component("web", replace(UP, health="unhealthy", health_output="no")), "fail"),
        (of_component("web", replace(UP, state="restarting", exit_code=3)), "fail"),
        (of_component("web", None), "fail"),
        (of_component("migrate", replace(UP, state="done", health="none")), "ok"),
        (of_login(Postgres("db"), answering(Completed(0, "1", ""))), "ok"),
        (of_login(Postgres("db"), answering(Completed(2, "", REFUSED))), "fail"),
        (of_login(Postgres("db"), answering(Completed(2, "", "server closed the connection"))), "fail"),
        (disk("disk", 2**40, "/"), "ok"),
        (disk("disk", 2**30, "/"), "warn"),
        (disk("disk", 2**20, "/"), "fail"),
    ],
)
def test_each_check_judges_one_thing(finding: Finding, level: str) -> None:
    assert (finding.level, bool(finding.fix)) == (level, level != "ok"), finding


def test_a_server_that_does_not_start_here_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/bin/sh\necho 'GLIBC_2.99 not found' >&2; exit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    missing, broke = of_programs([Programs({"postgres": tmp_path / "postgres"}), Programs({"redis-server": broken})])
    assert (missing.check, missing.level) == ("embedded postgres", "fail")
    assert (broke.level, "GLIBC_2.99 not found" in broke.message) == ("fail", True)


def test_a_server_tells_its_version_in_a_line(tmp_path: Path) -> None:
    program = tmp_path / "rclone"
    program.write_text("#!/bin/sh\nprintf 'rclone v1.75.2\\n- os/type: linux\\n'\n", encoding="utf-8")
    program.chmod(0o755)
    (found,) = of_programs([Programs({"rclone": program})])
    assert (found.level, found.message) == ("ok", f"rclone v1.75.2 ({program})")


@pytest.mark.parametrize(
    ("command", "configuration"),
    [
        (["python", "-m", "supervisor.supervisord", "-c", "/x/conf/supervisord.conf"], "/x/conf/supervisord.conf"),
        (["python", "-m", "supervisor.supervisord", "-c", "/etc/supervisord.conf"], None),
        (["python", "-m", "supervisor.supervisord", "-c"], None),
        (["supervisord", "-c", "/x/conf/supervisord.conf"], None),
        ([], None),
    ],
)
def test_a_supervisor_of_ours_is_known_by_its_command(command: list[str], configuration: str | None) -> None:
    assert configuration_of(command) == (Path(configuration) if configuration else None)


def test_the_text_has_a_line_for_each_and_the_sum() -> None:
    lines = text_of([ok("python", "3.14"), Finding("disk", "fail", "full\nindeed", "make room")]).splitlines()
    assert lines == [
        "ok    python  3.14",
        "fail  disk    full indeed",
        "              → make room",
        "",
        "1 failed, 0 to look at, 1 ok",
    ]


# With a machine of which we say how it is.


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a docker client."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **options: None if name == "docker" else which(name, **options))


def embedded(folder: Path, file: Path = PLAYGROUND) -> Settings:
    return Settings(file, None, folder / "state", "embedded")


@pytest.mark.usefixtures("no_docker")
def test_an_engine_that_the_instance_does_not_need_may_be_broken(tmp_path: Path) -> None:
    lines = examine(embedded(tmp_path))
    docker = next(finding for finding in lines if "docker" in finding.message)
    assert (docker.level, docker.fix) == ("ok", ""), docker
    assert "this instance does not need it" in docker.message
    on_docker = examine(replace(embedded(tmp_path), engine="compose"))
    assert any(finding.level == "fail" and "no `docker` command" in finding.message for finding in on_docker)


@pytest.mark.usefixtures("no_docker")
def test_with_a_broken_stack_file_the_machine_is_still_examined(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text("1 / 0\n", encoding="utf-8")
    lines = examine(embedded(tmp_path, file))
    assert "ZeroDivisionError" in found(lines, "instance").message
    assert found(lines, "python").level == "ok"
    assert found(lines, "embedded orphans")


@pytest.mark.usefixtures("no_docker")
def test_a_taken_port_is_reported_with_its_holder(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "shop.py"
        file.write_text(
            "from stack import Stack, WebApp\n"
            f"stack = Stack('shop', [WebApp('web', source='.', port={port}, command=['python'])])\n",
            encoding="utf-8",
        )
        line = found(examine(embedded(tmp_path, file)), "ports")
        assert (line.level, f"process {os.getpid()}" in line.message) == ("fail", True), line
        another = found(examine(replace(embedded(tmp_path, file), instance="review")), "ports")
        assert (another.level, "chooses the next free one" in another.message) == ("ok", True), another
    assert found(examine(embedded(tmp_path, file)), "ports").message == f"{port}, for web, is free"


@pytest.mark.usefixtures("no_docker")
def test_a_relaxed_container_is_a_line_on_an_engine_for_containers(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(
        "from stack import Container, Stack\n"
        "stack = Stack('shop', [Container('box', image='a', process=['a'], writable=True)])\n",
        encoding="utf-8",
    )
    lines = examine(replace(embedded(tmp_path, file), engine="compose"))
    relaxed = [line for line in lines if line.check == "hardening"]
    assert [line.message for line in relaxed] == ["box may write to its root file system, as declared"]
    assert not [line for line in examine(embedded(tmp_path, file)) if line.check == "hardening"]


@pytest.mark.usefixtures("no_docker")
def test_a_record_that_is_damaged_is_a_line(tmp_path: Path) -> None:
    state = State(tmp_path / "state" / "playground")
    state.write("record.json", "{")
    line = found(examine(embedded(tmp_path)), "instance")
    assert (line.level, "is damaged" in line.message) == ("fail", True)


@pytest.mark.usefixtures("no_docker")
def test_a_readable_state_and_a_missing_secret_are_reported(tmp_path: Path) -> None:
    state = State(tmp_path / "state" / "playground")
    state.remember(Record("stackctl-playground-000000", {}, "embedded"))
    lines = examine(embedded(tmp_path))
    assert found(lines, "state folder").level == "ok"
    assert found(lines, "secrets").level == "warn"
    state.folder.chmod(0o755)
    line = found(examine(embedded(tmp_path)), "state folder")
    assert (line.level, line.fix) == ("fail", f"`chmod 700 {state.folder}`")


@pytest.mark.usefixtures("no_docker")
def test_a_check_that_breaks_is_a_line_and_the_next_ones_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(engine: object, own: bool) -> Iterator[Finding]:
        yield ok("embedded engine", "so far")
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(EmbeddedEngine, "examine", broken)
    lines = examine(embedded(tmp_path))
    line = found(lines, "embedded")
    assert (line.level, "ZeroDivisionError: oh" in line.message) == ("fail", True)
    assert found(lines, "state disk")


def test_an_answer_of_docker_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\necho nonsense\n", encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    lines = examine(replace(embedded(tmp_path), engine="compose"))
    assert found(lines, "docker daemon").level == "fail"


@pytest.mark.usefixtures("no_docker")
def test_the_exit_code_says_whether_something_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKCTL_STATE", str(tmp_path))
    assert stackctl.main(["--engine", "compose", "--json", "doctor"]) == 1
    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["command"], envelope["ok"], envelope["error"]) == ("doctor", False, None)
    assert envelope["data"]["failed"] >= 1
    assert {"check", "level", "message", "fix"} == set(envelope["data"]["checks"][0])
    assert list(tmp_path.iterdir()) == [], "to examine makes nothing"


@pytest.mark.usefixtures("no_docker")
def test_a_bundle_is_written_although_all_is_broken_but_never_over_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, file = tmp_path / "shop.py", tmp_path / "report.zip"
    shop.write_text("1 / 0\n", encoding="utf-8")
    words = ["--file", str(shop), "doctor", "--bundle", str(file)]
    assert stackctl.main(words) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert b"ZeroDivisionError" in archive.read("report/doctor.txt")
        assert b"not to be had: file-invalid" in archive.read("report/status.json")
    before = file.read_bytes()
    assert stackctl.main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert stackctl.main([*words[:-1], str(tmp_path / "no" / "report.zip")]) == 1
    assert "file-unusable" in capsys.readouterr().err


@pytest.mark.usefixtures("no_docker")
def test_an_undecodable_name_is_written_raw_and_shown_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["--json", "doctor", "--bundle", "\udcff"], ["doctor", "--bundle", "\udcfe"]):
        assert stackctl.main(words) in (0, 1)
    printed = capsys.readouterr()
    assert "(bug)" not in printed.err
    assert json.loads(printed.out.partition("\n")[0])["data"]["bundle"] == "\udcff"
    assert "\\udcfe" in printed.out
    assert {b"\xff", b"\xfe"} <= {*os.listdir(os.fsencode(tmp_path))}


def test_compose_needs_what_the_readme_says() -> None:
    assert (checks.ENGINE[0], checks.COMPOSE[:2]) == (25, (2, 24))


def test_a_docker_that_hangs_is_a_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(engine: ComposeEngine, within: float = 5) -> None:
        raise StackError("docker-daemon", "the Docker daemon does not answer: too slow", "restart it")

    monkeypatch.setattr(ComposeEngine, "check", silent)
    line = found(examine(replace(embedded(tmp_path), engine="compose")), "instance")
    assert (line.level, line.fix) == ("fail", "restart it")
