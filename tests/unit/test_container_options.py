"""The options of what any image may need: wrong values, what Compose calls otherwise, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stack import Container, DeclarationError, Job, Redis, Stack, WebApp, Worker, health
from stack.component import Component
from stack.references import Reference
from stack.refused import FIELDS
from stack.workload import PortId, TcpCheck, Workload


def box(**options: Any) -> Container:
    values: dict[str, Any] = {"image": "nginx:1.29"}
    return Container("box", **(values | options))


def web(**options: Any) -> WebApp:
    return WebApp("web", source="app", command=["serve"], **options)


def workload(component: Component, target: Any = "container") -> Workload:
    return Stack("shop", [component]).workload(component.name, target)


WRONG: dict[str, Callable[[], object]] = {
    "web/writable: 'yes' is neither True nor False": lambda: web(writable="yes"),
    "worker/capabilities: 'CHOWN' is not a list": lambda: Worker("worker", image="x", capabilities="CHOWN"),
    "worker/capabilities: 'NET_ADMIN' is refused: it reaches beyond the container, or is not a capability": lambda: (
        Worker("worker", image="x", capabilities=["NET_ADMIN"])
    ),
    "box/labels: ['a=b'] is not a mapping": lambda: box(labels=["a=b"]),
    "box/labels: 'a b' is not the name of a label (like 'com.example.team')": lambda: box(labels={"a b": "c"}),
    "box/labels: 'stackctl.state' begins like a label of stackctl or Docker; choose another": lambda: box(
        labels={"stackctl.state": "/"}
    ),
    "box/labels: 'com.docker.compose.project' begins like a label of stackctl or Docker; choose another": lambda: box(
        labels={"com.docker.compose.project": "x"}
    ),
    "box/labels/team: 7 is not plain text": lambda: box(labels={"team": 7}),
    "web/labels/team: None is not plain text": lambda: web(labels={"team": None}),
    "box/ulimits: 65536 is not a mapping": lambda: box(ulimits=65536),
    "box/ulimits: 'files' is none of as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, "
    "rtprio, rttime, sigpending, stack": lambda: box(ulimits={"files": 1}),
    "box/ulimits/nofile: '65536' is not a whole number (-1 for no limit)": lambda: box(ulimits={"nofile": "65536"}),
    "box/ulimits/nofile: True is not a whole number (-1 for no limit)": lambda: box(ulimits={"nofile": True}),
    "box/ulimits/core: -2 is not a whole number (-1 for no limit)": lambda: box(ulimits={"core": -2}),
    "box/entrypoint: is empty, so that nothing would run; give a command too": lambda: box(entrypoint=[]),
    "box/entrypoint: '' is not a list of words, like ['python', 'app.py']": lambda: box(entrypoint="", command="run"),
    "box/entrypoint: 0 is not a list of words, like ['python', 'app.py']": lambda: box(entrypoint=0, command="run"),
    "worker/entrypoint: is empty, so that nothing would run; give a command too": lambda: Worker(
        "worker", image="x", entrypoint=()
    ),
    "box/writable_mounts: 1 is neither True nor False": lambda: box(mounts={"a": "/a"}, writable_mounts=1),
    "web/writable_mounts: is for folders of the project, and `mounts` names none": lambda: web(writable_mounts=True),
    "box/extra_hosts: ['a:1.2.3.4'] is not a mapping": lambda: box(extra_hosts=["a:1.2.3.4"]),
    "box/extra_hosts: 'a b' is not the name of a host": lambda: box(extra_hosts={"a b": "10.0.0.1"}),
    "box/extra_hosts/api: '10.0.0' is neither an IP address nor 'host-gateway', which is this machine": lambda: box(
        extra_hosts={"api": "10.0.0"}
    ),
    "box/extra_hosts/api: 7 is neither an IP address nor 'host-gateway', which is this machine": lambda: box(
        extra_hosts={"api": 7}
    ),
    "box/ports/dns: '53' is not a port (1-65535, or like '53/udp')": lambda: box(ports={"dns": "53"}),
    "box/ports/dns: '53/sctp' is not a port (1-65535, or like '53/udp')": lambda: box(ports={"dns": "53/sctp"}),
    "box/ports/dns: 'x/udp' is not a port (1-65535, or like '53/udp')": lambda: box(ports={"dns": "x/udp"}),
    "box/ports/dns: 0 is not a port (1-65535)": lambda: box(ports={"dns": "0/udp"}),
    "box/ports/a: 53/udp is there twice": lambda: box(ports={"a": "53/udp", "b": "53/udp"}),
    "box/publish/dns: '53/udp' is not a port (1-65535)": lambda: box(
        ports={"dns": "53/udp"}, publish={"dns": "53/udp"}
    ),
    "box/health: 'dns' takes datagrams, so it can't be asked; use health.command([…])": lambda: box(
        ports={"dns": "53/udp"}, publish={"dns": 53}, health=health.tcp("dns")
    ),
    "box/health: none of its ports is published, so it can't be asked from outside; use health.command([…])": (
        lambda: box(ports={"dns": "53/udp"}, publish={"dns": 53}, health=health.tcp())
    ),
    "box/files: ['./a:/b'] is not a mapping": lambda: box(files=["./a:/b"]),
    "box/files: '' is not the path of a folder": lambda: box(files={"": "/a"}),
    "box/files/a.conf: 'etc' is not an absolute path in the container, like '/data'": lambda: box(
        files={"a.conf": "etc"}
    ),
    "box/files/.: is no file or folder below that of the stack file": lambda: box(files={".": "/a"}),
    "box/files/b/a.conf: gets the same variable as 'a.conf', FILE_A_CONF; rename one of them": lambda: box(
        files={"a.conf": "/a", "b/a.conf": "/b"}
    ),
    "box/files/a.conf: '/a' is the place of something else too": lambda: box(
        files={"a.conf": "/a"}, volumes={"data": "/a"}
    ),
    "box/files/a: '/x' is the place of something else too": lambda: box(files={"a": "/x", "b": "/x"}),
    "box/files/a: '/run/docker.sock' is a place that the engine or the kernel needs; choose another": lambda: box(
        files={"a": "/run/docker.sock"}
    ),
    "worker/files/a: '/m' is the place of something else too": lambda: Worker(
        "worker", of=web(volumes={"m": "/m"}), command=["work"], files={"a": "/m"}
    ),
    "web/files/a: '/tmp' is the place of something else too": lambda: web(files={"a": "/tmp"}),
    "box/mounts: './src:/app' is not a mapping": lambda: box(mounts="./src:/app"),
    **{
        f"box/mounts/{source}: is refused: it is outside of the project; its data can be in volumes=, configuration in "
        "files=": lambda source=source: box(mounts={source: "/x"})  # type: ignore[misc]
        for source in ("/", "/etc", "/var/run/docker.sock", "..", "../other", "src/../..", "~/src")
    },
    "box/mounts/src: 'app' is not an absolute path in the container, like '/data'": lambda: box(mounts={"src": "app"}),
    "box/mounts/src: '/etc/a' is the place of something else too": lambda: box(
        mounts={"src": "/etc/a"}, files={"a": "/etc/a"}
    ),
    "box/restart: 'unless-stopped' is none of always, on-failure, no": lambda: box(restart="unless-stopped"),
    "box/restart: False is none of always, on-failure, no": lambda: box(restart=False),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


COMPOSE: dict[str, tuple[dict[str, Any], str, str]] = {
    "privileged": (
        {"privileged": True},
        "is refused: it opens this machine to the container",
        "declare what it needs, like Container(capabilities=['CHOWN']) or tmpfs=['/run']",
    ),
    "devices": (
        {"devices": ["/dev/dri"]},
        "is refused: it opens this machine to the container",
        "run what needs a device outside of the stack, and give its address in environment=",
    ),
    "pid": (
        {"pid": "host"},
        "is refused: it opens this machine to the container",
        "a container sees its own processes; init=True reaps them",
    ),
    "ipc": (
        {"ipc": "host"},
        "is refused: it opens this machine to the container",
        "declare shm=64, the MiB of its own /dev/shm",
    ),
    "network_mode": (
        {"network_mode": "host"},
        "is refused: a container has a network of its own, on which `uses` is the firewall",
        "declare ports= and publish=, and what it reaches in uses=",
    ),
    "cap_add": (
        {"cap_add": ["SYS_ADMIN"]},
        "is `capabilities` here",
        "declare what it needs, like Container(capabilities=['CHOWN']) or tmpfs=['/run']",
    ),
    "depends_on": (
        {"depends_on": ["db"]},
        "is `uses` here",
        "declare uses=[db]: it starts after db, reaches it, and gets DB_HOST, DB_PORT, …",
    ),
    "env_file": (
        {"env_file": ".env"},
        "is `env_files` here",
        "declare env_files=['backend.env']",
    ),
    "restart_policy": (
        {"restart_policy": "always"},
        "is `restart` here",
        "declare restart='always', 'on-failure' or 'no'",
    ),
    "healthcheck": (
        {"healthcheck": {"test": ["CMD", "true"]}},
        "is `health` here",
        "declare health=health.http('/ready'), health.tcp() or health.command(['…'])",
    ),
    "ports": (
        {"ports": ["8080:80"]},
        "['8080:80'] is not a mapping",
        "write it like {'http': 80}; publish={'http': 8080} opens it on this machine",
    ),
    "volumes": (
        {"volumes": ["./x:/y"]},
        "['./x:/y'] is not a mapping",
        "write it like {'data': '/data'}; a file beside the stack file goes to files=, a source folder to mounts=",
    ),
}


@pytest.mark.parametrize(("options", "problem", "hint"), COMPOSE.values(), ids=COMPOSE)
def test_a_field_of_compose_is_answered_with_what_there_is(options: dict[str, Any], problem: str, hint: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        box(**options)
    (field,) = options
    assert (raised.value.message, raised.value.hint) == (f"box/{field}: {problem}", hint)


@pytest.mark.parametrize("field", FIELDS)
def test_no_kind_has_a_field_that_is_refused(field: str) -> None:
    makers: list[Callable[..., object]] = [box, web, lambda **options: Redis("cache", **options)]
    for make in makers:
        with pytest.raises(DeclarationError) as raised:
            make(**{field: "x"})
        assert raised.value.problem == FIELDS[field].problem


def test_every_app_may_have_labels_and_limits_of_its_processes() -> None:
    options: dict[str, Any] = {"labels": {"team": "shop"}, "ulimits": {"nofile": 65536, "memlock": -1}}
    for component in (box(**options), web(**options), Worker("worker", image="x", command=["work"], **options)):
        made = workload(component)
        assert (made.labels, made.limits.ulimits) == (options["labels"], options["ulimits"])


def test_a_host_outside_the_stack_has_the_name_that_it_is_given() -> None:
    hosts = {"host.docker.internal": "host-gateway", "legacy": "10.1.2.3", "six": "fd00::1"}
    hardening = workload(box(extra_hosts=hosts)).hardening
    assert (hardening.extra_hosts, hardening.relaxed) == (hosts, ("reaches this machine",))


def test_what_ended_is_started_again_as_declared() -> None:
    assert workload(box()).restart == "always"
    assert workload(box(restart="on-failure", process=["run"]), "process").restart == "on-failure"


def test_a_file_is_found_by_a_variable_where_no_image_has_a_place_for_it() -> None:
    options: dict[str, Any] = {"files": {"conf/nginx.conf": "/etc/nginx/nginx.conf"}, "process": ["run"]}
    found = Reference("box", "file", "nginx-conf")
    assert workload(box(**options), "process").environment["FILE_NGINX_CONF"] == found
    assert dict(workload(box(**options)).environment) == {}
    assert workload(box(image=None, source="app", **options)).environment["FILE_NGINX_CONF"] == found


def test_a_worker_finds_the_files_of_its_app_and_its_own() -> None:
    app = web(files={"app.conf": "/etc/app.conf"}, mounts={"app": "/app"})
    worker = Worker("worker", of=app, command=["work"], files={"more.conf": "/etc/more.conf"})
    beside = Stack("shop", [app, worker]).workload("worker", "container")
    assert [file.name for file in beside.files] == ["web.app-conf", "worker.more-conf"]
    assert {"FILE_APP_CONF", "FILE_MORE_CONF"} <= set(beside.environment)
    assert beside.hardening.relaxed == ("mounts app of the project, for development",)
    writing = workload(box(mounts={"app": "/a", "b": "/b"}, writable_mounts=True)).hardening
    assert writing.relaxed == ("mounts app, b of the project, for development", "may write to app, b of the project")


def test_a_port_of_udp_may_have_the_number_of_one_of_tcp() -> None:
    dns = box(ports={"dns": "53/udp", "tcp": "53/tcp"}, publish={"dns": 5353, "tcp": 5353}, health=health.tcp())
    made = workload(dns)
    assert [(port.on_network, port.publish, port.url) for port in made.ports] == [
        ("53/udp", 5353, "udp://localhost:{port}"),
        ("53/tcp", 5353, "http://localhost:{port}"),
    ]
    assert made.probe == TcpCheck(PortId("box:tcp"))
    other = Container("other", image="x", ports={"dns": "53/udp"}, publish={"dns": 5353})
    with pytest.raises(DeclarationError, match="shop/other/publish: 5353 is published by 'box' already"):
        Stack("shop", [dns, other])


def test_an_empty_entrypoint_lets_the_command_run_alone() -> None:
    empty = (box(entrypoint=[], command=["serve"]), Worker("box", image="x", entrypoint=[], command=["serve"]))
    for component in empty:
        made = workload(component)
        assert (made.entrypoint, made.command) == ((), ("serve",))
    assert workload(box(command=["serve"])).entrypoint is None


def test_apps_workers_and_jobs_may_write_to_their_root_file_system() -> None:
    open_: dict[str, Any] = {"writable": True, "capabilities": ["CHOWN", "SETUID"]}
    app = box(**open_)
    programs = [
        web(**open_),
        Worker("worker", image="worker", **open_),
        Job("job", image="job", **open_),
        Worker("beside", ["work"], app),
    ]
    for program in programs:
        found = Stack("shop", [app, program]).workload(program.name, "container").hardening
        assert (found.read_only, found.capabilities) == (False, ("CHOWN", "SETUID")), program.name
    plain = workload(Worker("worker", image="worker")).hardening
    assert (plain.read_only, plain.capabilities) == (True, ())


def test_a_worker_may_have_more_than_its_app() -> None:
    app = box(capabilities=["CHOWN"])
    worker = Worker("worker", ["work"], app, writable=True, capabilities=["KILL"])
    found = Stack("shop", [app, worker]).workload("worker", "container").hardening
    assert (found.read_only, found.capabilities) == (False, ("CHOWN", "KILL"))
