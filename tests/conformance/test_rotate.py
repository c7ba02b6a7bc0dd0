"""Another password, while it serves; and a lost one that is made anew from inside."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.cli import Cli, eventually

Make = Callable[..., Cli]


def password(cli: Cli) -> str:
    return (cli.state / "secrets" / "db_password").read_text(encoding="utf-8")


def with_password(cli: Cli, value: str) -> int:
    """Whether PostgreSQL takes a password over the network, as the exit code of psql says."""
    host = "db" if cli.engine == "compose" else "$PGHOST"
    script = f'PGPASSFILE=/dev/null PGPASSWORD={value} psql -w -h "{host}" -U student -d student_notes -c "SELECT 1"'
    return cli.run("exec", "db", "--", "sh", "-c", script).exit_code


def test_a_rotation_loses_no_request(cli: Cli) -> None:
    cli.up()
    old = password(cli)
    statuses: list[int] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            statuses.append(cli.get()[0])

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    before = cli.data("status")["components"]["web"]["since"]
    try:
        for _ in range(2):
            cli.ok("rotate", "db")
    finally:
        seen = len(statuses)
        eventually(lambda: len(statuses) > seen + 20)
        over.set()
        for visitor in visitors:
            visitor.join(30)
    assert set(statuses) == {200}
    assert cli.data("status")["components"]["web"]["since"] == before, "the app reads its secret again by itself"
    assert password(cli) != old
    assert with_password(cli, password(cli)) == 0
    assert with_password(cli, old) != 0
    assert cli.visit() == len(statuses) + 1
    assert cli.data("plan")["changes"] is False
    cli.ok("down")
    cli.up()
    assert cli.visit() == len(statuses) + 2


def test_a_lost_password_is_made_anew_from_inside(cli: Cli) -> None:
    cli.up()
    count = cli.visit()
    cli.ok("down")
    (cli.state / "secrets" / "db_password").unlink()
    assert "stackctl rotate db" in cli.fails("up", code="secret-lost")["hint"]
    cli.ok("rotate", "db")
    assert cli.visit() == count + 1
    assert cli.data("plan")["changes"] is False


def test_a_rotation_that_was_cut_off_is_carried_on_by_up(cli: Cli) -> None:
    cli.up()
    count = cli.visit()
    old = password(cli)
    # As after a kill between PostgreSQL and the file: PostgreSQL has the new one already.
    cli.ok("rotate", "db")
    new = password(cli)
    secrets = cli.state / "secrets"
    (secrets / "db_password").chmod(0o644)
    (secrets / "db_password").write_text(old, encoding="utf-8")
    (secrets / "db_password.next").write_text(new, encoding="utf-8")
    cli.up()
    assert password(cli) == new
    assert not (secrets / "db_password.next").exists()
    assert cli.visit() == count + 1


def test_what_has_no_password_is_told(cli: Cli) -> None:
    assert "is a Redis" in cli.fails("rotate", "cache", code="usage", exit_code=2)["message"]
    assert cli.fails("rotate", "db", code="instance-down")
