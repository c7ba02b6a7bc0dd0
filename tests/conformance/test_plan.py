"""`plan` says what `up` will do, changes nothing, and `up` does exactly that."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_docker_at_length, on_one_engine

Make = Callable[..., Cli]

# The bundled stack with another environment for its app, from a folder of its own.
STACK = """\
from dataclasses import replace
from stack import Postgres, Redis, Stack
from stack.playground import cache, db, web

db = replace(db, user={user!r}, migrations={source!r} + "/migrations")
web = replace(web, source={source!r}, environment={environment!r})
stack = Stack("playground", [web, db, cache{more}])
"""


class Declared:
    """A stack file that a test changes, and the folder of its app."""

    def __init__(self, folder: Path) -> None:
        from stack.playground import web
        from stack.settings import PLAYGROUND

        self.file = folder / "shop.py"
        self.source = folder / "service"
        shutil.copytree(PLAYGROUND.parent / str(web.source), self.source, ignore=shutil.ignore_patterns("__pycache__"))
        self.write()

    def write(self, more: str = "", user: str = "student", **environment: object) -> None:
        text = STACK.format(user=user, source=str(self.source), environment=environment, more=more)
        self.file.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    return tmp_path_factory.mktemp("plan")


@pytest.fixture(scope="module")
def declared(folder: Path) -> Declared:
    return Declared(folder)


@pytest.fixture(scope="module")
def up(folder: Path, declared: Declared, engine: str) -> Any:
    """An instance that is up, for tests that leave it up and as declared."""
    cli = Cli(folder, file=declared.file, engine=engine)
    try:
        cli.up()
        yield cli
    finally:
        cli.reset()


def kinds(plan: Mapping[str, Any]) -> dict[str, str]:
    return {action["component"]: action["action"] for action in plan["actions"]}


def why(plan: Mapping[str, Any], component: str) -> dict[str, Any]:
    (action,) = [action for action in plan["actions"] if action["component"] == component]
    return dict(action)


def ids(cli: Cli) -> dict[str, object]:
    """When each component was started; one that was touched has another time."""
    components = cli.data("status")["components"]
    return {name: component["since"] for name, component in components.items() if component["since"]}


def whole_state(cli: Cli) -> object:
    """Everything that the engine and stackctl have of an instance."""
    files = {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in cli.state.rglob("*")
        if path.is_file() and "embedded" not in path.parts
    }
    docker: list[str] = []
    if cli.engine == "compose":
        for kind in ("ps --all --no-trunc", "volume ls", "network ls --no-trunc", "image ls --all --no-trunc"):
            words = [
                "docker",
                *kind.split(),
                "--filter",
                f"label=stackctl.instance={cli.instance}",
                "--format",
                "{{json .}}",
            ]
            lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
            docker += sorted(_steady(json.loads(line)) for line in lines)
    return files, docker, ids(cli)


def _steady(entry: dict[str, Any]) -> str:
    """What stays the same while nobody changes anything; the order of labels is not."""
    known = ("ID", "Name", "Names", "Image", "Tag", "CreatedAt")
    kept: dict[str, Any] = {key: entry[key] for key in known if key in entry}
    return json.dumps(kept | {"labels": sorted(entry.get("Labels", "").split(","))})


def test_a_new_instance_is_planned_and_nothing_is_made(new_cli: Make, declared: Declared) -> None:
    cli = new_cli(file=declared.file)
    plan = cli.data("plan")
    assert kinds(plan) == {"web": "create", "db": "create", "cache": "create"}
    assert [data["effect"] for data in plan["data"]] == ["create"]
    assert cli.run("plan", "--exit-code").exit_code == 3
    assert not cli.state.exists()
    assert cli.data("status")["state"] == "absent"


def test_what_is_as_declared_has_nothing_to_do(up: Cli) -> None:
    up.visit()
    result = up.ok("plan", "--exit-code")
    assert "`up` would change nothing" in result.stdout
    assert "is kept (1 row, " in result.stdout
    before = ids(up)
    assert up.up()["changed"] is False
    assert ids(up) == before


def test_a_plan_changes_nothing_whatever_it_says(up: Cli, declared: Declared) -> None:
    declared.write(CACHE_TTL=61)
    try:
        before = whole_state(up)
        assert up.data("plan")["changes"] is True
        assert whole_state(up) == before
    finally:
        declared.write()


def test_up_does_what_the_plan_says_field_by_field_and_nothing_else(up: Cli, declared: Declared) -> None:
    declared.write(CACHE_TTL=62)
    plan = up.data("plan")
    assert kinds(plan) == {"web": "recreate", "db": "keep", "cache": "keep"}
    assert why(plan, "web")["differences"] == [{"field": "environment.CACHE_TTL", "before": None, "after": "62"}]
    before = ids(up)
    assert kinds(up.up()["plan"]) == kinds(plan)
    after = ids(up)
    assert {name for name in after if after[name] != before[name]} == {"web"}
    declared.write(CACHE_TTL=63)
    assert "~ web: recreate\n    ~ environment CACHE_TTL 62 → 63\n" in up.ok("plan").stdout
    declared.write()
    assert why(up.data("plan"), "web")["differences"][0]["after"] is None
    up.up()


@on_docker_at_length
def test_a_secret_in_an_environment_is_never_shown(up: Cli, declared: Declared) -> None:
    declared.write(API_TOKEN="very-secret-1")
    up.up()
    declared.write(API_TOKEN="very-secret-2")
    for words in (["plan"], ["plan", "--json"], ["up"]):
        result = up.ok(*words)
        assert "very-secret" not in result.stdout + result.stderr
    declared.write()
    up.up()


STOP = {
    "compose": [["docker", "compose", "stop", "cache"]],
    "embedded": [["supervisorctl", "stop", "cache"]],
    "swarm": [["docker", "service", "scale", "--detach", "{service}=0"]],
}
REMOVE = {
    "compose": [["docker", "compose", "rm", "--stop", "--force", "cache"]],
    "embedded": [["supervisorctl", "stop", "cache"], ["supervisorctl", "remove", "cache"]],
    "swarm": [["docker", "service", "rm", "{service}"]],
}


def by_hand(cli: Cli, commands: Sequence[Sequence[str]]) -> None:
    """Run the engine's own tools; on a Swarm `{service}` stands for the service of the cache."""
    environment = cli.whole_environment | cli.data("env")
    service = _service_of_cache(cli, environment) if cli.on_a_swarm else ""
    for words in commands:
        with_service = [word.format(service=service) for word in words]
        subprocess.run(with_service, env=environment, check=True, capture_output=True)


