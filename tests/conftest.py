"""What all tests share: golden files, instances that are deleted after their test, and where Docker is needed."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import sshd
from tests.cli import ROOT, Cli
from tests.engine.swarm import Swarm, why_not
from tests.engine.swarm import swarm as brought_swarm
from tests.schedule import Scheduling, begins, part

GOLDEN = Path(__file__).parent / "golden"
ARTIFACTS = ROOT / "test-artifacts"
_FAILED = pytest.StashKey[bool]()

# A run in the background ignores Ctrl-C, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# One under `nohup` outlives its terminal, and so would they.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; review the diff")
    parser.addoption("--part", metavar="K/N", help="run the K-th of N parts of the chosen tests")


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the user's instances: from their list, and from the playground of this checkout.

    Neither that, nor what the user exported for `stackctl`, changes what a test finds.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STACKCTL_FILE", "STACKCTL_INSTANCE", "STACKCTL_ENGINE", "STACKCTL_HOST"):
            patch.delenv(name, raising=False)
        patch.setenv("STACKCTL_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the whole of a golden file."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no golden file {name}: run `make golden` and review it"
        assert text == path.read_text(encoding="utf-8"), f"{name} has changed: `make golden` and review the diff"

    return compare


def _why_no_docker() -> str | None:
    """The reason why Docker tests can't run here, or None where they can."""
    if shutil.which("docker") is None:
        return "there is no docker client"
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return f"`{' '.join(command)}` gives no answer"
        if answer.returncode != 0:
            return (answer.stderr.strip().splitlines() or ["no Docker Engine answers"])[-1]
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    items.sort(key=lambda item: begins(item.nodeid))
    # What was collected stays, and would be searched for garbage a thousand times.
    gc.freeze()
    yield
    if config.option.part:
        chosen = part(config.option.part, [item.nodeid for item in items])
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
        items[:] = [item for item in items if item.nodeid in chosen]
    _need(items, "docker", _why_no_docker, "no Docker Engine", "; `tests/engine/start` brings an engine")
    _need(items, "swarm", why_not, "no Swarm")
    _need(items, "ssh", lambda: sshd.MISSING, "no SSH server")


def _need(items: list[pytest.Item], marker: str, missing: Callable[[], str | None], what: str, fix: str = "") -> None:
    """Skip the tests with a marker if what they need is missing, or refuse to run if it is required."""
    wanted = [item for item in items if item.get_closest_marker(marker)]
    reason = missing() if wanted else None
    if reason is None:
        return
    required = f"STACKCTL_REQUIRE_{marker.upper()}"
    if os.environ.get(required) == "1":
        raise pytest.UsageError(f"{required}=1, but {reason}{fix}")
    for item in wanted:
        item.add_marker(pytest.mark.skip(reason=f"{what}: {reason}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


def _clean(cli: Cli, request: pytest.FixtureRequest) -> None:
    if request.node.stash.get(_FAILED, False):
        ARTIFACTS.mkdir(exist_ok=True)
        name = re.sub(r"[^\w.-]+", "-", request.node.name)
        (ARTIFACTS / f"{name}-{cli.instance}.txt").write_text(cli.saved_logs(), encoding="utf-8")
    result = cli.reset()
    assert result.exit_code == 0, result


@pytest.fixture
def server(tmp_path: Path) -> Iterator[sshd.Server]:
    """An SSH server with a Docker daemon, for a test of its own."""
    folder = tmp_path / "server"
    folder.mkdir()
    with sshd.serving(folder) as server:
        yield server


@pytest.fixture(scope="session")
def swarm() -> Iterator[Swarm]:
    """Three Docker hosts in a Swarm, for all tests of this run that are marked `swarm`."""
    with brought_swarm() as found:
        yield found


@pytest.fixture(scope="module")
def engine() -> str:
    """The engine that a test's instances are on."""
    return "compose"


@pytest.fixture
def new_cli(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> Iterator[Callable[..., Cli]]:
    """Make command lines for instances that are deleted after the test."""
    made: list[Cli] = []

    def make(**options: Any) -> Cli:
        values: dict[str, Any] = {"folder": tmp_path, "engine": engine}
        made.append(Cli(**(values | options)))
        return made[-1]

    yield make
    for cli in made:
        _clean(cli, request)


@pytest.fixture
def cli(new_cli: Callable[..., Cli]) -> Cli:
    """An instance of the playground that is not up yet."""
    return new_cli()


class Keeper:
    """An instance of the playground on each engine, for all tests of one worker: to make one takes seconds."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._kept: dict[str, Cli] = {}
        self._ready: set[str] = set()

    def ready(self, engine: str) -> Cli:
        """The instance, up and as declared, whatever was done to it."""
        if engine not in self._kept:
            self._kept[engine] = Cli(self._folders.mktemp("kept"), engine=engine)
        if engine not in self._ready:
            self._kept[engine].up()
            self._forget_crashes(self._kept[engine])
            self._ready.add(engine)
        return self._kept[engine]

    @staticmethod
    def _forget_crashes(cli: Cli) -> None:
        """What was started again says so for as long as it is not made anew."""
        if any(component["restarts"] for component in cli.data("status")["components"].values()):
            cli.ok("down")
            cli.up()

    def soil(self, engine: str) -> None:
        """It may be in any state from now on."""
        self._ready.discard(engine)

    def give_up(self, engine: str, request: pytest.FixtureRequest) -> None:
        """After a failure nothing is sure: the next test gets another one."""
        self.soil(engine)
        _clean(self._kept.pop(engine), request)

    def close(self) -> None:
        for cli in self._kept.values():
            cli.reset()


@pytest.fixture(scope="session")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path_factory)
    yield keeper
    keeper.close()


@pytest.fixture
def up(keeper: Keeper, engine: str, request: pytest.FixtureRequest) -> Iterator[Cli]:
    """An instance of the playground that is up, for a test that leaves it up and as it was."""
    yield keeper.ready(engine)
    if request.node.stash.get(_FAILED, False):
        keeper.give_up(engine, request)


@pytest.fixture
def kept(keeper: Keeper, engine: str, up: Cli) -> Cli:
    """The same for a test that does with it whatever the next `up` puts right."""
    keeper.soil(engine)
    return up
