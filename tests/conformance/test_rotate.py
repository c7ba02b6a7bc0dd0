"""Another password, while it serves; and a lost one that is made anew from inside."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.cli import Cli, eventually
from tests.conformance.engines import on_a_server_at_length, on_docker_at_length, on_one_engine

Make = Callable[..., Cli]


def password(cli: Cli) -> str:
    return (cli.state / "secrets" / "db_password").read_text(encoding="utf-8")


def with_password(cli: Cli, value: str) -> int:
    """Whether PostgreSQL takes a password over the network, as the exit code of psql says."""
    host = "127.0.0.1" if cli.engine == "embedded" else "db"
    script = f'PGPASSFILE=/dev/null PGPASSWORD={value} psql -w -h "{host}" -U student -d student_notes -c "SELECT 1"'
    return cli.run("exec", "db", "--", "sh", "-c", script).exit_code


@on_a_server_at_length
def test_a_rotation_loses_no_request(kept: Cli) -> None:
    old, count = password(kept), kept.visit()
    statuses: list[int] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            statuses.append(kept.get()[0])

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    before = kept.data("status")["components"]["web"]["since"]
    try:
        for _ in range(2):
            kept.ok("rotate", "db")
    finally:
        seen = len(statuses)
        eventually(lambda: len(statuses) > seen + 20)
        over.set()
        for visitor in visitors:
            visitor.join(30)
    assert set(statuses) == {200}
    assert kept.data("status")["components"]["web"]["since"] == before, "the app reads its secret again by itself"
    assert password(kept) != old
    assert with_password(kept, password(kept)) == 0
    assert with_password(kept, old) != 0
    assert kept.visit() == count + len(statuses) + 1
    assert kept.pending() == []
    kept.ok("down")
    kept.up()
    assert kept.visit() == count + len(statuses) + 2


def test_a_lost_password_is_replaced_from_inside(kept: Cli) -> None:
    count = kept.visit()
    kept.ok("down")
    (kept.state / "secrets" / "db_password").unlink()
    assert " rotate db" in kept.fails("up", code="secret-lost")["hint"]
    kept.ok("rotate", "db")
    assert kept.visit() == count + 1
    assert kept.pending() == []


@on_docker_at_length
def test_secrets_deleted_while_it_runs_are_replaced(kept: Cli) -> None:
    count = kept.visit()
    # The folder stays: on the engine that mounts single files, these are what a container holds on to.
    for secret in (kept.state / "secrets").iterdir():
        secret.unlink()
    hint = kept.fails("up", code="secret-lost")["hint"]
    assert " rotate db" in hint
    rotated = kept.data("rotate", "db")
    assert "web" in rotated["restarted"]
    assert kept.visit() == count + 1
    assert with_password(kept, password(kept)) == 0
    assert kept.data("rotate", "db")["restarted"] == [], "what was recreated sees the file again"
    assert kept.visit() == count + 2
    assert kept.pending() == []


@on_one_engine
def test_a_lost_secret_of_a_cache_is_replaced_by_up(kept: Cli) -> None:
    (kept.state / "secrets" / "cache_password").unlink()
    assert kept.up()["changed"] is True
    kept.visit()
    assert kept.data("inspect", "cache")["value"] is not None


@on_one_engine
def test_a_rotation_that_was_cut_off_is_carried_on_by_up(kept: Cli) -> None:
    count = kept.visit()
    old = password(kept)
    # As after a kill between PostgreSQL and the file: PostgreSQL has the new one already.
    kept.ok("rotate", "db")
    new = password(kept)
    secrets = kept.state / "secrets"
    (secrets / "db_password").chmod(0o644)
    (secrets / "db_password").write_text(old, encoding="utf-8")
    (secrets / "db_password.next").write_text(new, encoding="utf-8")
    kept.up()
    assert password(kept) == new
    assert not (secrets / "db_password.next").exists()
    assert kept.visit() == count + 1


def test_what_has_no_password_is_told(cli: Cli) -> None:
    assert "is a Redis" in cli.fails("rotate", "cache", code="usage", exit_code=2)["message"]
    assert cli.fails("rotate", "db", code="instance-down")
