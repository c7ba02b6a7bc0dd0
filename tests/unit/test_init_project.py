"""`init` without a Compose file: what it finds, asks and writes, and what it leaves alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from stack.commands.init_project import init_procfile, init_project
from stack.declaration import load_stack
from stack.errors import StackError, UsageError
from stack.model import Stack
from stack.scaffolding.looking import Found, look_into
from stack.scaffolding.procfile import read_procfile
from stack.scaffolding.templates import TEMPLATES, Data, Kind
from stack.workload import TARGETS
from tests.cli import STACKCTL
from tests.terminal import Screen, answered

KINDS: tuple[Kind, ...] = get_args(Kind)
DATA: tuple[Data, ...] = get_args(Data)


def loaded(folder: Path) -> Stack:
    stack = load_stack(folder / "stackfile.py")
    for name in stack.names:
        for target in TARGETS:
            stack.workload(name, target)
    return stack


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_folder_gets_a_whole_project(tmp_path: Path, kind: Kind, data: Data) -> None:
    result = init_project(tmp_path, kind, "shop", data).data
    stack = loaded(tmp_path)
    stores = {"postgres": {"db"}, "redis": {"cache"}, "both": {"db", "cache"}, "none": set()}[data]
    migrates = {"migrate"} if kind == "django" and "db" in stores else set()
    assert (stack.name, set(stack.names)) == ("shop", {"web", *stores, *migrates})
    names = {str(path.relative_to(tmp_path)) for path in result.written}
    assert names == {*TEMPLATES[kind].files, "Dockerfile", ".gitignore"}
    assert (tmp_path / ".gitignore").read_text() == ".env\n.stackctl/\n"
    assert result.commands == ("stackctl plan", "stackctl up")
    for path in tmp_path.rglob("*.py"):
        compile(path.read_text(), path, "exec")
    words = json.loads(re.findall(r"^CMD (.*)$", (tmp_path / "Dockerfile").read_text(), re.M)[0])
    assert not [word for word in words if "{" in word or "MODULE" in word]
    if kind != "node":
        clients = (tmp_path / "requirements.txt").read_text()
        assert ("psycopg2" in clients, "redis" in clients) == ("db" in stores, "cache" in stores)


FACTORY = "def create_app(config=None):\n    app = Flask(__name__)\n    return app\n"
APPS = {
    "flask": ({"shop/web.py": "from flask import Flask\nsite = Flask(__name__)\n"}, "flask", "shop.web:site"),
    "package": ({"shop/__init__.py": "app = FastAPI(title='x')\n"}, "fastapi", "shop:app"),
    "through its module": ({"app.py": "import flask\napp: flask.Flask = flask.Flask(__name__)\n"}, "flask", "app:app"),
    "factory": ({"shop/__init__.py": FACTORY}, "flask", "shop:create_app()"),
    "factory that is called": (
        {"shop/__init__.py": FACTORY, "wsgi.py": "from shop import create_app\napplication = create_app('prod')\n"},
        "flask",
        "wsgi:application",
    ),
    "factory that needs something": ({"app.py": FACTORY.replace("=None", "")}, None, None),
    "factory of something else": ({"app.py": FACTORY.replace("Flask", "Quart")}, None, None),
    "warned of": ({"app.py": "x = '\\d'\napp = Flask(__name__)\n"}, "flask", "app:app"),
    "another Python": ({"old.py": "print 'x'\n", "app.py": "app = Flask(__name__)\n"}, "flask", "app:app"),
    "django": (
        {"manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.dev")\n'},
        "django",
        "shop.wsgi",
    ),
    "node": ({"package.json": '{"main": "index.js"}'}, "node", "index.js"),
    "node without main": ({"package.json": "[]"}, "node", None),
    "tests only": ({"tests/app.py": "app = Flask('x')\n", ".venv/a.py": "app = Flask('y')\n"}, None, None),
    "nothing": ({}, None, None),
}


@pytest.mark.parametrize("app", APPS)
def test_the_app_that_is_there_is_found(tmp_path: Path, app: str) -> None:
    files, kind, module = APPS[app]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = look_into(tmp_path)
    assert (found.kind, found.module) == (kind, module)


def test_an_app_that_is_there_keeps_its_files(tmp_path: Path) -> None:
    before = {"app.py": "app = Flask(__name__)\n", "requirements.txt": "flask\n", "Dockerfile": "FROM mine\n"}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    (tmp_path / ".gitignore").write_text("*.pyc\n.env")
    result = init_project(tmp_path).data
    assert {name: (tmp_path / name).read_text() for name in before} == before
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\n.env\n.stackctl/\n"
    assert result.notes == ("add gunicorn to requirements.txt: the app is started with it",)
    assert '"app:app"' in (tmp_path / "stackfile.py").read_text()


def test_what_is_not_given_is_asked(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def ask(question: str, default: str, answers: tuple[str, ...]) -> str:
        asked.append((question, default))
        return {"Kind of app": "node", "Name": "My Shop", "Data": "redis"}[question]

    folder = tmp_path / "The Shop"
    folder.mkdir()
    init_project(folder, ask=ask)
    assert asked == [("Kind of app", "flask"), ("Name", "the-shop"), ("Data", "postgres")]
    assert (loaded(folder).name, loaded(folder).names) == ("my-shop", ("web", "cache"))


@pytest.mark.parametrize(
    ("typed", "exit_code", "said", "files"),
    [
        (["\n", "shop\n", "mongo\n", "none\n"], 0, "mongo is none of these: postgres, redis, both, none", 5),
        # Ctrl-D is no answer, and the question keeps its line.
        (["node\n", "\4"], 1, "Name [here]:\nError (cancelled): nothing was written", 0),
        (["\3"], 130, "[flask]: ^C\nError (interrupted): interrupted; nothing was written", 0),
    ],
)
def test_a_question_on_a_terminal_is_answered_or_left(
    tmp_path: Path, typed: list[str], exit_code: int, said: str, files: int
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    ended, shown = answered([*STACKCTL, "init"], typed, "]: ", folder)
    assert (ended, len(list(folder.iterdir()))) == (exit_code, files), shown
    screen = Screen()
    screen.write(shown)
    assert said in screen.text


def test_without_a_terminal_the_kind_has_to_be_clear(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which kind of app"):
        init_project(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["compose.yml", "docker-compose.yml", "Procfile"])
def test_what_says_already_what_an_app_is_made_of_is_pointed_to(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match=f"^{name} says") as raised:
        init_project(tmp_path)
    assert f"`stackctl init --from {name}` converts it" in raised.value.hint
    init_project(tmp_path, "flask")
    assert loaded(tmp_path).names == ("web", "db")


def test_a_stack_file_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "stackfile.py").write_text("mine")
    with pytest.raises(UsageError, match="exists, and stays"):
        init_project(tmp_path, "flask")
    assert [path.name for path in tmp_path.iterdir()] == ["stackfile.py"]
    init_project(tmp_path, "flask", force=True)
    assert loaded(tmp_path).names == ("web", "db")


@pytest.mark.parametrize(("output", "problem"), [("nowhere/s.py", "there is no folder"), (".", "is a folder")])
def test_an_output_that_can_not_be_is_refused(tmp_path: Path, output: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        init_project(tmp_path, "flask", output=Path(output))


FULL = OSError(28, "No space left on device", "stackfile.py")


@pytest.mark.parametrize("before", [None, b"*.pyc", b"\xff\n"])
@pytest.mark.parametrize("problem", [FULL, KeyboardInterrupt()])
def test_a_folder_that_can_not_be_written_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, problem: BaseException
) -> None:
    def refuse(path: Path, text: str) -> None:
        if path.name == "stackfile.py":
            raise problem
        path.write_text(text)

    if before is not None:
        (tmp_path / ".gitignore").write_bytes(before)
    monkeypatch.setattr("stack.commands.init_project._put", refuse)
    with pytest.raises(StackError if problem is FULL else KeyboardInterrupt):
        init_project(tmp_path, "django", data="none")
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == ({} if before is None else {".gitignore": before})


def test_a_folder_in_the_place_of_a_file_is_told_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").mkdir()
    with pytest.raises(StackError, match=r"\.gitignore: Is a directory") as raised:
        init_project(tmp_path, "django", data="none")
    assert raised.value.code == "file-unusable"
    assert [path.name for path in tmp_path.iterdir()] == [".gitignore"]


PROCFILE = """\
# of the app
release: python manage.py migrate
web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT

