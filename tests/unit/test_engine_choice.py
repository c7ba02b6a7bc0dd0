"""Which engine an instance gets, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError, UsageError
from stack.progress import Silence
from stack.record import Record
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workflow.choosing import Choice, default_unseen
from stack.workflow.opened import on_next_engine
from stack.workflow.opening import change, look

NO_DAEMON = StackError("docker-daemon", "the Docker daemon does not answer")
Docker = Callable[[StackError | None], list[float]]


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Say how Docker is; the list has how long each question might take."""
    asked: list[float] = []

    def give(problem: StackError | None) -> list[float]:
        def check(_engine: ComposeEngine, within: float = 5) -> None:
            asked.append(within)
            if problem is not None:
                raise problem

        monkeypatch.setattr(ComposeEngine, "check", check)
        return asked

    return give


def settings(folder: Path, engine: str | None = None, file: Path = PLAYGROUND) -> Settings:
    return Settings(file, None, folder, engine)


def test_docker_that_answers_within_two_seconds_is_taken(tmp_path: Path, docker: Docker) -> None:
    asked = docker(None)
    assert look(settings(tmp_path)).choice == Choice("compose", "Docker answers", free=True)
    assert asked == [2]


def test_without_docker_it_is_embedded_and_the_reason_is_told(tmp_path: Path, docker: Docker) -> None:
    docker(NO_DAEMON)
    opened = look(settings(tmp_path))
    assert opened.choice == Choice("embedded", "no Docker: the Docker daemon does not answer", free=True)
    assert (opened.engine.name, opened.record.engine) == ("embedded", "embedded")


def test_a_stack_for_containers_alone_waits_for_docker(tmp_path: Path, docker: Docker) -> None:
    docker(NO_DAEMON)
    (tmp_path / "app").mkdir()
    file = tmp_path / "shop.py"
    file.write_text(
        "from stack import Stack, WebApp\nstack = Stack('shop', [WebApp('web', source='app', port=3000)])\n",
        encoding="utf-8",
    )
    assert look(settings(tmp_path, file=file)).choice.engine == "compose"


@pytest.mark.parametrize("name", ["compose", "embedded"])
def test_an_engine_that_was_asked_for_is_taken_unseen(tmp_path: Path, docker: Docker, name: str) -> None:
    asked = docker(NO_DAEMON)
    assert look(settings(tmp_path, name)).choice == Choice(name)
    assert asked == []


@pytest.mark.parametrize("name", ["compose", "embedded"])
def test_an_instance_stays_on_its_engine(tmp_path: Path, docker: Docker, name: str) -> None:
    asked = docker(NO_DAEMON)
    remember(tmp_path, name)
    assert look(settings(tmp_path)).choice == Choice(name)
    assert look(settings(tmp_path, name)).choice == Choice(name)
    assert asked == []


@pytest.mark.parametrize(("own", "other"), [("compose", "embedded"), ("embedded", "compose")])
def test_another_engine_for_an_instance_is_an_error(tmp_path: Path, own: str, other: str) -> None:
    remember(tmp_path, own)
    with pytest.raises(StackError, match=f"is on the engine {own}, and its data with it; {other}") as raised:
        look(settings(tmp_path, other))
    assert raised.value.code == "engine-differs"
    assert f"`stackctl move --to {other}`" in str(raised.value.hint)


def test_an_engine_of_another_version_of_stackctl_is_told(tmp_path: Path) -> None:
    remember(tmp_path, "nomad")
    with pytest.raises(UsageError, match="'nomad' is not an engine"):
        look(settings(tmp_path))


def test_only_an_engine_chosen_by_default_gives_way(tmp_path: Path, docker: Docker) -> None:
    docker(None)
    moved = on_next_engine(look(settings(tmp_path)), "no images")
    assert moved is not None
    assert (moved.choice, moved.record.engine) == (Choice("embedded", "no images", free=True), "embedded")
    assert on_next_engine(look(settings(tmp_path, "compose")), "no images") is None
    remember(tmp_path, "compose")
    assert on_next_engine(look(settings(tmp_path)), "no images") is None


def test_what_needs_no_running_engine_asks_none(tmp_path: Path, docker: Docker) -> None:
    asked = docker(NO_DAEMON)
    assert look(settings(tmp_path), choose=default_unseen).engine.name == "compose"
    assert asked == []


def test_system_binaries_are_remembered(tmp_path: Path) -> None:
    with change(settings(tmp_path, "embedded"), Silence(), system_binaries=True) as opened:
        opened.state.remember(opened.record)
    assert look(settings(tmp_path)).record.system_binaries


def remember(folder: Path, engine: str) -> None:
    State(folder / "playground").remember(Record(project="stackctl-playground-000000", ports={}, engine=engine))
