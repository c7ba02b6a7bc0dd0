"""Files of variables: what they give to whom, what wins, where each is from, and that no value is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stack import Container, DeclarationError, Job, Stack, WebApp, Worker
from stack.commands.bundle import _secrets
from stack.commands.env import env_of
from stack.commands.plan import plan
from stack.comparison import changed_secrets
from stack.engines.compose import files
from stack.engines.compose import render as compose
from stack.engines.compose.driver import ComposeEngine
from stack.engines.variables import given_variables
from stack.errors import StackError
from stack.observed import Observed
from stack.report import envelope
from stack.settings import Settings
from stack.workflow.env_files import with_env_files
from stack.workflow.identities import secret_digests
from stack.workflow.opening import look
from stack.workflow.planning import secrets_read

SHOP = """
from stack import Postgres, Stack, WebApp, Worker
db = Postgres("db")
web = WebApp("web", source="app", command=["serve"], uses=[db], environment={"PAGE": "home"},
             env_files=["web.env", "conf/both.env"])
worker = Worker("worker", of=web, command=["work"], env_files=["worker.env"], environment={"ROLE": "worker"})
other = WebApp("other", source="app", command=["serve"], port=8001)
stack = Stack("shop", [web, worker, other, db], groups={"side": [other]})
"""
FILES = {
    "web.env": "# of the app\nTOKEN='hunter2 $HOME'\nPAGE=file\nexport LOG=debug\nDB_HOST=elsewhere\nPORT=9999\n",
    "conf/both.env": 'LOG=info\nTEXT="two\nlines"\nURL=http://${HOST_NAME}/$TOKEN\nGIVEN\nABSENT\n',
    "worker.env": "ROLE=file\nLOG=trace\n",
}


def shop(folder: Path, engine: str = "compose", **changed: str) -> Settings:
    for name, text in {**FILES, "shop.py": SHOP, ".env": "HOST_NAME=from.env\n", **changed}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "Dockerfile").write_text("FROM scratch\n")
    variables = {"GIVEN": "by the shell", "TOKEN": "of the shell"}
    return Settings(folder / "shop.py", None, folder / "state", engine, folder / "registry", variables=variables)


def values(settings: Settings, name: str) -> dict[str, str]:
    instance = look(settings).instance
    target = "container" if settings.engine == "compose" else "process"
    found = given_variables(instance, target, lambda value, reveal: reveal(value))  # type: ignore[arg-type]
    return dict(found.get(name) or {})


@pytest.mark.parametrize("engine", ["compose", "embedded"])
def test_the_last_file_counts_and_what_is_declared_before_all(tmp_path: Path, engine: str) -> None:
    assert values(shop(tmp_path, engine), "web") == {
        "TOKEN": "hunter2 $HOME",
        "LOG": "info",
        "DB_HOST": "elsewhere",
        "TEXT": "two\nlines",
        "URL": "http://from.env/of the shell",
        "GIVEN": "by the shell",
    }


def test_a_worker_has_those_of_its_app_and_its_own(tmp_path: Path) -> None:
    found = values(shop(tmp_path), "worker")
    assert (found["TOKEN"], found["LOG"]) == ("hunter2 $HOME", "trace")
    assert "ROLE" not in found
    assert values(shop(tmp_path), "other") == {}


def test_each_variable_tells_its_line_and_no_value(tmp_path: Path) -> None:
    report = env_of(shop(tmp_path), "web")
    shown = {name: (each.value, each.origin, each.secret) for name, each in report.data.variables.items()}
    assert shown["TOKEN"] == ("***", "web.env line 2", True)
    assert shown["LOG"] == ("***", "conf/both.env line 1", True)
    assert shown["URL"] == ("***", "conf/both.env line 4", True)
    assert shown["DB_HOST"] == ("***", "web.env line 5", True)
    assert shown["PAGE"] == ("home", "declared", False)
    assert shown["PORT"] == ("8000", "set by stackctl", False)
    assert report.data.variables["DB_HOST"].components == ()
    assert "hunter" not in report.text + envelope(report)


def test_no_value_is_rendered_or_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ComposeEngine, "observe_all", lambda engine: Observed({}))
    settings = shop(tmp_path)
    opened = look(settings)
    files.write_configuration(opened.instance)
    written = opened.instance.variables_file("web")
    assert written.stat().st_mode & 0o777 == 0o600
    assert 'TOKEN="hunter2 \\$HOME"\n' in written.read_text()
    fields = compose.fields(opened.instance)["web"]
    assert (fields["environment.TOKEN"], fields["environment.LOG"]) == ("***", "***")
    report = plan(settings)
    for shown in (compose.render(opened.instance), json.dumps(fields), report.text, envelope(report)):
        assert "hunter" not in shown
    assert "hunter2 $HOME" in list(_secrets(opened))


def test_a_change_names_the_variable_and_the_components_that_have_it(tmp_path: Path) -> None:
    before = look(shop(tmp_path))
    after = look(shop(tmp_path, **{"web.env": FILES["web.env"].replace("hunter2", "hunter3")}))
    changed = changed_secrets(secrets_read(after), secret_digests(before), secret_digests(after))
    assert changed == {"web": ["TOKEN of web.env"], "worker": ["TOKEN of web.env"]}
    moved = look(shop(tmp_path, **{"web.env": f"# a comment\n{FILES['web.env']}"}))
    assert changed_secrets(secrets_read(moved), secret_digests(before), secret_digests(moved)) == {}


def test_a_variable_that_is_taken_away_is_no_secret_any_more(tmp_path: Path) -> None:
    settings = shop(tmp_path, **{"web.env": "", "conf/both.env": ""})
    assert values(settings, "web") == {}
    assert compose.fields(look(settings).instance)["web"]["environment.DB_HOST"] == "db"


BROKEN: Mapping[str, tuple[str, str, str]] = {
    "missing": ("", "declaration-invalid", "shop/web/env_files/web.env: {0}/web.env does not exist"),
    "no assignment": ("A B\n", "parameter-invalid", "{0}/web.env:1: is not NAME=VALUE"),
    "open quotation": ("A=1\nB='hunter\n", "parameter-invalid", "{0}/web.env:2: begins a quotation that does not end"),
    "NUL": ("A=1\nB=a\0b\n", "parameter-invalid", "{0}/web.env:2: B holds a NUL byte, which no variable can"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_can_not_be_read_is_one_error(tmp_path: Path, case: str) -> None:
    text, code, message = BROKEN[case]
    settings = shop(tmp_path, **{"web.env": text})
    if not text:
        (tmp_path / "web.env").unlink()
    for command in (lambda: plan(settings), lambda: env_of(settings, "web")):
        with pytest.raises(StackError) as raised:
            command()
        assert (raised.value.code, raised.value.message) == (code, message.format(tmp_path))
        assert raised.value.exit_code == 2
    assert look(settings).instance.stack.names, "what only looks is not hindered"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    settings = shop(tmp_path)
    (tmp_path / "web.env").unlink()
    (tmp_path / "web.env").mkdir()
    with pytest.raises(DeclarationError, match=r"web\.env is not a file"):
        plan(settings)


def box(**options: Any) -> Container:
    return Container("box", image="nginx:1.29", **options)


WRONG: Mapping[str, Callable[[], object]] = {
    "box/env_files: 'a.env' is not a list": lambda: box(env_files="a.env"),
    "box/env_files: {'a.env': 1} is not a list": lambda: box(env_files={"a.env": 1}),
    "box/env_files: 7 is not the path of a file, like 'backend.env'": lambda: box(env_files=[7]),
    "box/env_files: '' is not the path of a file, like 'backend.env'": lambda: box(env_files=[""]),
    "box/env_files: 'a.env' is listed twice": lambda: box(env_files=["a.env", "a.env"]),
    "box/env_files: {'path': 'a.env'} is not the path of a file, like 'backend.env'": lambda: box(
        env_files=[{"path": "a.env"}]
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_value_is_told_with_its_path(message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        WRONG[message]()
    assert str(raised.value) == message


def test_a_file_of_what_is_off_is_not_needed(tmp_path: Path) -> None:
    text = SHOP.replace("port=8001", 'port=8001, env_files=["absent.env"]')
    opened = look(shop(tmp_path, **{"shop.py": text}))
    assert opened.parameters.problem is None
    assert opened.instance.stack.off == {"other": "side"}
    assert opened.instance.stack.given.keys() == {"web", "worker"}


def test_every_kind_of_program_has_them_and_nothing_is_read_without() -> None:
    web = WebApp("web", image="web", env_files=["a.env"])
    job, worker = Job("job", of=web, command=["x"]), Worker("worker", image="web", env_files=["b.env"])
    assert (job.variable_files, worker.variable_files, box().variable_files) == (("a.env",), ("b.env",), ())
    stack = Stack("shop", [box()])
    assert with_env_files(Settings(Path("/none/shop.py"), None, Path("/none")), stack) == (stack, None)
