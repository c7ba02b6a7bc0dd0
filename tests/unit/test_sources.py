"""Which files count as the source of an app, and when they changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stack.applied import changed_files
from stack.sources import read_files


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