def _service_of_cache(cli: Cli, environment: Mapping[str, str]) -> str:
    words = ["docker", "service", "ls", "--filter", f"label=stackctl.instance={cli.instance}", "--format", "{{.Name}}"]
    names = subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.split()
    (name,) = [name for name in names if name.endswith("_cache")]
    return name


def test_what_was_stopped_by_hand_is_drift(up: Cli) -> None:
    by_hand(up, STOP[up.engine])
    action = why(up.data("plan"), "cache")
    assert (action["action"], action["drift"]) == ("start", True)
    up.up()
    assert up.pending() == []


def test_what_was_removed_by_hand_is_drift(up: Cli) -> None:
    by_hand(up, REMOVE[up.engine])
    action = why(up.data("plan"), "cache")
    assert (action["action"], action["drift"], action["reasons"]) == ("create", True, ["it was removed by hand"])
    up.up()
    assert up.pending() == []


def test_what_was_changed_by_hand_is_drift_and_made_good(up: Cli) -> None:
    if up.engine == "compose":
        container = up.data("env")["COMPOSE_PROJECT_NAME"] + "-cache-1"
        subprocess.run(
            ["docker", "update", "--memory", "96m", "--memory-swap", "96m", container], check=True, capture_output=True
        )
        expected = {"field": "mem_limit", "before": "96m", "after": "128m"}
    elif up.on_a_swarm:
        by_hand(up, [["docker", "service", "update", "--quiet", "--limit-memory", "96m", "{service}"]])
        expected = {"field": "deploy.resources.limits.memory", "before": "96M", "after": "128M"}
    else:
        conf = Path(up.data("env")["PATH"].split(":")[0]).parent / "conf" / "supervisord.conf"
        text = conf.read_text(encoding="utf-8")
        start = text.index("[program:cache]")
        conf.write_text(text[:start] + text[start:].replace("startsecs = 1", "startsecs = 2", 1), encoding="utf-8")
        expected = {"field": "configuration", "before": "edited by hand", "after": "generated"}
    action = why(up.data("plan"), "cache")
    assert (action["action"], action["drift"], action["differences"]) == ("recreate", True, [expected])
    up.up()
    assert up.pending() == []


