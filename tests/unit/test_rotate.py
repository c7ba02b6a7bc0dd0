"""What a rotation tells PostgreSQL, keeps meanwhile, and restarts."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from stack.capabilities import Completed
from stack.commands.rotate import text_of
from stack.components.postgres import Postgres
from stack.components.postgres.password import scram
from stack.components.webapp import WebApp
from stack.engines.compose import mounts
from stack.engines.compose.driver import ComposeEngine
from stack.instance import Instance
from stack.model import Stack
from stack.observed import ComponentState, Observed, together
from stack.record import Record
from stack.state import State
from stack.workflow.choosing import Choice
from stack.workflow.identities import secret_digests
from stack.workflow.opened import Opened
from stack.workflow.rotation import Rotated, to_restart
from tests.unit.fake_engine import FakeEngine, World


def test_a_verifier_has_the_form_that_postgresql_keeps_and_no_password() -> None:
    made = scram("s3cret")
    assert re.fullmatch(r"SCRAM-SHA-256\$4096:[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}", made)
    assert "s3cret" not in made
    assert scram("s3cret") != made, "each has its own salt"


def test_who_was_interrupted_carries_on_with_the_same_password(tmp_path: Path) -> None:
    state = State(tmp_path / "shop")
    state.provide_secret("db_password")
    old = state.secret("db_password").reveal()
    coming = state.coming_secret("db_password")
    assert coming not in (old, "")
    assert state.coming_secret("db_password") == coming
    assert state.secret("db_password").reveal() == old
    inode = (state.folder / "secrets" / "db_password").stat().st_ino
    state.settle_secret("db_password")
    assert state.secret("db_password").reveal() == coming
    assert (state.folder / "secrets" / "db_password").stat().st_ino == inode, "a container sees the file, not its name"
    assert not state.has_coming_secret("db_password")
    assert state.coming_secret("db_password") != coming


def opened(folder: Path, *apps: WebApp) -> Opened:
    """A stack whose state has a secret of each database."""
    stack = Stack("shop", [*apps, DB, ORDERS])
    state = State(folder / "shop")
    for secret in stack.secrets("container"):
        state.provide_secret(secret.id)
    instance = Instance("shop", "stackctl-shop-abc", stack, folder, state.folder, {})
    engine = FakeEngine(World(), instance, like=ComposeEngine)
    return Opened(instance, state, engine, Record("stackctl-shop-abc", {}), Choice("compose", ""))


DB, ORDERS = Postgres("db"), Postgres("orders")
READS_ONCE = WebApp("worker", source=".", port=1, uses=[DB, ORDERS])
READS_AGAIN = WebApp("web", source=".", port=2, uses=[DB], rereads_secrets=True)


def test_only_an_app_that_reads_its_secrets_once_is_restarted(tmp_path: Path) -> None:
    shop = opened(tmp_path, READS_ONCE, READS_AGAIN)
    why = to_restart(shop, [DB], stale={}, before={}, now=secret_digests(shop))
    assert list(why) == ["worker"]
    assert "requests in flight end" in why["worker"]


def test_a_component_that_holds_a_deleted_file_is_restarted(tmp_path: Path) -> None:
    shop = opened(tmp_path, READS_AGAIN)
    why = to_restart(shop, [DB], stale={"db": "gone", "web": "gone"}, before={}, now=secret_digests(shop))
    assert why == {"web": "gone", "db": "gone"}


def test_what_reads_another_secret_that_was_replaced_is_restarted(tmp_path: Path) -> None:
    shop = opened(tmp_path, READS_ONCE, READS_AGAIN)
    before = {"db_password": "before", "orders_password": "before"}
    why = to_restart(shop, [DB], stale={}, before=before, now=secret_digests(shop))
    assert list(why) == ["worker", "orders"], "db has its password from inside, and web reads it again"
    assert why["orders"] == "the secret orders_password changed"


@pytest.mark.parametrize(
    ("apps", "restarted", "said"),
    [
        ([], (), "db has another password; no app uses it"),
        ([READS_AGAIN], (), "db has another password; web uses it"),
        ([READS_AGAIN, READS_ONCE], ("worker",), "db has another password; web and worker use it"),
    ],
)
def test_the_report_names_the_apps(tmp_path: Path, apps: list[WebApp], restarted: tuple[str, ...], said: str) -> None:
    first, *others = text_of(opened(tmp_path, *apps), DB, Rotated(("db",), restarted)).splitlines()
    assert first == said
    assert bool(others) == bool(restarted)
    assert all("rereads_secrets=True" in others[-1] and restarted[0] in others[0] for _ in restarted)


def test_an_app_that_holds_the_password_is_not_told_to_read_it_again(tmp_path: Path) -> None:
    holds_it = WebApp("web", source=".", uses=[DB], environment={"DATABASE_URL": DB.url})
    said = text_of(opened(tmp_path, holds_it), DB, Rotated(("db",), ("web",)))
    assert "restarted: web" in said
    assert "rereads_secrets" not in said


RUNNING = ComponentState("", "running", "none", 0, 0, False, None, "")
ANSWERS = {"same": "$SHA  /run/secrets/db_password\n", "another": "0000  /run/secrets/db_password\n"}


@pytest.mark.parametrize(
    ("db", "web", "stale"),
    [
        ("same", ["same"], set()),
        ("another", ["same"], {"db"}),
        ("same", ["another"], {"web"}),
        ("same", ["cannot tell"], set()),
        ("another", ["cannot tell"], {"db", "web"}),
        ("same", ["same", "same"], set()),
        ("same", ["same", "another"], {"web"}),
        ("same", ["cannot tell", "another"], {"web"}),
        ("another", ["cannot tell", "same"], {"db"}),
        ("another", ["cannot tell", "cannot tell"], {"db", "web"}),
        ("another", [], {"db"}),
    ],
)
def test_a_container_that_sees_another_file_is_found(tmp_path: Path, db: str, web: list[str], stale: set[str]) -> None:
    shop = opened(tmp_path, READS_AGAIN)
    value = shop.state.secret("db_password").reveal()
    # What each replica says, by its id.
    says = {"db": db} | {f"web-{number}": each for number, each in enumerate(web)}
    ended = replace(RUNNING, id="web-ended", state="exited")
    replicas = [*(replace(RUNNING, id=f"web-{number}", number=number) for number in range(len(web))), ended]
    observed = Observed({"db": replace(RUNNING, id="db"), "web": together(replicas, 2), "gone": RUNNING})

    def ask(name: str, state: ComponentState, command: list[str]) -> Completed:
        assert command == ["sha256sum", "/run/secrets/db_password"]
        if says[state.id] == "cannot tell":
            return Completed(127, "", "there is no sha256sum")
        return Completed(0, ANSWERS[says[state.id]].replace("$SHA", hashlib.sha256(value.encode()).hexdigest()), "")

    assert mounts.stale(shop.instance, observed, ask) == stale
