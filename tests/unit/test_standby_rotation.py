"""A rotation gives a standby another password too, and waits for one without which nothing is acknowledged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack import Container, Postgres
from stack.capabilities import Completed
from stack.commands.rotate import text_of
from stack.components.postgres.replication import PostgresReplication
from stack.errors import StackError
from stack.fields import fingerprint
from stack.progress import Silence
from stack.state import State
from stack.verdict.watch import Verdict
from stack.workflow import rotation
from stack.workflow.identities import secret_digests
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.planning import compute_plan
from stack.workflow.rotation import Rotated, finish_rotations, rotate_all
from tests.unit.fake_engine import Store, World
from tests.unit.test_failover import RUNS, FakeStandbys, opened
from tests.unit.test_interrupted_up import found_ready

DB = Postgres("db", standby=True)
WEB = Container("web", image="nginx:1.29", uses=[DB])
FOLLOWS = {"state": "streaming", "sync": "sync", "behind": 0, "seconds": 0}
SECRETS = ("db_password", "db_standby")


def said(standby: dict[str, Any] | None) -> Completed:
    return Completed(0, json.dumps({"armed": True, "waiting": 0, "standby": standby}), "")


@pytest.fixture
def world() -> World:
    return World(answer=said(FOLLOWS))


@pytest.fixture
def shop(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """An instance that is up, with a primary and its standby."""
    monkeypatch.setattr(rotation, "await_ready", found_ready)
    shop = opened(tmp_path, FakeStandbys(), world, DB, WEB)
    for secret in shop.instance.stack.secrets("container"):
        shop.state.provide_secret(secret.id)
    world.stores |= {store: Store(18, "") for store in shop.engine.volumes.declared().values()}
    fields, journal = shop.engine.fields(), Journal(shop.state)
    world.components |= {name: replace(RUNS, declaration=fingerprint(each)) for name, each in fields.items()}
    known = {fingerprint(each): each for each in fields.values()}
    journal.save(replace(journal.applied, wanted="up", fields=known, secrets=secret_digests(shop)))
    return shop


def values(shop: Opened) -> dict[str, str]:
    return {each: shop.state.secret(each).reveal() for each in SECRETS}


def rotate(shop: Opened, timeout: float = 5) -> Rotated:
    return rotate_all(shop, Journal(shop.state), [shop.instance.stack["db"]], Silence(), timeout)


def test_both_servers_start_with_another_password_of_the_standby(shop: Opened) -> None:
    before = values(shop)
    done = rotate(shop)
    assert set(values(shop).values()).isdisjoint(before.values())
    assert set(done.restarted) == {"db", "db-standby", "web"}
    assert Journal(shop.state).applied.secrets == secret_digests(shop)
    told = text_of(shop, shop.instance.stack["db"], done)
    assert "db-standby logs in with another one too" in told


def test_a_rotation_that_was_cut_off_is_carried_on_with_both(shop: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    before, settle = values(shop), State.settle_secret

    def cut_off(state: State, secret_id: str) -> None:
        if secret_id == "db_password":
            raise KeyboardInterrupt
        settle(state, secret_id)

    monkeypatch.setattr(State, "settle_secret", cut_off)
    with pytest.raises(KeyboardInterrupt):
        rotate(shop)
    assert shop.state.has_coming_secret("db_password"), "this is what the next command goes by"
    monkeypatch.setattr(State, "settle_secret", settle)
    finish_rotations(shop, Journal(shop.state), Silence(), 5)
    assert set(values(shop).values()).isdisjoint(before.values())
    assert not any(shop.state.has_coming_secret(each) for each in SECRETS)


def test_what_a_killed_rotation_did_not_restart_is_restarted_by_up(
    shop: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> Verdict:
        raise KeyboardInterrupt

    monkeypatch.setattr(rotation, "await_ready", killed)
    with pytest.raises(KeyboardInterrupt):
        rotate(shop)
    assert not shop.state.has_coming_secret("db_password")
    context = compute_plan(shop, Journal(shop.state).applied)
    assert context.blocker is None, "the data is known to have the new password"
    reasons = {each.target: " ".join(each.reasons) for each in context.plan.changes}
    assert set(reasons) == {"db", "db-standby", "web"}
    assert "db_standby" in reasons["db-standby"]


def test_a_standby_that_is_gone_is_made_before_the_password_changes(shop: Opened, world: World) -> None:
    steps: list[str] = []

    def note(step: str) -> None:
        if step.startswith("apply"):
            steps.append(step)
            world.answer = said(FOLLOWS)

    world.step, world.answer = note, said(None)
    assert set(rotate(shop).restarted) == {"db", "db-standby", "web"}
    assert steps[:2] == ["apply db", "apply db-standby"]


def test_another_standby_is_relied_on_before_the_password_changes(
    shop: Opened, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answer, relied = said({**FOLLOWS, "sync": "async"}), list[str]()

    def protect(replication: PostgresReplication, *_: object) -> None:
        relied.append(replication.standby)
        world.answer = said(FOLLOWS)

    monkeypatch.setattr(PostgresReplication, "protect", protect)
    rotate(shop)
    assert relied[0] == "db-standby"


def test_without_a_standby_that_is_waited_for_no_password_changes(shop: Opened, world: World) -> None:
    world.answer, before = said(None), values(shop)
    with pytest.raises(StackError, match="no standby follows") as raised:
        rotate(shop, timeout=0)
    assert raised.value.code == "standby-late"
    assert values(shop) == before
    assert not any(shop.state.has_coming_secret(each) for each in SECRETS)
