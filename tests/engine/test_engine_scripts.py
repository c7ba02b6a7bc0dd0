"""What the scripts `start` and `stop` decide by: which images are stale, whose daemon runs, what this machine may."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine import __main__ as commands
from tests.engine import docker_engine, machine, stand_ins
from tests.engine.machine import Problem

HERE = Path(__file__).parent


# Which images are stale


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    shutil.copytree(stand_ins.SOURCES / "redis", folder)
    return folder


def add_file(folder: Path) -> None:
    (folder / "new").touch()


def change_content(folder: Path) -> None:
    (folder / "entrypoint").write_text("exec something-else\n")


def change_mode(folder: Path) -> None:
    (folder / "entrypoint").chmod(0o755)


def rename_file(folder: Path) -> None:
    (folder / "entrypoint").rename(folder / "entry")


@pytest.mark.parametrize("change", [add_file, change_content, change_mode, rename_file])
def test_a_changed_source_changes_the_fingerprint(sources: Path, change: Callable[[Path], None]) -> None:
    (sources / "entrypoint").chmod(0o644)
    before = stand_ins.fingerprint(sources)
    change(sources)
    assert stand_ins.fingerprint(sources) != before


def test_an_untouched_source_keeps_its_fingerprint_wherever_it_lies(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another checkout"
    shutil.copytree(sources, copy)
    for path in copy.rglob("*"):
        path.touch()
    assert stand_ins.fingerprint(copy) == stand_ins.fingerprint(sources)


def test_a_changed_base_changes_the_fingerprint_of_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [stand_ins.image_fingerprint(image) for image in stand_ins.IMAGES]
    monkeypatch.setattr(stand_ins, "inherited_apt_settings", lambda: 'Acquire::http::Proxy "http://proxy.test";\n')
    after = [stand_ins.image_fingerprint(image) for image in stand_ins.IMAGES]
    assert not set(before) & set(after)


IMAGE = stand_ins.IMAGES[0]


def test_an_official_image_is_used_as_it_is() -> None:
    assert stand_ins.is_there(IMAGE, {})
    assert stand_ins.is_there(IMAGE, {"org.opencontainers.image.title": "official"})


def test_a_stand_in_is_used_while_its_sources_are_the_same() -> None:
    current = stand_ins.image_fingerprint(IMAGE)
    assert stand_ins.is_there(IMAGE, {"stackctl.stand-in": "true", "stackctl.stand-in.fingerprint": current})
    assert not stand_ins.is_there(IMAGE, {"stackctl.stand-in": "true", "stackctl.stand-in.fingerprint": "older"})
    assert not stand_ins.is_there(IMAGE, None)


# Whose daemon runs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, so that no daemon of this machine is in it."""
    monkeypatch.setattr(docker_engine, "DATA", tmp_path / "data")
    monkeypatch.setattr(docker_engine, "RECORD", tmp_path / "daemon.pid")
    return tmp_path


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that wait for their end and have these words in their command line."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-S", "-c", "print(flush=True); input()", *words]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        # It has become the command once it speaks.
        assert started[-1].stdout
        started[-1].stdout.readline()
        return started[-1]

    yield start
    for one in started:
        with one:
            one.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="the engine runs on Linux alone")
def test_a_daemon_of_this_cache_is_known_by_its_record_and_stopped(
    cache: Path, process: Callable[..., subprocess.Popen[str]]
) -> None:
    daemon = process(f"--data-root={cache}/data")
    (cache / "daemon.pid").write_text(f"{daemon.pid}\n")
    assert docker_engine.recorded_daemon() == daemon.pid
    assert docker_engine.stop_daemon()
    assert daemon.wait(10) < 0
    assert not (cache / "daemon.pid").exists()


@pytest.mark.parametrize("words", [[], ["--data-root=/var/lib/docker"], ["--data-root={cache}/data2"]])
def test_a_process_that_has_taken_the_recorded_number_is_left_alone(
    cache: Path, process: Callable[..., subprocess.Popen[str]], words: list[str]
) -> None:
    stranger = process(*(word.format(cache=cache) for word in words))
    (cache / "daemon.pid").write_text(f"{stranger.pid}\n")
    assert docker_engine.recorded_daemon() is None
    assert not docker_engine.stop_daemon()
    assert stranger.poll() is None, "it was stopped"


@pytest.mark.parametrize("record", ["", "\n", "none", "4194305\n"])
def test_a_record_of_no_living_process_is_forgotten(cache: Path, record: str) -> None:
    (cache / "daemon.pid").write_text(record)
    assert docker_engine.recorded_daemon() is None
    assert not docker_engine.stop_daemon()
    assert not (cache / "daemon.pid").exists()


def test_there_is_nothing_to_stop_without_a_record(cache: Path) -> None:
    assert not docker_engine.stop_daemon()


# What this machine may


def test_what_is_missing_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("os.geteuid", lambda: 501)
    with pytest.raises(Problem) as caught:
        machine.require_debian_root("No Docker Engine answers.", "Install Docker")
    assert str(caught.value) == (
        "No Docker Engine answers.\n"
        "This could be made from Debian's packages, but this is no Debian and you are not root.\n"
        "Install Docker, then try again."
    )


def test_an_engine_elsewhere_that_does_not_answer_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/docker")
    monkeypatch.setattr(docker_engine, "daemon_refusal", lambda: "connection refused")
    monkeypatch.setattr(docker_engine, "missing_plugins", lambda: [])
    with pytest.raises(Problem, match=r"DOCKER_HOST is tcp://192\.0\.2\.1:2375, and no engine answers there"):
        docker_engine.ensure_engine()


def test_what_a_killed_run_left_half_built_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    (tmp_path / ".building-one/usr").mkdir(parents=True)
    (tmp_path / ".building-two.tar").touch()
    (tmp_path / "engine-forky").mkdir()
    with machine.alone():
        assert sorted(path.name for path in tmp_path.iterdir()) == ["engine-forky", "lock"]


def test_a_command_that_fails_shows_the_end_of_what_it_said() -> None:
    with pytest.raises(Problem, match=r"ended with 3:\n(line \d+\n){24}line 40$"):
        machine.run(["sh", "-c", "for i in $(seq 40); do echo line $i; done; exit 3"])


def test_a_problem_ends_a_script_with_its_text_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise Problem("Something is missing.")

    monkeypatch.setattr(commands, "ensure_engine", fail)
    assert commands.main("start") == 1
    assert capsys.readouterr().err == "start: Something is missing.\n"


def test_stop_touches_nothing_but_the_daemon_of_its_own_cache(tmp_path: Path) -> None:
    environment = os.environ | {"STACKCTL_ENGINE_CACHE": str(tmp_path / "cache")}
    # From a folder that is not the checkout's, as a user may.
    done = subprocess.run(
        [HERE / "stop"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no daemon that `start` started is running" in done.stdout
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root builds trees, and only on Linux")
def test_what_a_killed_run_has_started_goes_with_it(tmp_path: Path) -> None:
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    builder = ["sh", "-c", f"exec 3>'{fifo}'; echo >&3; sleep 300 & wait"]
    code = f"from tests.engine import machine; machine.run([*machine.WHILE_THIS_RUNS, *{builder}])"
    with subprocess.Popen([sys.executable, "-c", code], cwd=HERE.parents[1]) as run, fifo.open() as held:
        held.readline()
        run.kill()
        # The last of those who hold the other end has gone when there is an end to read.
        ended, _, _ = select.select([held], [], [], 10)
        assert ended, "what it started lives on"
        assert held.read() == ""
