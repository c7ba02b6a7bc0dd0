"""What a manager says of services and tasks becomes the state of components; the answers are as recorded, shortened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stack import Job, Postgres, Stack, WebApp, Worker
from stack.capabilities import Completed
from stack.engines.docker import client
from stack.engines.swarm import deploying, log_lines, machine, observe
from stack.engines.swarm.cluster import Cluster, Node, read_cluster
from stack.engines.swarm.observe import Seen
from stack.engines.swarm.one_off import node_for
from stack.errors import StackError
from stack.instance import Instance, default_ports
from stack.observed import ComponentState

PROJECT = "stackctl-shop-123456"
WEB = WebApp("web", source=".", port=8000, uses=["db"])
MIGRATE = Job("migrate", of=WEB, command=["true"], before=[WEB])
WORKER = Worker("worker", of=WEB, command=["work"], replicas=2)
STACK = Stack("shop", [WEB, MIGRATE, WORKER, Postgres("db")])
SHOP = Instance("shop", PROJECT, STACK, Path("/shop"), Path("/shop/.stackctl/shop"), default_ports(STACK))
CLUSTER = Cluster([Node("n1", "host1", "10.0.0.1", ready=True), Node("n2", "host2", "10.0.0.2", ready=True)], own="n1")
SPEC: dict[str, Any] = {"Image": "web@sha256:1", "Labels": {"stackctl.declaration": "one"}}
CHECKED = {**SPEC, "Healthcheck": {"Test": ["CMD", "true"]}}


def service(
    name: str, spec: dict[str, Any] = SPEC, replicas: int = 1, update: str = "", once: bool = False
) -> dict[str, Any]:
    ports = [{"TargetPort": 8000, "Protocol": "tcp", "PublishedPort": 8080}] if name == "web" else []
    return {
        "ID": f"service-{name}",
        "Spec": {
            "Name": f"{PROJECT}_{name}",
            "Labels": {"stackctl.once": "true"} if once else {},
            "Mode": {"Replicated": {"Replicas": replicas}},
            "TaskTemplate": {"ContainerSpec": spec, "Resources": {"Limits": {"MemoryBytes": 2**20}}, "ForceUpdate": 0},
            "EndpointSpec": {"Ports": ports},
        },
        **({"UpdateStatus": {"State": update}} if update else {}),
    }


def task(
    name: str, state: str, *, slot: int = 1, at: int = 1, wanted: str = "running", spec: dict[str, Any] = SPEC,
    error: str = "", code: int = 0, node: str = "n2",
) -> dict[str, Any]:  # fmt: skip
    return {
        "ID": f"task-{name}-{slot}-{at}",
        "CreatedAt": f"2026-11-27T08:00:{at:02}Z",
        "ServiceID": f"service-{name}",
        "Slot": slot,
        "NodeID": node,
        "DesiredState": wanted,
        "Spec": {"ContainerSpec": spec, "Resources": {"Limits": {"MemoryBytes": 2**20}}, "ForceUpdate": 0},
        "Status": {
            "State": state,
            "Timestamp": f"2026-11-27T08:00:{at:02}Z",
            "Err": error,
            "ContainerStatus": {"ContainerID": "c", "ExitCode": code},
        },
    }


def seen(services: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> Seen:
    return Seen(observe.read_services(PROJECT, services, tasks, STACK.names), CLUSTER, tasks)


def state(services: list[dict[str, Any]], tasks: list[dict[str, Any]], name: str = "web") -> ComponentState:
    return observe.observed(SHOP, seen(services, tasks)).components[name]


@pytest.mark.parametrize(
    ("said", "spec", "word"),
    [
        ("pending", SPEC, "created"),
        ("preparing", SPEC, "created"),
        ("starting", CHECKED, "starting"),
        ("running", CHECKED, "healthy"),
        ("running", SPEC, "running"),
    ],
)
def test_a_task_is_told_in_the_words_of_all_engines(said: str, spec: dict[str, Any], word: str) -> None:
    assert state([service("web", spec)], [task("web", said, spec=spec)]).word == word


def test_a_component_says_on_which_node_it_is_and_where_it_answers() -> None:
    found = state([service("web")], [task("web", "running", at=5)])
    assert (found.node, found.address, dict(found.ports)) == ("host2", "10.0.0.2", {"web": 8080})
    assert found.since == datetime(2026, 11, 27, 8, 0, 5, tzinfo=UTC)
    assert (found.declaration, found.image_id, found.memory_limit) == ("one", "web@sha256:1", 2**20)


def test_limits_that_were_changed_by_hand_are_told() -> None:
    running = task("web", "running")
    running["Spec"]["Resources"]["Limits"] = {"MemoryBytes": 96 * 2**20, "NanoCPUs": 1_500_000_000}
    prefix = "deploy.resources.limits"
    assert state([service("web")], [running]).live == {
        f"{prefix}.cpus": "1.5",
        f"{prefix}.memory": "96M",
        f"{prefix}.pids": "0",
    }


@pytest.mark.parametrize(
    ("pins", "running", "told"),
    [
        ({}, "postgres:18@sha256:1", "postgres:18"),
        ({}, "docker.io/library/postgres:18", "postgres:18"),
        ({}, "postgres:17@sha256:1", "postgres:17@sha256:1"),
        ({"postgres:18": "sha256:1"}, "postgres:18@sha256:1", "postgres:18@sha256:1"),
        ({"postgres:18": "sha256:1"}, "postgres:18@sha256:2", "postgres:18@sha256:2"),
    ],
)
def test_an_image_is_told_as_declared_unless_it_was_changed(pins: dict[str, str], running: str, told: str) -> None:
    spec = {**SPEC, "Image": running}
    there = seen([service("db", spec)], [task("db", "running", spec=spec)])
    assert observe.observed(replace(SHOP, pins=pins), there).components["db"].live["image"] == told


def test_tasks_that_are_not_healthy_yet_are_named_for_their_log() -> None:
    tasks = [
        task("worker", "failed", slot=1, at=1, wanted="shutdown"),
        task("worker", "starting", slot=1, at=2),
        task("worker", "running", slot=2, at=1),
    ]
    there = seen([service("worker", replicas=2)], tasks)
    assert observe.starting(there.services["worker"]) == ["task-worker-1-2"]


def test_what_ends_again_and_again_is_restarting_with_its_reason() -> None:
    why = "starting container failed: no such file"
    ended = [task("web", "failed", at=at, wanted="shutdown", error=why, code=3) for at in (1, 2, 3)]
    found = state([service("web")], [*ended, task("web", "ready", at=4, wanted="ready")])
    assert (found.word, found.restarts, found.exit_code) == ("restarting", 3, 3)
    assert found.reason == why


def test_restarts_of_what_was_declared_before_do_not_count() -> None:
    old = {**SPEC, "Image": "web@sha256:0"}
    ended = [task("web", "failed", at=1, wanted="shutdown", spec=old, code=1)]
    assert state([service("web")], [*ended, task("web", "running", at=2)]).restarts == 0


@pytest.mark.parametrize("said", ["failed", "rejected"])
def test_a_network_that_a_node_does_not_know_yet_is_no_restart(said: str) -> None:
    why = "could not find a network matching network mode n: network n not found"
    ended = [task("web", said, at=at, wanted="shutdown", error=why) for at in (1, 2, 3)]
    assert state([service("web")], [*ended, task("web", "running", at=4)]).restarts == 0


def test_a_restart_keeps_the_name_and_a_recreation_changes_it() -> None:
    other = {**SPEC, "Image": "web@sha256:2"}
    first = state([service("web")], [task("web", "running", at=1)])
    again = state([service("web")], [task("web", "failed", at=1, wanted="shutdown"), task("web", "running", at=2)])
    new = state([service("web", other)], [task("web", "running", at=3, spec=other)])
    assert first.id == again.id
    assert first.id != new.id


def test_a_service_that_is_scaled_to_none_has_ended() -> None:
    found = state([service("web", replicas=0)], [task("web", "shutdown", wanted="shutdown")])
    assert (found.word, found.exit_code) == ("exited", 0)


def test_replicas_are_told_together() -> None:
    tasks = [task("worker", "running", slot=1), task("worker", "starting", slot=2, node="n1")]
    found = state([service("worker", replicas=2)], tasks, "worker")
    assert found.summary == "starting 1/2"
    assert [each.node for each in found.each] == ["host2", "host1"]


@pytest.mark.parametrize(("said", "code", "ends"), [("complete", 0, 0), ("failed", 7, 7)])
def test_a_job_ends_with_its_exit_code(said: str, code: int, ends: int) -> None:
    found = state([service("migrate", once=True)], [task("migrate", said, wanted="shutdown", code=code)], "migrate")
    assert (found.once, found.state, found.exit_code) == (True, "exited", ends)


def test_what_ends_and_is_not_started_again_has_exited() -> None:
    found = state([service("web")], [task("web", "complete", wanted="shutdown")])
    assert (found.word, found.exit_code) == ("exited", 0)


def test_a_job_that_was_told_to_end_has_not_done_its_work() -> None:
    stopped = task("migrate", "shutdown", wanted="shutdown")
    found = state([service("migrate", replicas=0, once=True)], [stopped], "migrate")
    assert (found.word, found.exit_code) == ("exited", 143)


def test_a_service_moves_until_all_tasks_are_as_declared() -> None:
    new = {**SPEC, "Image": "web@sha256:2"}
    old = seen([service("web", new)], [task("web", "running")])
    watched = seen([service("web", new, update="updating")], [task("web", "running", spec=new)])
    done = seen([service("web", new, update="completed")], [task("web", "running", spec=new)])
    assert [each.services["web"].moving for each in (old, watched, done)] == [True, True, False]


def test_an_update_that_was_taken_back_names_node_reason_and_lines() -> None:
    new = {**SPEC, "Image": "web@sha256:2"}
    failed = task(
        "web", "failed", at=2, wanted="shutdown", spec=new, error="task: non-zero exit (1)", code=1, node="n1"
    )
    taken_back = [service("web", update="rollback_completed")]
    there = iter([seen([service("web")], []), seen(taken_back, [failed, task("web", "running", at=3)])])
    job = deploying.Deployment([["web"]], lambda _: None, lambda: next(there), lambda *_: True, lambda id_: f"of {id_}")
    with job:
        assert job.wait(10) == 1
    error = job.explain()
    assert error.code == "update-taken-back"
    assert "web failed on the node host1: task: non-zero exit (1)" in error.message
    assert error.output == "of task-web-1-2"


def test_how_the_last_update_went_says_nothing_of_what_runs_already() -> None:
    there = seen([service("web", update="rollback_completed")], [task("web", "running")])
    with deploying.Deployment([["web"]], lambda names: None, lambda: there, lambda *_: True, lambda _: "") as job:
        assert job.wait(10) == 0


NO_SPACE = "write /var/lib/docker/tmp/GetImageBlob31: no space left on device"
UNREACHABLE = 'Error response from daemon: Get "https://10.0.0.9:5000/v2/": dial tcp 10.0.0.9:5000: connection refused'


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        (NO_SPACE, "disk-full", "the disk of the node host1 is full, so it can't pull the image of web"),
        (UNREACHABLE, "image-unavailable", "the node host1 can't pull the image web@sha256:1 of web: Error response"),
    ],
)
@pytest.mark.parametrize("update", ["", "rollback_completed"])
def test_a_node_that_lacks_an_image_is_asked_why(
    monkeypatch: pytest.MonkeyPatch, said: str, code: str, message: str, update: str
) -> None:
    monkeypatch.setattr(client, "run", lambda words, timeout: Completed(1, "", said))
    cluster = Cluster([replace(each, known=True) for each in CLUSTER.nodes], own="n1")
    lacking = task("web", "rejected", wanted="shutdown", error="No such image: web@sha256:1", node="n1")
    tasks = [lacking, task("web", "pending" if not update else "running", at=2)]
    there = iter([seen([service("web")], []), replace(seen([service("web", update=update)], tasks), cluster=cluster)])
    look = lambda: next(there)  # noqa: E731
    with deploying.Deployment([["web"]], lambda names: None, look, lambda *_: True, lambda task: "") as job:
        assert job.wait(10) == 1
    error = job.explain()
    assert (error.code, error.component) == (code, "web")
    assert error.message.startswith(message)
    assert error.message.endswith("the version before again") is bool(update)
    assert "stackctl up" in error.hint


def test_what_lacked_its_image_was_not_started_again() -> None:
    lacking = [task("web", "rejected", at=at, wanted="shutdown", error="No such image: web") for at in (1, 2, 3)]
    now = state([service("web")], [*lacking, task("web", "pending", at=4)])
    assert (now.state, now.restarts) == ("created", 0)


def test_a_node_with_an_older_engine_is_named_with_what_to_type() -> None:
    def node(number: int, engine: str, availability: str = "active") -> dict[str, Any]:
        return {
            "ID": f"n{number}",
            "Spec": {"Availability": availability},
            "Description": {"Hostname": f"host{number}", "Engine": {"EngineVersion": engine}},
            "Status": {"State": "ready", "Addr": f"10.0.0.{number}"},
        }

    info = {"Swarm": {"NodeID": "n1"}}
    machine.require_engines(read_cluster([node(1, "28.5.2"), node(2, "20.10.24", "drain")], info))
    with pytest.raises(StackError) as caught:
        machine.require_engines(read_cluster([node(1, "28.5.2"), node(2, "20.10.24+dfsg1")], info))
    assert caught.value.code == "docker-old"
    assert "the node host2 has Docker Engine 20.10.24" in caught.value.message
    assert "docker node update --availability drain host2" in caught.value.hint


def test_components_are_deployed_after_those_that_they_wait_for() -> None:
    assert deploying.steps(STACK, STACK.lasting) == [["db"], ["web", "worker"]]
    assert deploying.steps(STACK, ["worker"]) == [["worker"]]


def test_each_step_waits_until_the_one_before_works() -> None:
    made: list[str] = []
    looks: list[int] = []

    def look() -> Seen:
        services = [service(name) for name in made]
        return seen(services, [task(name, "running") for name in made])

    def is_well(seen: Seen, name: str) -> bool:
        looks.append(len(made))
        return len(looks) > 2

    with deploying.Deployment([["db"], ["web"]], made.extend, look, is_well, lambda _: "") as job:
        assert job.wait(10) == 0
    assert made == ["db", "web"]
    assert looks == [1, 1, 1]


def test_a_printed_line_says_component_replica_and_time() -> None:
    printed = f"2026-11-27T08:30:07.215295130Z {PROJECT}_worker.2.4reli8ny8sp8syqababixsd95@host3    | two  words"
    line = log_lines.parsed(printed, PROJECT, STACK.replicas)
    assert line is not None
    assert (line.name, line.text) == ("worker-2", "two  words")
    assert line.time == datetime(2026, 11, 27, 8, 30, 7, 215295, tzinfo=UTC)
    assert log_lines.parsed("error from daemon in stream", PROJECT, STACK.replicas) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few", "its quorum"),
        ("This node is not a swarm manager.", "no manager of a Swarm: This node is not a swarm manager."),
    ],
)
def test_a_daemon_that_can_tell_nothing_of_its_swarm_says_why(words: str, said: str) -> None:
    error = machine.no_manager(words)
    assert error.code == "no-swarm"
    assert said in error.message


def chosen(component: str, reached: set[str], *tasks: dict[str, Any]) -> str:
    """The node of a one-off command, if `n1` is asked and a label leads to the daemons of `reached`."""
    cluster = replace(CLUSTER, nodes=[replace(each, known=each.id in {"n1", *reached}) for each in CLUSTER.nodes])
    found = observe.read_services(PROJECT, [service("web"), service("db")], tasks, STACK.names)
    return node_for(Seen(found, cluster, tasks), SHOP, component).id


def test_a_one_off_command_runs_where_its_component_does() -> None:
    assert chosen("web", {"n2"}, task("web", "running", node="n2")) == "n2"
    assert chosen("web", {"n2"}, task("web", "running", node="n2"), task("web", "running", slot=2, node="n1")) == "n1"
    assert chosen("web", set(), task("web", "running", node="n2")) == "n1", "nothing leads to the other"
    assert chosen("web", {"n2"}, task("web", "failed", node="n2")) == "n1", "it does not run"


def test_a_one_off_command_of_data_runs_on_the_node_that_has_it() -> None:
    assert chosen("db", {"n2"}, task("db", "running", node="n2")) == "n1", "no node is labelled, so it is the one asked"
