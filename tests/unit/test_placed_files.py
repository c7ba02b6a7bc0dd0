"""The files that are copied to containers, and the folders that they see: read, checked, written and removed."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack import Container, DeclarationError, Stack
from stack.carried import check_contents, check_mounts, read_contents
from stack.contents import Content, Entry
from stack.copies import keep_copies, write_copy
from stack.engines.compose.render import fields
from stack.instance import Instance


def shop(**options: Any) -> Stack:
    return Stack("shop", [Container("box", image="nginx:1.29", **options)])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "a.conf").write_text("a")
    (folder / "conf" / "run").write_text("#!")
    (folder / "conf" / "run").chmod(0o755)
    (folder / ".stackctl" / "shop").mkdir(parents=True)
    return folder


def check(project: Path, stack: Stack) -> None:
    check_contents(stack, project, project / ".stackctl", {})
    check_mounts(stack, project)


def _large(project: Path) -> None:
    (project / "large").write_bytes(bytes(2**20 + 1))


def _link(project: Path) -> None:
    (project / "away").symlink_to("/etc")


def _fifo(project: Path) -> None:
    import os

    os.mkfifo(project / "pipe")


WRONG: dict[str, tuple[dict[str, Any], Callable[[Path], object], str]] = {
    "missing": ({"files": {"b.conf": "/b"}}, str, "shop/box/files/b.conf: {0}/b.conf does not exist"),
    "a pipe": ({"files": {"pipe": "/b"}}, _fifo, "shop/box/files/pipe: {0}/pipe is neither a file nor a folder"),
    "large": (
        {"files": {"large": "/b"}},
        _large,
        "shop/box/files/large: {0}/large is larger than 1 MiB; files= is for configuration",
    ),
    "secrets": (
        {"files": {".stackctl/shop": "/b"}},
        str,
        "shop/box/files/.stackctl/shop: {0}/.stackctl/shop holds the state and the secrets of the instances",
    ),
    "around secrets": (
        {"files": {"../project": "/b"}},
        str,
        "shop/box/files/../project: {0} holds the state and the secrets of the instances",
    ),
    "mount missing": ({"mounts": {"src": "/src"}}, str, "shop/box/mounts/src: {0}/src is not a folder"),
    "mount of a file": (
        {"mounts": {"conf/a.conf": "/a"}},
        str,
        "shop/box/mounts/conf/a.conf: {0}/conf/a.conf is not a folder",
    ),
    "volume in a mount": (
        {"mounts": {"conf": "/srv"}, "volumes": {"modules": "/srv/a/modules"}},
        str,
        "shop/box/mounts/conf: {0}/conf/a/modules does not exist, and a volume has its place there",
    ),
    "mount of a link": (
        {"mounts": {"away": "/a"}},
        _link,
        "shop/box/mounts/away: is refused: it leads to /etc, outside of the project",
    ),
}


@pytest.mark.parametrize(("options", "prepare", "message"), WRONG.values(), ids=WRONG)
def test_what_can_not_be_placed_is_one_error_with_its_path(
    project: Path, options: dict[str, Any], prepare: Callable[[Path], object], message: str
) -> None:
    prepare(project)
    with pytest.raises(DeclarationError) as raised:
        check(project, shop(**options))
    assert raised.value.message == message.format(project)
    assert raised.value.hint != "fix this value in the stack file"


def test_what_is_missing_hinders_no_command_that_only_looks(project: Path) -> None:
    assert read_contents(shop(files={"b.conf": "/b"}), project, project / ".stackctl") == {}


def test_a_folder_is_carried_with_its_programs(project: Path) -> None:
    stack = shop(files={"conf": "/etc/app"}, mounts={".": "/app"})
    check(project, stack)
    (content,) = read_contents(stack, project, project / ".stackctl").values()
    assert content.entries == (Entry("a.conf", b"a"), Entry("run", b"#!", executable=True))
    assert content.is_folder


def test_a_copy_can_be_read_by_any_user_and_is_written_once(tmp_path: Path) -> None:
    folder = Content((Entry("a/b.conf", b"b"), Entry("run", b"#!", executable=True)), is_folder=True)
    write_copy(tmp_path / "one", folder)
    write_copy(tmp_path / "two", Content.of_text("two"))
    write_copy(tmp_path / "two", Content.of_text("another under a name that says what it holds"))
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"one": 0o755, "one/a": 0o755, "one/a/b.conf": 0o444, "one/run": 0o555, "two": 0o444}
    assert (tmp_path / "two").read_text() == "two"
    keep_copies(tmp_path, {"two"})
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    keep_copies(tmp_path / "none", set())


def test_another_content_is_another_declaration_that_names_the_file(project: Path) -> None:
    stack = shop(files={"conf/a.conf": "/a"})
    state = project / ".stackctl"
    instance = Instance("shop", "p", stack, project, state / "shop", {}, contents=read_contents(stack, project, state))
    before = fields(instance)["box"]
    (project / "conf" / "a.conf").write_text("b")
    after = fields(replace(instance, contents=read_contents(stack, project, state)))["box"]
    assert {name for name in before if before[name] != after[name]} == {"content.conf/a.conf"}
    assert (before["configs"], before["content.conf/a.conf"]) == ("/a", Content.of_text("a").digest)
