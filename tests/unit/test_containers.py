"""The kinds that run any image, and processes beside an app: wrong values, and what each runs on both targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack import Container, DeclarationError, Postgres, Redis, Stack, WebApp, Worker, health
from stack.component import Component
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.references import Reference
from stack.verdict.probe import urls
from stack.workload import Build, Healthcheck, HttpCheck, PortId, TcpCheck, VolumeId, Workload

db = Postgres("db")
web = WebApp("web", source="app", command=["serve"], uses=[db], environment={"LOG": "info"}, volumes={"media": "/m"})


def box(**options: Any) -> Container:
    values: dict[str, Any] = {"image": "nginx:1.29"}
    return Container("box", **(values | options))


def worker(**options: Any) -> Worker:
    values: dict[str, Any] = {"of": web, "command": ["work"]}
    return Worker("worker", **(values | options))


WRONG: dict[str, Callable[[], object]] = {
    "box/image: and source are both missing: a component runs an image, or is built from a folder with a Dockerfile": (
        lambda: box(image=None)
    ),
    "box/image: and source are both given; leave one out: a component runs an image, or is built from a folder with a "
    "Dockerfile": lambda: box(source="app"),
    "box/image: 'Nginx latest' is not the name of an image (like 'nginx:1.29')": lambda: box(image="Nginx latest"),
    "box/image: 7 is not plain text": lambda: box(image=7),
    "box/target: is for an image that is built; give a source, or leave it out": lambda: box(target="prod"),
    "box/args: is for an image that is built; give a source, or leave it out": lambda: box(args={"A": "b"}),
    "box/args/A: 7 is not plain text": lambda: box(image=None, source="app", args={"A": 7}),
    "box/dockerfile: is for an image that is built; give a source, or leave it out": lambda: box(dockerfile="D"),
    "box/dockerfile: '../D' is not a path in the source (like 'docker/Dockerfile')": lambda: box(
        image=None, source="app", dockerfile="../D"
    ),
    "box/dockerfile: '/D' is not a path in the source (like 'docker/Dockerfile')": lambda: box(
        image=None, source="app", dockerfile="/D"
    ),
    "box/dockerfile: 7 is not plain text": lambda: box(image=None, source="app", dockerfile=7),
    "web/target: is for an image that is built; give a source, or leave it out": lambda: WebApp(
        "web", image="shop:1", target="prod"
    ),
    "web/target: ['prod'] is not plain text": lambda: WebApp("web", source="app", target=["prod"]),  # type: ignore[arg-type]
    "web/args: ['V=1'] is not a mapping": lambda: WebApp("web", source="app", args=["V=1"]),  # type: ignore[arg-type]
    "box/command: {} is not a list of words, like ['python', 'app.py']": lambda: box(command={}),
    "box/user: 'root:1' is not a user of a container, or is root (like 10001:10001, or node)": lambda: box(
        user="root:1"
    ),
    "box/user: 'Node' is not a user of a container, or is root (like 10001:10001, or node)": lambda: box(user="Node"),
    "box/entrypoint: 7 is not a word of a command": lambda: box(entrypoint=[7]),
    "box/process: [] is not a list of words, like ['python', 'app.py']": lambda: box(process=[]),
    "box/ports: 9000 is not a mapping": lambda: box(ports=9000),
    "box/ports: 'Http' is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: box(ports={"Http": 1}),
    "box/ports/http: 0 is not a port (1-65535)": lambda: box(ports={"http": 0}),
    "box/ports/a: 80 is there twice": lambda: box(ports={"a": 80, "b": 80}),
    "box/publish: 'http' is none of its ports; `ports` has 'web'": lambda: box(ports={"web": 80}, publish={"http": 1}),
    "box/publish/web: '80' is not a port (1-65535)": lambda: box(ports={"web": 80}, publish={"web": "80"}),
    "box/volumes/data: 'data' is not an absolute path in the container, like '/data'": lambda: box(
        volumes={"data": "data"}
    ),
    "box/volumes/data: '/' is not an absolute path in the container, like '/data'": lambda: box(volumes={"data": "/"}),
    "box/volumes/data: '/proc/1' is a place that the engine or the kernel needs; choose another": lambda: box(
        volumes={"data": "/proc/1"}
    ),
    "box/volumes/sock: '/var/run/docker.sock' is a place that the engine or the kernel needs; choose another": (
        lambda: box(volumes={"sock": "/var/run/docker.sock"})
    ),
    "box/volumes/b: '/a/b' is in '/a', the folder of 'a'": lambda: box(volumes={"a": "/a", "b": "/a/b"}),
    "box/volumes/a: '/a:ro' is not a plain path: it has a colon or a reference": lambda: box(volumes={"a": "/a:ro"}),
    "box/tmpfs: '/a' is a volume too; it is kept in memory or on disk": lambda: box(volumes={"a": "/a"}, tmpfs=["/a"]),
    "box/capabilities: 'SYS_ADMIN' is refused: it reaches beyond the container, or is not a capability": lambda: box(
        capabilities=["SYS_ADMIN"]
    ),
    "box/user: 'root' is not a user of a container, or is root (like 10001:10001, or node)": lambda: box(user="root"),
    "box/user: '0:0' is not a user of a container, or is root (like 10001:10001, or node)": lambda: box(user="0:0"),
    "box/writable: 'yes' is neither True nor False": lambda: box(writable="yes"),
    "box/shm: 0 is not an amount in MiB (at least 1)": lambda: box(shm=0),
    "box/stop_signal: 'SIGTERM' is none of TERM, INT, QUIT, HUP, USR1, USR2": lambda: box(stop_signal="SIGTERM"),
    "box/health: '/' is none of health.http(…), health.tcp(…), health.command(…), None": lambda: box(health="/"),
    "box/health: none of its ports is published, so it can't be asked from outside; use health.command([…])": (
        lambda: box(ports={"web": 80}, health=health.http())
    ),
    "box/health: 'admin' is not published, so it can't be asked from outside; use health.command([…])": lambda: box(
        ports={"web": 80, "admin": 81}, publish={"web": 8080}, health=health.tcp("admin")
    ),
    "box/health: 'x' is none of its ports (it has none)": lambda: box(health=health.tcp("x")),
    "box/health: 'ready' is not a path of a URL (it starts with /)": lambda: box(
        ports={"web": 80}, publish={"web": 8080}, health=health.http("ready")
    ),
    "box/health: [] is not a list of words, like ['curl', '-f', URL]": lambda: box(health=health.command([])),
    "box/health: 'curl -f x' is not a list of words, like ['curl', '-f', URL]": lambda: box(
        health=health.command("curl -f x")
    ),
    "box/health: 7 is not plain text": lambda: box(health=health.command(["curl", 7])),  # type: ignore[list-item]
    "box/health/retries: 0 is not an amount in seconds (at least 1)": lambda: box(
        health=health.command(["true"], retries=0)
    ),
    "box/ports: 'x' is none of its ports; it has web": lambda: box(ports={"web": 80}).port("x"),
    "worker/command: is missing, and 'web' runs the image's own already": lambda: Worker("worker", of=web),
    "worker/command: () is not a list of words, like ['python', 'app.py']": lambda: worker(command=()),
    "worker/entrypoint: 'a | b' is for a shell; write ['sh', '-c', '…']": lambda: worker(entrypoint="a | b"),
    "box/hostname: 'my host' is not the name of a host (like 'mq.example.com')": lambda: box(hostname="my host"),
    "box/hostname: '-my' is not the name of a host (like 'mq.example.com')": lambda: box(hostname="-my"),
    "box/hostname: '' is not the name of a host (like 'mq.example.com')": lambda: box(hostname=""),
    "box/hostname: 7 is not the name of a host (like 'mq.example.com')": lambda: box(hostname=7),
    "box/working_dir: 'app' is not an absolute path in the container, like '/data'": lambda: box(working_dir="app"),
    "box/working_dir: '/proc' is a place that the engine or the kernel needs; choose another": lambda: box(
        working_dir="/proc"
    ),
    "box/terminal: 1 is neither True nor False": lambda: box(terminal=1),
    "worker/of: 'web' is neither a WebApp nor a Container": lambda: worker(of="web"),
    "worker/image: is that of 'web' already; leave it out, or `of`": lambda: worker(image="redis:8"),
    "worker/volumes/media: is a volume of 'web' already; choose another name": lambda: worker(volumes={"media": "/x"}),
    "worker/health: Http(path='/', port='') is not health.command([…]): a worker has no port to ask": lambda: worker(
        health=health.http()
    ),
    "shop/worker/of: 'web' is not in the stack (it has worker, db)": lambda: Stack("shop", [worker(), db]),
    "web/volumes/a: '/' is not an absolute path in the container, like '/data'": lambda: WebApp(
        "web", source="app", volumes={"a": "/"}
    ),
    "web/publish: 'no' is not a port (1-65535)": lambda: WebApp("web", source="app", publish="no"),  # type: ignore[arg-type]
    "cache/durable: 1 is neither True nor False": lambda: Redis("cache", durable=1),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def container(component: Component, *others: Component) -> Workload:
    return Stack("shop", [component, web, db, *others]).workload(component.name, "container")


def process(component: Component) -> Workload:
    return Stack("shop", [component, web, db]).workload(component.name, "process")


def test_a_container_is_hardened_but_for_what_it_names() -> None:
    plain, open_ = (
        container(box()).hardening,
        container(
            box(user="image", writable=True, tmpfs=["/run"], capabilities=["CHOWN"], egress=False, shm=64)
        ).hardening,
    )
    assert (plain.user, plain.read_only, plain.tmpfs, plain.capabilities) == ("10001:10001", True, ("/tmp",), ())
    assert (open_.user, open_.read_only, open_.capabilities) == (None, False, ("CHOWN",))
    assert open_.tmpfs == ("/run:mode=1777",), "every user may write to it, as to /tmp"
    assert (open_.egress, open_.shm, open_.new_privileges) == (False, 64, False)


def test_each_relaxation_has_a_sentence_for_doctor() -> None:
    assert container(box()).hardening.relaxed == ()
    assert container(box(user="image", writable=True, capabilities=["CHOWN", "KILL"])).hardening.relaxed == (
        "runs as the user of its image, which may be root",
        "may write to its root file system",
        "has the capabilities CHOWN, KILL",
    )


def test_each_port_is_exported_by_its_name_and_the_first_without() -> None:
    exported = box(ports={"http": 9000, "admin-ui": 9001}).exports("container")
    assert exported == {
        "HOST": Reference("box", "host"),
        "PORT": Reference("box", "port"),
        "HTTP_PORT": Reference("box", "port", "http"),
        "ADMIN_UI_PORT": Reference("box", "port", "admin-ui"),
    }
    assert box().exports("container") == {}


def test_a_health_check_is_asked_from_outside_or_runs_inside() -> None:
    ports = {"ports": {"a": 80, "b": 81}, "publish": {"b": 8081, "a": 8080}}
    assert container(box(health=health.http("/up", "a"), **ports)).probe == HttpCheck(PortId("box:a"), "/up")
    assert container(box(health=health.tcp(), **ports)).probe == TcpCheck(PortId("box:b"))
    inside = box(health=health.command(["pg", "ok"], interval=3, timeout=2, retries=1))
    assert container(inside).healthcheck == Healthcheck(("CMD", "pg", "ok"), 3, 2, 1)
    assert (container(inside).probe, inside.check is not None) == (None, True)


def test_a_published_port_is_connected_to_without_a_health_check() -> None:
    ports = {"a": 80, "dns": "53/udp", "b": 81}
    assert container(box(ports=ports, publish={"dns": 53, "b": 8081, "a": 8080})).probe == TcpCheck(PortId("box:b"))
    assert container(box(ports=ports, publish={"dns": 53})).probe is None
    assert container(box(ports=ports)).probe is None


def test_an_image_gets_only_the_variables_that_are_declared() -> None:
    options = {"ports": {"http": 80}, "volumes": {"data": "/d"}, "environment": {"A": "b"}, "process": ["run"]}
    assert dict(container(box(**options)).environment) == {"A": "b"}
    located = {"BIND", "PORT", "PORT_HTTP", "VOLUME_DATA", "A"}
    assert set(container(box(image=None, source="app", **options)).environment) == located
    assert set(process(box(**options)).environment) == located


def test_without_docker_a_container_runs_its_process() -> None:
    assert process(box(process=["run", "it"], command=["other"])).command == ("run", "it")
    with pytest.raises(DeclarationError, match="the embedded engine runs no image") as raised:
        process(box())
    assert raised.value.hint == "say how it starts without one, Container('box', …, process=[…]), or use Docker"


def test_an_image_is_built_as_far_as_the_target_with_its_arguments() -> None:
    built = container(box(image=None, source="app", target="prod", args={"V": "1"}))
    assert (built.image, built.source, built.build) == (None, "app", Build("prod", {"V": "1"}))
    app = WebApp("web", source="app", dockerfile="./docker//web.Dockerfile", target="prod", args={"V": "1"})
    assert app.workload("container").build == Build("prod", {"V": "1"}, "docker/web.Dockerfile")
    assert Worker("worker", of=app, command=["work"]).workload("container").build == app.workload("container").build


def test_a_worker_has_the_image_environment_volumes_and_uses_of_its_app() -> None:
    beside = container(worker(environment={"LOG": "debug"}, volumes={"tmp": "/t"}))
    assert (beside.source, beside.image_of, beside.command) == ("app", "web", ("work",))
    assert beside.environment["LOG"] == "debug"
    assert beside.environment["VOLUME_MEDIA"] == Reference("web", "volume", "media")
    assert {"DB_HOST", "DB_PASSWORD_FILE", "VOLUME_TMP"} <= set(beside.environment)
    assert not {"BIND", "PORT"} & set(beside.environment)
    assert [volume.id for volume in beside.volumes] == [VolumeId("web:media"), VolumeId("worker:tmp")]
    assert (beside.ports, beside.probe, beside.healthcheck) == ((), None, Healthcheck(test=()))


def test_a_worker_without_docker_runs_in_the_source_of_its_app() -> None:
    beside = process(worker())
    assert (beside.source, beside.command, beside.stop_signal) == ("app", ("work",), "TERM")


def test_a_worker_beside_an_image_runs_that_image_with_its_user() -> None:
    app = box(user="image")
    beside = container(worker(of=app, uses=[]), app)
    assert (beside.image, beside.image_of, beside.hardening.user) == ("nginx:1.29", None, None)
    assert container(worker(user="7:7")).hardening.user == "7:7"


def test_a_private_app_is_asked_only_as_a_process() -> None:
    private = WebApp("api", source="app", publish=None, health="/ready")
    stack = Stack("shop", [private])
    assert stack.workload("api", "container").published == ()
    instance = Instance("shop", "p", stack, Path("/f"), Path("/s"), {})
    container = ComponentState("1", "running", "none", 0, 0, False, None, "")
    assert urls(instance, Observed({"api": container})) == {}
    process = replace(container, ports={PortId("api"): 20001})
    assert urls(instance, Observed({"api": process})) == {"api": "http://localhost:20001/ready"}
    assert urls(instance, Observed({"api": replace(process, state="exited")})) == {}
    assert WebApp("api", source="app", port=9).workload("container").published[0].publish == 9


def test_a_durable_redis_keeps_its_keys_in_a_volume_and_forgets_none() -> None:
    queue, cache = Redis("queue", durable=True), Redis("cache")
    words = queue.workload("container").command or ()
    assert words[words.index("--appendonly") + 1] == "yes"
    assert words[words.index("--maxmemory-policy") + 1] == "noeviction"
    assert [volume.id for volume in queue.workload("process").volumes] == [VolumeId("queue")]
    assert (queue.data is None, queue.emptying) == (False, ())
    assert (cache.data is None, cache.workload("container").volumes) == (True, ())


def test_a_command_in_one_text_is_split_as_a_shell_would() -> None:
    one = box(command="celery -A shop worker -n 'big one' --price=$5", entrypoint="/init --", process="run it")
    assert container(one).command == ("celery", "-A", "shop", "worker", "-n", "big one", "--price=$5")
    assert (container(one).entrypoint, process(one).command) == (("/init", "--"), ("run", "it"))
    assert container(worker(command=f"work --db {db.host}")).command == ("work", "--db", db.host)


@pytest.mark.parametrize(
    ("user", "named", "owner"),
    [
        ("10001:10001", "10001:10001", "10001:10001"),
        ("1001", "1001", None),
        ("node", "node", None),
        ("unit:root", "unit:root", None),
        ("image", None, None),
    ],
)
def test_a_new_volume_is_given_to_a_user_in_numbers(user: str, named: str | None, owner: str | None) -> None:
    hardening = container(box(user=user)).hardening
    assert (hardening.user, hardening.owner) == (named, owner)


def test_a_variable_may_have_dots_in_its_name() -> None:
    assert container(box(environment={"discovery.type": "single-node"})).environment["discovery.type"] == "single-node"


def test_a_worker_of_its_own_runs_what_its_image_says() -> None:
    own = Worker("worker", image="shop/worker:1")
    assert (container(own).command, container(own).entrypoint) == (None, None)
    with pytest.raises(DeclarationError, match="the embedded engine runs no image") as raised:
        process(own)
    assert raised.value.hint == "say how it starts in its source folder: Worker('worker', command=[…])"


def test_a_worker_has_an_entrypoint_and_the_folder_of_its_container() -> None:
    app = box(working_dir="/srv/app", entrypoint=["/init"])
    beside = container(worker(of=app, command=None, entrypoint="/init-worker --one", uses=[]), app)
    assert (beside.entrypoint, beside.command, beside.working_dir) == (("/init-worker", "--one"), None, "/srv/app")
    assert process(worker(entrypoint=["/init"])).entrypoint is None
