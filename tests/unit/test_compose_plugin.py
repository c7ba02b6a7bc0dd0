"""Compose is asked for its version once for each version of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.engines.compose.plugin import remembered


class Machine:
    """A machine with a docker client and, in a folder of the user, its Compose plugin."""

    def __init__(self, folder: Path) -> None:
        self.client = folder / "bin" / "docker"
        self.plugin = folder / "docker" / "cli-plugins" / "docker-compose"
        self.cache = folder / "cache"
        self.asked = 0
        for path in (self.client, self.plugin):
            path.parent.mkdir(parents=True)
            path.write_text("one")

    def version(self, says: str = "2.40.3", fits: bool = True) -> str:
        def ask() -> str:
            self.asked += 1
            return says

        return remembered(str(self.client), ask, lambda _: fits)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Machine(tmp_path)


def test_compose_is_asked_for_its_version_once(machine: Machine) -> None:
    assert [machine.version(), machine.version("9.9.9")] == ["2.40.3", "2.40.3"]
    assert machine.asked == 1


def test_another_plugin_or_client_is_asked_again(machine: Machine) -> None:
    machine.version()
    machine.plugin.write_text("another one")
    assert (machine.version("2.41.0"), machine.asked) == ("2.41.0", 2)
    machine.client.write_text("another one")
    assert (machine.version("2.42.0"), machine.asked) == ("2.42.0", 3)
    machine.plugin.unlink()
    machine.version()
    assert machine.version("3.0.0") == "3.0.0", "the client has it from elsewhere"


def test_a_plugin_in_a_folder_of_the_configuration_is_known_too(machine: Machine, tmp_path: Path) -> None:
    machine.version()
    extra = tmp_path / "extra" / "docker-compose"
    extra.parent.mkdir()
    extra.write_text("another one")
    (tmp_path / "docker" / "config.json").write_text(f'{{"cliPluginsExtraDirs": ["{extra.parent}"]}}')
    assert (machine.version("2.41.0"), machine.version("9.9.9")) == ("2.41.0", "2.41.0")


def test_a_version_that_is_too_old_is_not_remembered(machine: Machine) -> None:
    machine.version("1.29.2", fits=False)
    assert (machine.version("2.40.3"), machine.asked) == ("2.40.3", 2)


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"files": 1, "version": 2}'])
def test_what_is_remembered_may_be_broken(machine: Machine, content: str) -> None:
    (machine.cache / "stackctl").mkdir(parents=True)
    (machine.cache / "stackctl" / "compose.json").write_text(content)
    assert (machine.version(), machine.version("9.9.9")) == ("2.40.3", "2.40.3")


def test_a_cache_that_cannot_be_written_costs_a_question(machine: Machine) -> None:
    machine.cache.write_text("no folder")
    assert [machine.version(), machine.version()] == ["2.40.3", "2.40.3"]
    assert machine.asked == 2
