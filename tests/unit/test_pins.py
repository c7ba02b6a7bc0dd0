"""`stack.lock` and `update`: which digest each image is pinned to, and what is refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stack.commands.update import update
from stack.engines.compose import render
from stack.engines.compose.driver import ComposeEngine
from stack.engines.docker import answers
from stack.errors import StackError, UsageError
from stack.pins import LOCK_FILE, pinned, read_pins, unpinned, write_pins
from stack.progress import Silence
from stack.settings import PLAYGROUND, Settings
from stack.workflow.opening import look

ONE, TWO, THREE = (f"sha256:{character * 64}" for character in "123")
SHOP = f"""
from stack import Container, Postgres, Redis, Stack, WebApp
db, cache, second = Postgres("db"), Redis("cache"), Redis("second")
fixed = Container("fixed", image="example.org/fixed@{THREE}")
web = WebApp("web", source="app", uses=[db, cache, second])
tool = Container("tool", image="example.org/tool:1")
stack = Stack("shop", [web, db, cache, second, fixed, tool], groups={{"tools": [tool]}})
"""
IMAGES = ("postgres:18", "redis:8", "example.org/tool:1")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    return Settings(tmp_path / "shop.py", None, tmp_path / "state", "compose", tmp_path / "registry")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What registries were asked for; they have the digest TWO of each image."""
    found: list[Sequence[str]] = []

    def newest(self: ComposeEngine, images: Sequence[str]) -> Mapping[str, str]:
        found.append(images)
        return dict.fromkeys(images, TWO)

    monkeypatch.setattr(ComposeEngine, "newest", newest)
    return found


def test_update_pins_each_image_once_those_of_groups_too(settings: Settings, asked: list[Sequence[str]]) -> None:
    data = update(settings, Silence()).data
    assert [each.image for each in data.images] == [*IMAGES]
    assert {each.image: each.components for each in data.images}["redis:8"] == ("cache", "second")
    assert (data.changes, data.written) == (True, True)
    assert read_pins(settings.file.parent) == dict.fromkeys(IMAGES, TWO)
    assert not update(settings, Silence()).data.changes
    assert len(asked) == 2


def test_update_of_a_component_leaves_the_pins_of_others(settings: Settings, asked: list[Sequence[str]]) -> None:
    write_pins(settings.file.parent, dict.fromkeys(IMAGES, ONE))
    update(settings, Silence(), ["second"])
    assert asked == [["redis:8"]]
    assert read_pins(settings.file.parent) == {"postgres:18": ONE, "redis:8": TWO, "example.org/tool:1": ONE}


@pytest.mark.usefixtures("asked")
def test_a_dry_run_writes_nothing_and_ends_with_3_for_what_is_newer(settings: Settings) -> None:
    report = update(settings, Silence(), dry_run=True)
    assert (report.exit_code, report.data.changes, report.data.written) == (3, True, False)
    assert not (settings.file.parent / LOCK_FILE).exists()
    write_pins(settings.file.parent, dict.fromkeys(IMAGES, TWO))
    assert update(settings, Silence(), dry_run=True).exit_code == 0


@pytest.mark.usefixtures("asked")
def test_a_component_that_is_not_there_is_refused(settings: Settings) -> None:
    with pytest.raises(StackError, match="'nothing' is not a component of shop"):
        update(settings, Silence(), ["nothing"])


def test_the_playground_has_no_lock_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stack file of its own"):
        update(Settings(PLAYGROUND, None, tmp_path), Silence())


def test_what_is_pinned_runs_by_its_digest_and_nothing_else_changes(settings: Settings) -> None:
    before = render.images(look(settings).instance)
    write_pins(settings.file.parent, {"redis:8": ONE})
    after = render.images(look(settings).instance)
    assert after == before | {"cache": f"redis:8@{ONE}", "second": f"redis:8@{ONE}"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[images", "Expected ']'"),
        ('[images]\n"redis:8" = "latest"\n', "redis:8: 'latest' is not a digest"),
        ('[images]\n"redis:8" = "sha256:12"\n', "is not a digest"),
        ('[images]\n"redis:8" = 8\n', "redis:8: 8 is not a digest"),
        ("images = []\n", r"it has one table, \[images\]"),
        ("[other]\n", r"it has one table, \[images\]"),
    ],
)
def test_a_lock_file_that_is_wrong_is_named_with_the_reason(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    with pytest.raises(StackError, match=problem) as raised:
        read_pins(tmp_path)
    assert raised.value.code == "lock-invalid"
    assert str(tmp_path / LOCK_FILE) in raised.value.message


def test_a_lock_file_of_bytes_or_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(StackError, match="utf-8"):
        read_pins(tmp_path)
    (tmp_path / LOCK_FILE).unlink()
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(StackError, match="directory"):
        read_pins(tmp_path)


def test_what_is_written_is_sorted_toml_that_all_may_read(tmp_path: Path) -> None:
    path = write_pins(tmp_path, {"redis:8": TWO, 'a"b': ONE})
    assert [*tomllib.loads(path.read_text())["images"]] == ['a"b', "redis:8"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("image", "listed"),
    [
        ("redis", "redis:latest"),
        ("docker.io/library/redis:8", "redis:8"),
        ("localhost:5000/redis", "localhost:5000/redis:latest"),
        (f"redis:8@{ONE}", f"redis@{ONE}"),
        (f"localhost:5000/team/redis:8@{ONE}", f"localhost:5000/team/redis@{ONE}"),
        (f"localhost:5000/redis@{ONE}", f"localhost:5000/redis@{ONE}"),
    ],
)
def test_docker_lists_an_image_by_this_name(image: str, listed: str) -> None:
    assert answers.tagged(image) == listed


def test_a_reference_gets_its_digest_and_loses_it_again() -> None:
    assert unpinned(pinned("localhost:5000/redis:8", {"localhost:5000/redis:8": ONE})) == "localhost:5000/redis:8"
    assert pinned("redis:7", {"redis:8": ONE}) == "redis:7"