@on_docker_at_length
def test_stop_and_down_are_no_drift(up: Cli) -> None:
    up.ok("stop")
    plan = up.data("plan")
    assert kinds(plan) == {"web": "start", "db": "start", "cache": "start"}
    assert not any(action["drift"] for action in plan["actions"])
    up.ok("down")
    plan = up.data("plan")
    assert kinds(plan) == {"web": "create", "db": "create", "cache": "create"}
    assert not any(action["drift"] for action in plan["actions"])
    assert [data["effect"] for data in plan["data"]] == ["keep"]
    up.up()


def test_a_component_more_and_less(up: Cli, declared: Declared) -> None:
    declared.write(more=', Redis("extra")')
    assert kinds(up.data("plan")) == {"web": "keep", "db": "keep", "cache": "keep", "extra": "create"}
    before = ids(up)
    up.up()
    assert {name: since for name, since in ids(up).items() if name in before} == before
    declared.write()
    action = why(up.data("plan"), "extra")
    assert (action["action"], action["reasons"], action["drift"]) == ("remove", ["it is no longer declared"], False)
    up.up()
    assert set(up.data("status")["components"]) == {"web", "db", "cache"}


@on_docker_at_length
def test_source_that_changed_is_named_and_runs_after_up(up: Cli, declared: Declared) -> None:
    module = declared.source / "routes.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    action = why(up.data("plan"), "web")
    assert action["action"] == ("restart" if up.engine == "embedded" else "rebuild")
    assert action["reasons"] == ["its source changed: routes.py"]
    before = ids(up)
    up.up()
    after = ids(up)
    assert {name for name in after if after[name] != before[name]} == {"web"}
    assert up.pending() == []


@on_one_engine
def test_a_saved_plan_is_applied_only_while_it_holds(up: Cli, declared: Declared, tmp_path: Path) -> None:
    saved = tmp_path / "next.json"
    declared.write(CACHE_TTL=64)
    up.ok("plan", "--output", str(saved))
    by_hand(up, STOP[up.engine])
    error = up.fails("up", "--plan", str(saved), code="plan-stale")
    assert "cache: start" in error["output"]
    up.ok("plan", "--output", str(saved))
    assert up.data("up", "--plan", str(saved))["changed"] is True
    assert up.fails("up", "--plan", str(saved), code="plan-stale")
    assert up.fails("up", "--plan", str(tmp_path / "none.json"), code="file-unusable")
    (tmp_path / "odd.json").write_text("{}", encoding="utf-8")
    assert up.fails("up", "--plan", str(tmp_path / "odd.json"), code="file-unusable")
    declared.write()
    up.up()


@on_docker_at_length
def test_what_fails_leaves_what_ran_or_puts_it_back(up: Cli, declared: Declared) -> None:
    count = up.visit()
    declared.write(CACHE_TTL="never")
    error = up.run("up", "--rollback", "--json").error
    assert error["code"] in ("crash-loop", "component-exited"), error
    assert "what ran before runs again" in error["hint"]
    assert eventually(lambda: up.get()[1].get("visits")) == count + 1
    assert up.data("plan")["changes"] is True, "what is declared is still what fails"
    declared.write()
    up.up()
    assert up.pending() == []


@on_one_engine
def test_a_password_that_does_not_fit_the_data_stops_up_before_anything(up: Cli, declared: Declared) -> None:
    count = up.visit()
    up.ok("down")
    secret = up.state / "secrets" / "db_password"
    right = secret.read_text(encoding="utf-8")
    secret.chmod(0o600)  # as whoever puts a file back may do
    secret.write_text("another", encoding="utf-8")
    error = up.fails("up", code="password-mismatch")
    assert " rotate db" in error["hint"]
    assert up.data("plan")["obstacle"]["code"] == "password-mismatch"
    assert up.data("status")["state"] == "absent"
    secret.write_text(right, encoding="utf-8")
    declared.write(user="teacher")
    error = up.fails("up", code="data-differs")
    assert "'student'" in error["message"]
    assert up.data("status")["state"] == "absent"
    declared.write()
    up.up()
    assert up.visit() == count + 1
