"""The generated project is a plain Compose project: it validates, and plain `docker compose` works on it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli

pytestmark = pytest.mark.docker

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.compose.yaml"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.name)
def test_compose_accepts_it_without_a_warning(file: Path) -> None:
    checked = subprocess.run(
        ["docker", "compose", "--file", file, "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) >= 10


def shell(cli: Cli, script: str) -> str:
    """Run a script in a user's shell, with `stackctl` on its path as a function."""
    stackctl = " ".join(f"'{word}'" for word in cli.arguments())
    ended = subprocess.run(
        ["bash", "-euc", f'stackctl() {{ {stackctl} "$@"; }}\n{script}'],
        capture_output=True, text=True, cwd=cli.folder, env=cli.whole_environment, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended
    return ended.stdout


def test_plain_docker_compose_shows_the_same_number(kept: Cli) -> None:
    count = kept.visit()
    start = 'eval "$(stackctl env)"\n'
    sql = "SELECT * FROM visit_counter;"
    rows = shell(kept, start + f'docker compose exec -T db psql -U student -d student_notes -c "{sql}"')
    assert "homepage |" in rows
    assert f" {count} |" in rows
    assert shell(kept, start + "docker compose exec -T cache redis-cli GET visit_counter:homepage") == f"{count}\n"
    assert "web" in shell(kept, start + "docker compose ps --services")


def test_reset_leaves_nothing(cli: Cli) -> None:
    cli.up()
    project = cli.data("env")["COMPOSE_PROJECT_NAME"]
    announced = cli.ok("reset", "--yes").stderr
    assert f"{project}_db-pgdata" in announced
    label = f"label=com.docker.compose.project={project}"
    for listing in (["ps", "--all"], ["network", "ls"], ["volume", "ls"], ["image", "ls"]):
        command = ["docker", *listing, "--quiet", "--filter", label]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "", listing
    assert not cli.state.exists()


def test_what_an_earlier_declaration_made_is_removed(new_cli: Callable[..., Cli], tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    head = "from stack import Postgres, Redis, Stack\n"
    file.write_text(head + 'stack = Stack("shop", [Redis("cache"), Postgres("db")])\n', encoding="utf-8")
    cli = new_cli(file=file)
    cli.ok("up")
    project = cli.data("env")["COMPOSE_PROJECT_NAME"]
    file.write_text(head + 'stack = Stack("shop", [Redis("cache")])\n', encoding="utf-8")
    cli.ok("up")
    assert set(cli.data("status")["components"]) == {"cache"}
    volumes = ["docker", "volume", "ls", "--quiet", "--filter", f"name={project}"]
    kept = subprocess.run(volumes, capture_output=True, text=True, check=True).stdout
    assert kept == f"{project}_db-pgdata\n", "`up` never deletes data"
    cli.ok("reset", "--yes")
    assert subprocess.run(volumes, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.long
def test_an_offline_server_that_never_started_blocks_nothing(cli: Cli) -> None:
    """What a `snapshot restore` leaves that is killed, with its Compose, in between."""
    cli.up()
    cli.ok("snapshot", "save", "saved")
    project = cli.data("env")["COMPOSE_PROJECT_NAME"]
    label = f"--label com.docker.compose.project={project}"
    spare = f"{project}_db-pgdata.2"
    shell(
        cli,
        f"""eval "$(stackctl env)"
        docker volume create {label} {spare}
        docker create --name {project}-db-beside {label} --label com.docker.compose.oneoff=True \\
            --volume {spare}:/data "$(docker inspect --format '{{{{.Image}}}}' "$(docker compose ps --quiet db)")"
        """,
    )
    cli.ok("snapshot", "restore", "saved", "--yes")
    assert f"{project}-db-beside" not in shell(cli, "docker ps --all --format '{{.Names}}'")
    assert cli.visit() == 1
