"""What is kept of a good revision has no secret of the state in it, and comes back with those that hold now."""

from __future__ import annotations

from pathlib import Path

from stack import Parameter, Postgres, Stack, Worker
from stack.engines.swarm import files
from stack.engines.variables import with_secrets
from stack.instance import Instance, default_ports
from stack.parameters import Given
from stack.state import State

DB = Postgres("db")
KEY = Parameter("KEY", secret=True)
WORKER = Worker("worker", source=".", uses=[DB], command=["work"], environment={"URL": DB.url, "KEY": KEY})
STACK = Stack("shop", [WORKER, DB])


def test_a_kept_value_has_the_password_that_holds_when_it_is_used(tmp_path: Path) -> None:
    shop = Instance(
        "shop", "p", STACK, tmp_path, tmp_path, default_ports(STACK), parameters={"KEY": Given("given", "")}
    )
    state = State(tmp_path)
    state.provide_secret("db_password")
    password = state.secret("db_password").reveal()
    kept = files.given_values(shop, ["worker"], marked=True)
    assert not [text for text in kept.values() if password in text]
    assert {name: with_secrets(shop, text) for name, text in kept.items()} == files.given_values(shop, ["worker"])
    new = state.coming_secret("db_password")
    state.settle_secret("db_password")
    values = [with_secrets(shop, text) for text in kept.values()]
    assert sorted(values) == sorted(["given", f"postgresql://app:{new}@db:5432/app"])
