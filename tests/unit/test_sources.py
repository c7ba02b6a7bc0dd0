"""Which files count as the source of an app, and when they changed."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stack.applied import Files, FileState, changed_files
from stack.errors import DeclarationError
from stack.sources import check_names, check_source, ignore_text, options
from stack.sources import read_files as read_files_beside
from stack.workload import Build

NO_STATE = Path("/nowhere/.stackctl")


def read_files(folder: Path, known: Files, state_root: Path = NO_STATE) -> dict[str, FileState]:
    return read_files_beside(folder, state_root, known, "shop/web/source")


def make(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path, encoding="utf-8")


def test_new_gone_and_changed_files_are_named(tmp_path: Path) -> None:
    make(tmp_path, "app.py", "old.py", "same.py")
    before = read_files(tmp_path, {})
    make(tmp_path, "deep/new.py")
    (tmp_path / "old.py").unlink()
    (tmp_path / "app.py").write_text("other", encoding="utf-8")
    assert changed_files(before, read_files(tmp_path, before)) == ["app.py", "deep/new.py", "old.py"]


def test_a_file_that_was_only_touched_is_the_same(tmp_path: Path) -> None:
    make(tmp_path, "app.py")
    before = read_files(tmp_path, {})
    os.utime(tmp_path / "app.py", (1, 1))
    assert changed_files(before, read_files(tmp_path, before)) == []


def test_a_mode_counts(tmp_path: Path) -> None:
    make(tmp_path, "run.sh")
    before = read_files(tmp_path, {})
    (tmp_path / "run.sh").chmod(0o755)
    assert changed_files(before, read_files(tmp_path, before)) == ["run.sh"]


def test_links_count_as_what_they_say_and_sockets_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert list(read_files(tmp_path, {})) == ["link"]


FILES = ("Dockerfile", "app.py", "docs/a.md", "docs/b.txt", "static/page.css", "deep/er/x.log", "x.log")


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", ".dockerignore Dockerfile app.py deep/er/x.log docs/a.md docs/b.txt static/page.css x.log"),
        ("docs", ".dockerignore Dockerfile app.py deep/er/x.log static/page.css x.log"),
        ("# docs\n/docs/\n", ".dockerignore Dockerfile app.py deep/er/x.log static/page.css x.log"),
        ("*.log", ".dockerignore Dockerfile app.py deep/er/x.log docs/a.md docs/b.txt static/page.css"),
        ("**/*.log", ".dockerignore Dockerfile app.py docs/a.md docs/b.txt static/page.css"),
        ("*\n!*.py\n!static", ".dockerignore Dockerfile app.py static/page.css"),
        ("docs/?.md", ".dockerignore Dockerfile app.py deep/er/x.log docs/b.txt static/page.css x.log"),
        ("docs/[a-b].*", ".dockerignore Dockerfile app.py deep/er/x.log static/page.css x.log"),
    ],
)
def test_what_docker_ignores_does_not_count(tmp_path: Path, rules: str, kept: str) -> None:
    make(tmp_path, *FILES, "__pycache__/app.pyc", ".git/HEAD")
    (tmp_path / ".dockerignore").write_text(rules, encoding="utf-8")
    assert " ".join(read_files(tmp_path, {})) == kept


def test_a_dockerfile_of_another_name_counts_with_its_own_rules(tmp_path: Path) -> None:
    make(tmp_path, "app.py", "notes.md", "docker/web.Dockerfile", "docker/entry.sh")
    (tmp_path / ".dockerignore").write_text("*.md\ndocker\n", encoding="utf-8")
    read = partial(read_files_beside, tmp_path, NO_STATE, {}, "shop/web/source", "docker/web.Dockerfile")
    assert set(read()) == {".dockerignore", "app.py", "docker/web.Dockerfile"}
    (tmp_path / "docker/web.Dockerfile.dockerignore").write_text("app.py\n", encoding="utf-8")
    ours = {"docker/entry.sh", "docker/web.Dockerfile", "docker/web.Dockerfile.dockerignore"}
    assert set(read()) == {".dockerignore", "notes.md", *ours}
    with pytest.raises(DeclarationError, match=r"has no docker/api\.Dockerfile"):
        check_source(tmp_path, "shop/web/source", builds=True, dockerfile="docker/api.Dockerfile")


def test_build_options_count_as_a_file_if_there_are_any() -> None:
    assert options(Build()) == {}
    made = [Build(target="prod"), Build(args={"V": "1"}), Build(args={"V": "2"}), Build(dockerfile="web.Dockerfile")]
    assert len({options(each)["(build options)"].digest for each in made}) == len(made)


def kept(folder: Path, rules: str, *paths: str, state_root: Path = NO_STATE) -> set[str]:
    """Which of `paths` count in a folder with these rules."""
    make(folder, *paths)
    (folder / ".dockerignore").write_text(rules, encoding="utf-8")
    return set(read_files(folder, {}, state_root)) - {".dockerignore"}


LEFT_OUT = (".git/HEAD", ".venv/bin/python", "node_modules/x/a.js", "__pycache__/a.pyc", "deep/node_modules/b/b.js")


def test_what_tools_make_is_left_out_at_any_depth(tmp_path: Path) -> None:
    assert kept(tmp_path, "", "app.py", "deep/.venv/x", *LEFT_OUT) == {"app.py"}


@pytest.mark.parametrize(
    ("rules", "back"),
    [
        ("!node_modules/x", {"node_modules/x/a.js"}),
        ("!**/node_modules", {"node_modules/x/a.js", "deep/node_modules/b/b.js"}),
        ("!.venv/**", {".venv/bin/python"}),
        ("!*/node_modules/?", {"deep/node_modules/b/b.js"}),
        ("!node_modules/x\n**/*.js", set()),
        ("*\n!node_modules/x\n!deep", {"node_modules/x/a.js"}),
        ("*\n!deep", set()),
        ("!**", set()),
        ("!node_modules/x\nnode_modules", set()),
    ],
)
def test_only_a_line_that_names_it_brings_back_what_tools_make(tmp_path: Path, rules: str, back: set[str]) -> None:
    assert kept(tmp_path, rules, *LEFT_OUT) == back


@pytest.mark.parametrize("rules", ["", "!**", "!.stackctl", "!**/.stackctl/**", "*\n!states", "!states/shop/secrets"])
def test_no_line_brings_back_the_state_of_an_instance(tmp_path: Path, rules: str) -> None:
    paths = (".stackctl/shop/secrets/p", "deep/.stackctl/other/secrets/p", "states/shop/secrets/p")
    assert kept(tmp_path, rules, *paths, state_root=tmp_path / "states") == set()


def test_the_state_is_left_out_whatever_its_folder_is_called(tmp_path: Path) -> None:
    odd = "it's [odd] *?\\ \u00fc #!"
    assert kept(tmp_path, "!**", "a.py", f"{odd}/shop/p", state_root=tmp_path / odd) == {"a.py"}


def test_the_state_is_left_out_of_a_source_that_is_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    make(real, "app.py", "states/shop/p")
    (tmp_path / "link").symlink_to(real)
    assert set(read_files(tmp_path / "link", {}, real / "states")) == {"app.py"}


@pytest.mark.parametrize("source", ["states", "states/shop"])
def test_a_source_within_the_state_is_refused(tmp_path: Path, source: str) -> None:
    make(tmp_path / "states" / "shop", "app.py")
    with pytest.raises(DeclarationError, match="holds the state and the secrets") as raised:
        read_files(tmp_path / source, {}, tmp_path / "states")
    assert "STACKCTL_STATE" in raised.value.hint


def test_the_rules_of_a_dockerfile_go_before_those_of_its_folder(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "b.py")
    (tmp_path / "Dockerfile.dockerignore").write_text("b.py")
    assert kept(tmp_path, "a.py", "a.py", "b.py") == {"a.py", "Dockerfile.dockerignore"}


def test_the_folders_that_tools_make_are_not_even_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "app.py", "node_modules/deep/er/a.js", ".venv/lib/b")
    looked: list[str] = []
    scan = os.scandir

    def look(path: Any) -> object:
        looked.append(str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", look)
    read_files(tmp_path, {})
    assert looked == [str(tmp_path)]


def test_rules_that_are_no_text_are_refused_or_read_as_bytes(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"caf\xe9\nb.py\n")
    make(tmp_path, "b.py")
    assert set(read_files(tmp_path, {})) == {".dockerignore"}
    (tmp_path / ".dockerignore").unlink()
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(DeclarationError, match=r"\.dockerignore: Is a directory"):
        read_files(tmp_path, {})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gone", "does not exist"),
        ("a-file", "is not a folder"),
        ("loop", "is not a folder"),
        ("empty", "has no Dockerfile"),
    ],
)
def test_a_source_that_nothing_can_be_made_of_is_told(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeclarationError, match=f"shop/web/source: {tmp_path / name} {problem}"):
        check_source(tmp_path / name, "shop/web/source", builds=True)
    if name == "empty":
        check_source(tmp_path / name, "shop/web/source", builds=False)


def test_the_rules_end_with_the_state(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("# ours\n*.log\n!node_modules/x\n")
    lines = ignore_text(tmp_path, tmp_path / "states", "shop/web/source").splitlines()
    assert lines == [
        "*.log", "**/.git", "**/.venv", "**/node_modules", "**/__pycache__", "!node_modules/x",
        "**/.stackctl", "/states",
    ]  # fmt: skip


def test_a_name_that_is_no_text_counts_and_can_go_into_no_image(tmp_path: Path) -> None:
    (tmp_path / "f\udcff").touch()
    files = read_files(tmp_path, {})
    assert list(files) == ["f\udcff"]
    with pytest.raises(DeclarationError, match=r"shop/web/source: the name 'f\\udcff' is not UTF-8"):
        check_names(files, "shop/web/source")
