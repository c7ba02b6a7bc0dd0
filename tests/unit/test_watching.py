"""Which component a changed file concerns, and which places can be watched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stack import DeclarationError, WebApp
from stack.settings import Settings
from stack.workflow.opening import look
from stack.workflow.watched import Changes, Watched, files_in, watched

SHOP = """
from stack import Container, Job, Postgres, Stack, WebApp, Worker
db = Postgres("db")
web = WebApp("web", source="app", uses=[db], env_files=["web.env"])
worker = Worker("worker", of=web, command=["work"])
docs = WebApp("docs", source="docs", port=8001, watch=["docs/pages", "shared"])
quiet = WebApp("quiet", source="app", port=8002, watch=[])
seen = Container("seen", image="nginx", mounts={"html": "/html"}, files={"nginx.conf": "/etc/nginx.conf"})
own = Container("own", image="nginx", mounts={"html": "/html"}, writable_mounts=True)
stack = Stack("shop", [web, worker, docs, quiet, seen, own, db])
"""
FOLDERS = ("app/inner", "app/node_modules/x", "docs/pages", "shared", "html", "app/.git")


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Watched]:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("app", "docs"):
        (tmp_path / folder / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app" / ".dockerignore").write_text("*.log\n")
    for name, text in {"shop.py": SHOP, "web.env": "A=1\n", "nginx.conf": ""}.items():
        (tmp_path / name).write_text(text)
    settings = Settings(tmp_path / "shop.py", None, tmp_path / ".stackctl", "compose", tmp_path / "registry")
    return tmp_path, watched(look(settings), settings)


def changes(place: tuple[Path, Watched], *names: str) -> Changes:
    folder, found = place
    return found.changes(folder / name for name in names)


CONCERNED: Mapping[str, Mapping[str, set[str]]] = {
    "app/app.py": {"web": {"source"}, "worker": {"source"}},
    "app/inner/deep.py": {"web": {"source"}, "worker": {"source"}},
    "app/trace.log": {},
    "app/node_modules/x/index.js": {},
    "app/.git/HEAD": {},
    "app/__pycache__/app.pyc": {},
    "app/.app.py.swp": {},
    "app/app.py~": {},
    "docs/pages/a.md": {"docs": {"source"}},
    "docs/style.css": {},
    "shared/words.txt": {"docs": {"mount"}},
    "html/index.html": {"seen": {"mount"}},
    "nginx.conf": {"seen": {"file"}},
    "elsewhere.txt": {},
    ".stackctl/shop/record.json": {},
}


@pytest.mark.parametrize("name", CONCERNED)
def test_a_changed_file_concerns_what_it_is_part_of(place: tuple[Path, Watched], name: str) -> None:
    found = changes(place, name)
    shown = {component: set(kinds) for component, kinds in found.components.items() if component != "worker"}
    wanted = {component: kinds for component, kinds in CONCERNED[name].items() if component != "worker"}
    assert shown == wanted
    assert bool(found) == bool(wanted)
    assert not found.declared


@pytest.mark.parametrize("name", ["shop.py", ".env", "stack.lock", "web.env"])
def test_what_a_declaration_is_read_from_is_part_of_it(place: tuple[Path, Watched], name: str) -> None:
    assert changes(place, name).declared


def test_what_is_ignored_from_now_on_concerns_nothing(place: tuple[Path, Watched]) -> None:
    folder, found = place
    restless = folder / "app" / "made.txt"
    assert found.changes([restless])
    assert not found.changes([restless], [restless])


def test_no_folder_is_watched_whose_files_concern_nothing(place: tuple[Path, Watched]) -> None:
    folder, found = place
    names = {str(path.relative_to(folder)) for path in found.folders()}
    assert {"app", "app/inner", "docs/pages", "shared", "html", "."} <= names
    assert not [name for name in names if "node_modules" in name or ".git" in name or ".stackctl" in name]


def test_the_files_of_a_new_folder_are_found_inside_of_it(tmp_path: Path) -> None:
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "new" / ".git").mkdir()
    for name in ("a", "deep/b", ".git/c"):
        (tmp_path / "new" / name).write_text("")
    assert {str(path.relative_to(tmp_path / "new")) for path in files_in(tmp_path / "new")} == {"a", "deep/b"}


@pytest.mark.parametrize(
    ("watch", "problem"),
    [
        (["../other"], "web/watch/../other: is refused: it is outside of the project"),
        (["/etc"], "web/watch//etc: is refused: it is outside of the project"),
        (["~/x"], "is refused: it is outside of the project"),
        ("src", "web/watch: 'src' is not a list"),
        ([3], "web/watch"),
        ([""], "web/watch"),
        (["a\0b"], "web/watch"),
    ],
)
def test_what_can_not_be_watched_is_refused(watch: object, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        WebApp("web", source="app", watch=watch)  # type: ignore[arg-type]


def test_a_path_is_kept_once_and_plain() -> None:
    assert WebApp("web", source="app", watch=["./src/", "src", "a/../b"]).watch == ("src", "b")
