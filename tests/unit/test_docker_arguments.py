"""Each command line of `docker` and `docker compose` that an engine runs, compared whole."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack.engines.compose import arguments as compose
from stack.engines.compose import render
from stack.engines.compose.arguments import ONE_OFF, SERVICES, Project, of_project, of_service
from stack.engines.docker import arguments, client
from stack.engines.docker.labels import LABEL_INSTANCE, LABEL_STATE

SHOP = Project("stackctl-shop-abc", Path("/state/compose/compose.yaml"))
OWN = of_project(SHOP.name)
WITHIN = "compose --file /state/compose/compose.yaml --project-name stackctl-shop-abc"
OF_SHOP = "--filter label=com.docker.compose.project=stackctl-shop-abc"
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

DOCKER = {
    "version --format {{.Server.APIVersion}}": arguments.api_version(),
    "info --format '{{json .}}'": arguments.info(),
    "info --format {{.DockerRootDir}}": arguments.info("{{.DockerRootDir}}"),
    "system df --verbose --format '{{json .Volumes}}'": arguments.volume_sizes(),
    "ps --all --quiet": arguments.list_containers(),
    f"ps --all --quiet --filter label=com.docker.compose.oneoff=False {OF_SHOP}": arguments.list_containers(
        SERVICES, OWN
    ),
    f"ps --quiet --filter label=com.docker.compose.oneoff=True {OF_SHOP}": arguments.list_containers(
        ONE_OFF, OWN, stopped=False
    ),
    f"ps --quiet --filter label=com.docker.compose.service=db {OF_SHOP}": arguments.list_containers(
        of_service("db"), OWN, stopped=False
    ),
    f"ps --all {OF_SHOP} --format {{{{.Names}}}}": arguments.list_containers(OWN, layout=arguments.CONTAINER_NAME),
    "ps --filter publish=8000 --format {{.Names}}": arguments.list_containers(
        "publish=8000", layout=arguments.CONTAINER_NAME, stopped=False
    ),
    f"network ls {OF_SHOP} --format {{{{.Name}}}}": arguments.list_networks(OWN),
    f"volume ls {OF_SHOP} --format {{{{.Name}}}}": arguments.list_volumes(OWN),
    "volume ls --format {{.Name}}": arguments.list_volumes(),
    "volume ls --filter label=stackctl.state --format '{{.Name}} {{.Label \"stackctl.state\"}}'": (
        arguments.list_volumes(
            arguments.labelled(LABEL_STATE),
            layout=f"{arguments.NAME} {arguments.label(LABEL_STATE)}",
        )
    ),
    "image ls --format '{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}'": arguments.list_images(
        layout=arguments.IMAGE_TAGS
    ),
    "image ls --quiet --no-trunc --filter label=com.docker.compose.project --filter dangling=true": (
        arguments.list_images(arguments.labelled(render.LABEL_PROJECT), "dangling=true")
    ),
    f"image ls {OF_SHOP} --format {shlex.quote(arguments.IMAGE_NAME)}": arguments.list_images(
        OWN, layout=arguments.IMAGE_NAME
    ),
    "inspect 63be postgres:18": arguments.inspect(["63be", "postgres:18"]),
    "image inspect sha256:1": arguments.inspect(["sha256:1"], "image"),
    "exec --interactive 63be psql -c 'SELECT 1'": arguments.execute("63be", ["psql", "-c", "SELECT 1"]),
    "exec --interactive --tty 63be sh": arguments.execute("63be", ["sh"], terminal=True),
    "volume create --label stackctl.instance=shop --label stackctl.state=/state shop_data": arguments.create_volume(
        "shop_data", {LABEL_INSTANCE: "shop", LABEL_STATE: "/state"}
    ),
    "create --name copy --network none --pull never --label a=b "
    "--mount type=volume,src=shop_data,dst=/data,volume-nocopy redis:8 -": (
        arguments.create_container("copy", "redis:8", "shop_data", "/data", {"a": "b"})
    ),
    """import --change 'LABEL "a"="b\\"c"' - empty:latest""": arguments.import_image("empty:latest", {"a": 'b"c'}),
    "cp copy:/data/. -": arguments.copy_out("copy", "/data"),
    "cp - copy:/data": arguments.copy_in("copy", "/data"),
    "image tag web web:good": arguments.tag("web", "web:good"),
    "container rm --force 63be 7f00": arguments.remove_containers(["63be", "7f00"]),
    "volume rm old older": arguments.remove_volumes(["old", "older"]),
    "network rm old older": arguments.remove_networks(["old", "older"]),
}
COMPOSE = {
    "stop": SHOP.stop(),
    "stop web db": SHOP.stop(["web", "db"]),
    "down --remove-orphans": SHOP.down(),
    "down --remove-orphans --volumes --rmi local --timeout 0": SHOP.down(data=True),
    "build": SHOP.build(),
    "pull --quiet db cache": SHOP.pull(["db", "cache"]),
    "up --detach --no-build --remove-orphans --quiet-pull": SHOP.up(),
    "up --detach --no-build --quiet-pull --no-deps db cache": SHOP.up(["db", "cache"], orphans=False),
    "up --detach --no-build --remove-orphans --quiet-pull --no-deps db web": SHOP.up(["db", "web"]),
    "up --detach --no-build --remove-orphans": SHOP.up_again(),
    "up --detach --no-build --remove-orphans --no-deps web": SHOP.up_again(["web"]),
    "create --no-build --no-recreate --remove-orphans": SHOP.remove_orphans(),
    "start": SHOP.start(),
    "up --detach --no-build --no-recreate --no-deps db web": SHOP.start(["db", "web"]),
    "rm --stop --force web": SHOP.remove(["web"]),
    "logs --no-color --tail all --timestamps": SHOP.logs([], None),
    "logs --no-color --tail 100 --no-log-prefix web": SHOP.logs(["web"], 100, named=False),
    "logs --no-color --tail all --timestamps web --since 2026-01-02T03:04:05Z": SHOP.logs(["web"], None, SINCE),
    "logs --no-color --tail 5 --timestamps web worker": SHOP.logs(["web", "worker"], 5),
    "logs --no-color --tail 10 --timestamps --follow": SHOP.logs([], 10, follow=True),
    "run --rm --no-TTY --no-deps --quiet-pull --name x --entrypoint sh db -c 'exec \"$@\"' sh postgres -D /d": (
        SHOP.run_script("db", "x", 'exec "$@"', ["postgres", "-D", "/d"])
    ),
}


def test_a_one_off_command_has_the_service_but_not_its_ports() -> None:
    front, line = " ".join(WITHIN.split()[1:]), "--no-deps --quiet-pull --name x --label a=b web sh -c 'exit 3'"
    command = ["sh", "-c", "exit 3"]
    piped, typed = (SHOP.run("web", "x", "a=b", command, terminal) for terminal in (False, True))
    assert shlex.join(piped) == f"compose --progress quiet {front} run --rm --no-TTY {line}"
    assert shlex.join(typed) == f"compose --progress quiet {front} run --rm {line}"


@pytest.mark.parametrize("line", DOCKER)
def test_a_docker_command_is_built_whole(line: str) -> None:
    assert shlex.join(DOCKER[line]) == shlex.join(shlex.split(line))


@pytest.mark.parametrize("line", COMPOSE)
def test_a_compose_command_names_its_file_and_project(line: str) -> None:
    assert shlex.join(COMPOSE[line]) == f"{WITHIN} {line}"


@pytest.mark.parametrize(
    ("command", "title"),
    [
        (SHOP.up(), "compose up"),
        (compose.version(), "compose version"),
        (arguments.list_volumes(OWN), "volume ls"),
        (["version"], "version"),
    ],
)
def test_a_message_names_a_command_by_its_verb(command: list[str], title: str) -> None:
    assert arguments.title(command) == title


def test_the_version_of_compose_needs_no_project() -> None:
    assert compose.version() == ["compose", "version", "--short"]


def test_a_command_begins_with_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "find", lambda: "/usr/bin/docker")
    assert client.command(SHOP.start())[:2] == ["/usr/bin/docker", "compose"]
