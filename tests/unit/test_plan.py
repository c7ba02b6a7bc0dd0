"""What a plan says, for each way in which the declaration, what was made and what is there can differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from stack.applied import Applied, Files, FileState, Wanted
from stack.comparison import Declared, find_migration_conflict, make_plan
from stack.fields import Fields, fingerprint, flatten, is_hidden
from stack.migrations import Migration
from stack.observed import ComponentState, Observed
from stack.plan import Action, DataEffect, Difference, Plan
from stack.workload import VolumeId

WEB: Fields = {"image": "web:1", "environment.CACHE_TTL": "30", "mem_limit": "512m"}
DB: Fields = {"image": "postgres:18"}
DECLARED = Declared({"web": WEB, "db": DB}, stores={VolumeId("db"): "p_db-pgdata"})
MADE = Applied(wanted="up", components=["web", "db"], fields={fingerprint(WEB): WEB, fingerprint(DB): DB})

ROTATED = replace(MADE, secrets={"db_password": "old"})
BUILT = replace(MADE, sources={"web": {}})


def files(*names: str) -> Files:
    return {name: FileState(1, 1, 0o644, f"digest of {name}") for name in names}


def component(fields: Fields, **changes: object) -> ComponentState:
    since = datetime(2026, 1, 2, tzinfo=UTC)
    state = ComponentState("id", "running", "healthy", 0, 0, False, since, "web:1", image_id="sha256:1")
    return replace(state, declaration=fingerprint(fields), **changes)  # type: ignore[arg-type]


def observed(stores: frozenset[str] = frozenset({"p_db-pgdata"}), **components: ComponentState) -> Observed:
    return Observed(components, images=dict.fromkeys(components, "sha256:1"), stores=stores)


THERE = observed(web=component(WEB), db=component(DB))


def plan(declared: Declared = DECLARED, made: Applied = MADE, there: Observed = THERE) -> Plan:
    return make_plan("playground", "compose", declared, made, there)


def of_web(declared: Declared = DECLARED, made: Applied = MADE, there: Observed = THERE) -> Action:
    return plan(declared, made, there).actions[0]


def test_what_is_as_declared_is_kept() -> None:
    assert plan().changes == ()
    assert [str(action) for action in plan().actions] == ["web: keep", "db: keep"]


def test_a_new_instance_is_made_with_empty_data() -> None:
    made = plan(made=Applied(), there=observed(frozenset()))
    assert [str(action) for action in made.actions] == [
        "web: create, because it is not there yet",
        "db: create, because it is not there yet",
    ]
    assert made.data == (DataEffect("p_db-pgdata", "create"),)


def test_a_field_that_differs_is_named_with_both_values() -> None:
    now = {**WEB, "environment.CACHE_TTL": "60", "environment.MODE": "fast"}
    del now["mem_limit"]
    action = of_web(replace(DECLARED, components={"web": now, "db": DB}))
    assert action.differences == (
        Difference("environment.CACHE_TTL", "30", "60"),
        Difference("environment.MODE", None, "fast"),
        Difference("mem_limit", "512m", None),
    )
    assert str(action) == (
        "web: recreate, because environment CACHE_TTL 30 → 60; environment MODE is new: fast; mem_limit is gone: 512m"
    )
    assert not action.drift


@pytest.mark.parametrize("name", ["API_KEY", "DB_PASSWORD", "DB_PASSWD", "ACCESS_TOKEN", "app_secret"])
def test_a_value_that_may_be_a_secret_is_shown_as_changed(name: str) -> None:
    before, after = {f"environment.{name}": "old-one"}, {f"environment.{name}": "new-one"}
    made = Applied(wanted="up", fields={fingerprint(before): before})
    action = of_web(Declared({"web": after}), made, observed(web=component(before)))
    assert str(action) == f"web: recreate, because environment {name} changed"
    assert [action.differences[0].shown(value) for value in ("old-one", "new-one", None)] == ["***", "***", None]


def test_the_path_of_a_secret_is_none() -> None:
    assert not is_hidden("environment.DB_PASSWORD_FILE")


@pytest.mark.parametrize(
    ("there", "action"),
    [
        (observed(db=component(DB)), "web: create, because it was removed by hand"),
        (observed(), "web: create, because everything was removed by hand"),
        (
            observed(web=component(WEB, state="exited", exit_code=3), db=component(DB)),
            "web: start, because it does not run: exited (3)",
        ),
        (
            observed(web=component(WEB, live={"mem_limit": "256m"}), db=component(DB)),
            "web: recreate, because it was changed by hand; mem_limit 256m → 512m",
        ),
        (
            observed(web=component({"image": "other"}), db=component(DB)),
            "web: recreate, because it was made from a declaration that is not known here",
        ),
    ],
)
def test_a_manual_change_is_drift(there: Observed, action: str) -> None:
    found = of_web(there=there)
    assert (str(found), found.drift) == (action, True)


def test_only_what_the_engine_would_overlook_is_forced() -> None:
    changed = observed(web=component(WEB, live={"mem_limit": "256m"}), db=component(DB))
    assert plan(there=changed).forced == {"web"}
    assert plan(replace(DECLARED, secrets={"db_password": "new"}, reads={"web": ["db_password"]}), ROTATED).forced == {
        "web"
    }
    assert plan(replace(DECLARED, sources={"web": files("app.py")}, builds=False), BUILT).forced == {"web"}
    assert plan(replace(DECLARED, sources={"web": files("app.py")}), BUILT).forced == frozenset()
    assert plan(replace(DECLARED, components={"web": {"image": "web:2"}, "db": DB})).forced == frozenset()


@pytest.mark.parametrize(("wanted", "reason"), [("stopped", "it is stopped"), ("down", "it was taken down")])
def test_what_a_command_of_ours_did_is_no_drift(wanted: Wanted, reason: str) -> None:
    state = observed(web=component(WEB, state="exited")) if wanted == "stopped" else observed()
    found = of_web(made=replace(MADE, wanted=wanted), there=state)
    assert (found.why, found.drift) == (reason, False)


def test_what_is_no_longer_declared_goes_and_its_data_stays() -> None:
    there = observed(frozenset({"p_db-pgdata"}), web=component(WEB), db=component(DB), odd=component({"x": "y"}))
    made = plan(Declared({"web": WEB}), MADE, there)
    assert [str(action) for action in made.changes] == [
        "db: remove, because it is no longer declared",
        "odd: remove, because it was added by hand and is not declared",
    ]
    assert [action.drift for action in made.changes] == [False, True]
    assert made.data == (DataEffect("p_db-pgdata", "keep", "nothing that is declared uses it"),)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["app.py"], "its source changed: app.py"),
        (["a", "b", "c", "d", "e"], "its source changed: a, b, c and 2 more"),
    ],
)
def test_source_that_changed_is_built_or_started_again(names: list[str], why: str) -> None:
    built = of_web(replace(DECLARED, sources={"web": files(*names)}), BUILT)
    assert (built.kind, built.why, built.builds) == ("rebuild", why, True)
    run = of_web(replace(DECLARED, sources={"web": files(*names)}, builds=False), BUILT)
    assert (run.kind, run.why, run.builds) == ("restart", why, False)


def test_source_that_was_never_built_is_built() -> None:
    built = of_web(replace(DECLARED, sources={"web": files("app.py")}))
    assert (built.kind, built.why, built.builds) == ("rebuild", "its source was not built yet", True)
    run = of_web(replace(DECLARED, sources={"web": files("app.py")}, builds=False))
    assert run.kind == "keep"


def test_a_change_of_declaration_and_source_is_built_too() -> None:
    action = of_web(replace(DECLARED, components={"web": {"image": "web:2"}}, sources={"web": files("app.py")}))
    assert (action.kind, action.builds) == ("recreate", True)


def test_a_newly_pulled_image_is_used() -> None:
    there = replace(THERE, images={"web": "sha256:2", "db": "sha256:1"})
    assert str(of_web(there=there)) == "web: recreate, because the image web:1 is another one now"


def test_fields_are_flat_text() -> None:
    nested = {"environment": {"A": "1"}, "cpus": 2.0, "cpus_more": 0.5, "command": ["sh", "-c", "echo 'x'"], "pids": 3}
    assert flatten(nested) == {
        "environment.A": "1", "cpus": "2", "cpus_more": "0.5", "command": "sh -c 'echo '\"'\"'x'\"'\"''", "pids": "3",
    }  # fmt: skip


def test_a_mount_with_options_is_shown_as_any_other() -> None:
    def mounts(store: str) -> str:
        mount = {"type": "volume", "source": store, "target": "/my media", "volume": {"nocopy": True}}
        state = {"type": "tmpfs", "target": "/app/.stackctl", "read_only": True}
        return flatten({"volumes": ["index:/index", mount, state]})["volumes"]

    assert str(Difference("volumes", mounts("media"), mounts("media.2"))) == (
        "volumes index:/index 'media:/my media' /app/.stackctl → index:/index 'media.2:/my media' /app/.stackctl"
    )
    assert str(Difference("volumes", None, "data:/data")) == "volumes is new: data:/data"


def test_what_an_up_that_failed_never_made_was_not_removed_by_hand() -> None:
    (web, db) = plan(made=replace(MADE, components=["db"]), there=observed(db=component(DB))).actions
    assert (str(web), web.drift) == ("web: create, because it is not there yet", False)
    assert db.kind == "keep"
    nothing = plan(made=replace(MADE, components=[]), there=observed())
    assert [each.drift for each in nothing.actions] == [False, False]


@pytest.mark.parametrize(
    "declared",
    [
        replace(DECLARED, extensions={"db": ("vector",)}),
        replace(DECLARED, users={"db": "student"}),
        replace(DECLARED, migrations={"db": [Migration("1_notes.sql", b"")]}),
    ],
)
def test_what_is_done_in_a_database_is_something_to_do(declared: Declared) -> None:
    assert plan(declared).changes == ()
    assert plan(declared).something
    assert plan(declared).prepared == {"db"}
    assert not plan().something


FIRST, SECOND = Migration("1_notes.sql", b"SELECT 1"), Migration("2_tags.sql", b"SELECT 2")
WITH_MIGRATIONS = replace(DECLARED, migrations={"db": [FIRST, SECOND]})


def test_a_database_gets_the_migrations_that_it_lacks() -> None:
    made = replace(MADE, migrations={"db": {FIRST.name: FIRST.checksum, "0_gone.sql": "x"}})
    found = plan(WITH_MIGRATIONS, made)
    assert found.migrations == {"db": (SECOND.name,)}
    assert found.missing == {"db": ("0_gone.sql",)}
    assert found.unsure == frozenset()


def test_of_data_that_is_gone_no_migration_counts_as_applied() -> None:
    made = replace(MADE, migrations={"db": {FIRST.name: FIRST.checksum}}, extensions={"db": ["vector"]})
    declared = replace(WITH_MIGRATIONS, extensions={"db": ["vector"]}, users={"db": "student"})
    found = plan(declared, made, observed(frozenset()))
    assert found.migrations == {"db": (FIRST.name, SECOND.name)}
    assert found.extensions == {"db": ("vector",)}
    assert found.superusers == {}


def test_migrations_of_data_without_a_record_are_unsure() -> None:
    assert plan(WITH_MIGRATIONS).unsure == {"db"}


def test_an_edited_migration_is_a_conflict_and_none_is_planned() -> None:
    made = replace(MADE, migrations={"db": {FIRST.name: "edited"}})
    assert plan(WITH_MIGRATIONS, made).migrations == {}
    conflict = find_migration_conflict(WITH_MIGRATIONS, made, THERE)
    assert conflict is not None
    assert conflict.code == "migration-edited"
    assert find_migration_conflict(WITH_MIGRATIONS, MADE, THERE) is None


def test_a_plan_of_the_same_values_is_the_same_and_opens_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan is made of values only")

    declared = replace(
        WITH_MIGRATIONS, sources={"web": files("app.py")}, secrets={"p": "new"}, reads={"web": ["p"]}, users={"db": "u"}
    )
    made = replace(BUILT, secrets={"p": "old"})
    for name in ("builtins.open", "io.open", "os.open", "os.stat", "subprocess.Popen", "socket.socket"):
        monkeypatch.setattr(name, refuse)
    first, second = plan(declared, made), plan(declared, made)
    monkeypatch.undo()
    assert first == second
    assert first.something