Mail_Worker: celery -A shop worker "$@"
"""


def test_the_programs_of_a_procfile_are_components(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(PROCFILE)
    init_procfile(tmp_path, Path("Procfile"), data="postgres")
    stack = loaded(tmp_path)
    assert stack.names == ("web", "release", "mail-worker", "db")
    assert stack.jobs == ("release",)
    assert stack.workload("web", "container").words == ("sh", "-c", "gunicorn shop.wsgi --bind 0.0.0.0:$PORT")


def test_a_program_may_have_a_name_that_python_or_a_store_has(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("class: a 'b'\n2nd: c\ndb: d\nstack: e\n")
    init_procfile(tmp_path, Path("Procfile"), data="postgres")
    assert loaded(tmp_path).names == ("class", "s-2nd", "db-2", "stack", "db")


def test_the_redis_of_a_procfile_with_workers_keeps_their_work(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "Procfile").write_text(PROCFILE)
    assert init_procfile(tmp_path, Path("Procfile"), data="redis").data.notes == ()
    stack = loaded(tmp_path)
    assert stack.names == ("web", "release", "mail-worker", "queue")
    (tmp_path / "Procfile").write_text("web: serve\n")
    init_procfile(tmp_path, Path("Procfile"), data="redis", force=True)
    assert loaded(tmp_path).names == ("web", "cache")


def test_a_dockerfile_that_needs_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("app = Flask(__name__)\n")
    (tmp_path / "Procfile").write_text("web: bundle exec puma\n")
    note = "Dockerfile: it is that of a Python app, and needs requirements.txt, which is not there"
    assert note in init_procfile(tmp_path, Path("Procfile")).data.notes
    (tmp_path / "Dockerfile").unlink()
    assert note in init_project(tmp_path, "flask", "shop", "none", force=True).data.notes
    assert note not in init_project(tmp_path, "flask", "shop", "none", force=True).data.notes, "the Dockerfile is there"


def test_a_procfile_without_a_web_has_workers_alone(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("clock: python clock.py\n")
    result = init_procfile(tmp_path, Path("Procfile")).data
    assert loaded(tmp_path).names == ("clock",)
    assert "a Procfile names none" in result.notes[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web gunicorn\n", "Procfile:1: 'web gunicorn' is not NAME: COMMAND"),
        ("web:\n", "is not NAME: COMMAND"),
        ("a b: c\n", "is not NAME: COMMAND"),
        ("web: a\nWeb: b\n", "Procfile:2: Web is there twice"),
        ("", "Procfile names no program"),
        ("# nothing\n", "names no program"),
    ],
)
def test_a_procfile_that_is_wrong_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(StackError, match=problem):
        read_procfile(text, "Procfile")


def test_a_procfile_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_bytes(b"web: \xff\n")
    with pytest.raises(StackError, match="Procfile: it is no text: 'utf-8' codec"):
        init_procfile(tmp_path, Path("Procfile"))
    with pytest.raises(StackError, match=r"^Procfile.none: No such file or directory$"):
        init_procfile(tmp_path, Path("Procfile.none"))


def test_a_folder_with_an_app_is_not_empty(tmp_path: Path) -> None:
    assert Found(None, None, None).empty
    (tmp_path / "requirements.txt").write_text("")
    assert not look_into(tmp_path).empty
