"""Read the state of an instance's components from what a manager says of services and tasks: pure.

A task is one start of a container. Swarm puts another one in its slot when it ends, so a replica is a slot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, cast

from stack.engines.docker import answers
from stack.engines.docker.labels import LABEL_DECLARATION, LABEL_ONCE
from stack.engines.docker.resolving import workload_of
from stack.engines.swarm.cluster import Cluster, Node
from stack.fields import digest
from stack.frozen import dataclass
from stack.instance import Instance
from stack.observed import ComponentState, EngineState, Health, Observed, StateWord, together, worst_of
from stack.pins import pinned, unpinned
from stack.workload import PortId

_WAITING = ("new", "allocated", "pending", "assigned", "accepted", "ready", "preparing")
_FAILED = ("failed", "rejected")
_ENDED = (*_FAILED, "complete", "shutdown", "orphaned", "remove")
# A node learns of a new network a moment after it is told to use it.
_HEALS = ("invalid config for network", "could not find a network", "cannot create a swarm scoped network")
_EXIT_CODE = re.compile(r"task: non-zero exit \(\d+\)")
_TOLD = ("shutdown", "orphaned", "remove")
_TERMINATED = 143
_LACKING = "No such image"
_MOVING = ("updating", "rollback_started")
_BACK = ("rollback_started", "rollback_completed", "rollback_paused", "paused")


@dataclass(frozen=True)
class Slot:
    """A replica: the task that is in its slot now, and those that were before it and failed, the last one first."""

    number: int
    task: Mapping[str, Any]
    failed: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Service:
    """A service of an instance, as a manager tells it, with its replicas."""

    component: str
    service: Mapping[str, Any]
    slots: Sequence[Slot]

    @property
    def template(self) -> Mapping[str, Any]:
        """What its tasks are made from now."""
        found: Mapping[str, Any] = self.service["Spec"]["TaskTemplate"]
        return found

    @property
    def once(self) -> bool:
        return is_once(self.service)

    @property
    def wanted(self) -> int:
        return wanted(self.service)

    @property
    def update(self) -> str:
        """How its last update goes, in Swarm's word; empty if it had none."""
        return str(self.update_status.get("State", ""))

    @property
    def update_status(self) -> Mapping[str, Any]:
        """What Swarm says of its last update, with the times of that; nothing if it had none."""
        return self.service.get("UpdateStatus") or {}

    @property
    def moving(self) -> bool:
        """Whether Swarm still replaces tasks of it, or has begun to take that back."""
        return self.update in _MOVING or any(not is_made_from(each.task, self.template) for each in self.slots)

    @property
    def taken_back(self) -> bool:
        """Whether Swarm ended an update because what is new failed."""
        return self.update in _BACK

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that its tasks read."""
        return frozenset(each["SecretName"] for each in self.template["ContainerSpec"].get("Secrets") or ())


@dataclass(frozen=True)
class Seen:
    """All that a manager says of an instance."""

    services: Mapping[str, Service]
    cluster: Cluster
    tasks: Sequence[Mapping[str, Any]] = field(default=())

    def node_of(self, task: Mapping[str, Any]) -> Node | None:
        return self.cluster.named(task.get("NodeID", ""))


def read_services(
    project: str, services: Iterable[Mapping[str, Any]], tasks: Sequence[Mapping[str, Any]], order: Sequence[str] = ()
) -> dict[str, Service]:
    """Bring together each service of an instance with its tasks, in an order of components."""
    found = {}
    for service in services:
        name = service["Spec"]["Name"].removeprefix(f"{project}_")
        own = [task for task in tasks if task["ServiceID"] == service["ID"]]
        found[name] = Service(name, service, _slots(own, ended=is_once(service) or bool(wanted(service))))
    places = {name: position for position, name in enumerate(order)}
    return dict(sorted(found.items(), key=lambda item: places.get(item[0], len(places))))


def summary(service: Service) -> StateWord:
    """Summarize a service in one word, the worst of its replicas'."""
    if not service.slots:
        return "created" if service.wanted else "exited"
    words = []
    for slot in service.slots:
        checked = _is_checked(slot.task["Spec"]["ContainerSpec"])
        state, health = _words(slot.task, service.once, bool(slot.failed), checked)
        done = service.once and state == "exited" and not _exit_code(slot.task)
        words.append(cast(StateWord, "done" if done else state if health == "none" else health))
    return worst_of(words)


def starting(service: Service) -> list[str]:
    """Name the tasks that run and are not healthy yet: the log of their service lacks what they write."""
    return [each.task["ID"] for each in service.slots if each.task["Status"]["State"] == "starting"]


def observed(
    instance: Instance, seen: Seen, stores: Iterable[str] = (), images: Mapping[str, str] | None = None
) -> Observed:
    """Return what exists of an instance."""
    states = {name: _state(instance, seen, service) for name, service in seen.services.items()}
    mounted = frozenset(name for each in seen.services.values() for name in _mounted(each.template, instance.project))
    return Observed(states, images=images or {}, stores=mounted.union(stores), mounted=mounted)


def is_made_from(task: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Say whether a task is made from what its service declares now."""
    spec = task["Spec"]
    return bool(
        spec.get("ContainerSpec") == template.get("ContainerSpec")
        and spec.get("Resources") == template.get("Resources")
        and spec.get("ForceUpdate", 0) == template.get("ForceUpdate", 0)
    )


def runs(task: Mapping[str, Any]) -> bool:
    """Say whether the container of a task runs."""
    return task["Status"]["State"] in ("running", "starting")


def failure_words(task: Mapping[str, Any]) -> str:
    """Return what Swarm says of a task that failed or waits."""
    status = task["Status"]
    return str(status.get("Err") or status.get("Message", ""))


def lacks_image(task: Mapping[str, Any]) -> bool:
    """Say whether a task was rejected because its node has no image for it, and got none."""
    return task["Status"]["State"] == "rejected" and _LACKING in failure_words(task)


def _reason(task: Mapping[str, Any]) -> str:
    """Return why a task did not run, if that is more than its exit code."""
    words = failure_words(task)
    return "" if _EXIT_CODE.fullmatch(words) else words


def is_once(service: Mapping[str, Any]) -> bool:
    """Say whether the tasks of a service have to end."""
    return LABEL_ONCE in (service["Spec"].get("Labels") or {})


def wanted(service: Mapping[str, Any]) -> int:
    """Return how many tasks of a service are to run."""
    return int(service["Spec"]["Mode"].get("Replicated", {}).get("Replicas", 1))


def _slots(tasks: Iterable[Mapping[str, Any]], ended: bool) -> list[Slot]:
    """Sort the tasks of a service by replica. With `ended` a replica of which no task is to run is shown too."""
    by_slot: dict[int, list[Mapping[str, Any]]] = {}
    for task in sorted(tasks, key=lambda each: str(each["CreatedAt"]), reverse=True):
        by_slot.setdefault(task.get("Slot", 0), []).append(task)
    slots = []
    for number, (_, own) in enumerate(sorted(by_slot.items()), 1):
        current = next((task for task in own if task["DesiredState"] in ("running", "ready", "complete")), None)
        if current is None:
            if not ended or (len(by_slot) > 1 and own[0]["Status"]["State"] == "shutdown"):
                # Scaled down, or stopped: what ended is no replica.
                continue
            # It ended, and is not started again.
            current = own[0]
        failed = [task for task in own if task is not current and _has_failed(task)]
        failed += [task for task in own if task is not current and task["Status"]["State"] == "complete"]
        same = [task for task in failed if task["Spec"].get("ContainerSpec") == current["Spec"].get("ContainerSpec")]
        slots.append(Slot(number, current, same))
    return slots


def _has_failed(task: Mapping[str, Any]) -> bool:
    """Say whether a task failed for a cause that does not heal by itself."""
    return task["Status"]["State"] in _FAILED and not any(each in failure_words(task) for each in _HEALS)


def _state(instance: Instance, seen: Seen, service: Service) -> ComponentState:
    states = [_replica(instance, seen, service, slot) for slot in service.slots]
    declared = instance.stack.replicas(service.component)
    if not states:
        resting = _resting(instance, service)
        states = [replace(resting, number=number) for number in range(1, max(1, declared) + 1)]
    return together(states, declared)


def _resting(instance: Instance, service: Service) -> ComponentState:
    """Return the state of a replica of a service that is scaled to none, or of which no task was made yet."""
    container = service.template["ContainerSpec"]
    return ComponentState(
        id=service.service["ID"],
        state="created" if service.wanted else "exited",
        health="none",
        restarts=0,
        exit_code=0,
        oom_killed=False,
        since=None,
        image=container["Image"],
        ports=_ports(instance, service),
        declaration=(container.get("Labels") or {}).get(LABEL_DECLARATION, ""),
        image_id=container["Image"],
        once=service.once,
    )


def _replica(instance: Instance, seen: Seen, service: Service, slot: Slot) -> ComponentState:
    task, status = slot.task, slot.task["Status"]
    container = task["Spec"]["ContainerSpec"]
    # What was never started is not started again.
    restarts = sum(not lacks_image(each) for each in slot.failed)
    state, health = _words(task, service.once, bool(restarts), _is_checked(container))
    ran = slot.failed[0] if slot.failed and state == "restarting" else task
    node, where = seen.node_of(task), seen.node_of(ran)
    ended = status["State"] in _ENDED
    lasts = state == "running" or (service.once and ended)
    return ComponentState(
        id=_id(service, slot),
        state=state,
        health=health,
        restarts=restarts,
        exit_code=_exit_code(ran),
        oom_killed="OOM" in failure_words(ran),
        since=answers.time(status["Timestamp"] if state == "running" else task["CreatedAt"]) if lasts else None,
        image=container["Image"],
        ports=_ports(instance, service),
        reason=_reason(ran) if state == "created" or (state in ("restarting", "exited") and _exit_code(ran)) else "",
        memory_limit=(task["Spec"].get("Resources") or {}).get("Limits", {}).get("MemoryBytes"),
        declaration=(container.get("Labels") or {}).get(LABEL_DECLARATION, ""),
        image_id=container["Image"],
        live=_limits(task["Spec"]) | _image(instance, service.component, container["Image"]),
        number=slot.number,
        once=service.once,
        ended=answers.time(status["Timestamp"]) if service.once and ended else None,
        address=node.address if node is not None else "",
        node=where.name if where is not None else "",
    )


def _limits(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the limits of a task as they are rendered: `docker service update` changes them, and no label tells."""
    limits = (spec.get("Resources") or {}).get("Limits") or {}
    return {
        "deploy.resources.limits.cpus": f"{limits.get('NanoCPUs', 0) / 1e9:g}",
        "deploy.resources.limits.memory": f"{limits.get('MemoryBytes', 0) // 2**20}M",
        "deploy.resources.limits.pids": str(limits.get("Pids", 0)),
    }


def _image(instance: Instance, component: str, running: str) -> dict[str, str]:
    """Return the image of a task, as declared if it is the same, else as Docker names it; nothing if it is built."""
    image = workload_of(instance, component).image if component in instance.stack.names else None
    if image is None:
        return {}
    declared = pinned(image, instance.pins)
    same_name = answers.tagged(unpinned(running)) == answers.tagged(unpinned(declared))
    return {"image": declared if same_name and declared.partition("@")[2] in running else running}


def _id(service: Service, slot: Slot) -> str:
    """Name what runs: the same for all tasks that are made from the same, in one slot."""
    spec = slot.task["Spec"]
    made = digest(json.dumps([spec["ContainerSpec"], spec.get("ForceUpdate", 0)], sort_keys=True))
    return f"{service.service['ID'][:12]}.{slot.number}.{made}"


def _words(task: Mapping[str, Any], once: bool, failed: bool, checked: bool) -> tuple[EngineState, Health]:
    """Return state and health in the words of this project. Swarm starts what is not healthy again by itself."""
    state = task["Status"]["State"]
    if state in _WAITING or (lacks_image(task) and not once):
        return ("restarting" if failed else "created"), "none"
    if state == "starting":
        return "running", "starting"
    if state == "running":
        return "running", "healthy" if checked else "none"
    # Otherwise its slot gets another task within a second.
    return ("exited" if once or task["DesiredState"] == "shutdown" else "restarting"), "none"


def _is_checked(container: Mapping[str, Any]) -> bool:
    test: list[str] = (container.get("Healthcheck") or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"


def _exit_code(task: Mapping[str, Any]) -> int:
    code = int((task["Status"].get("ContainerStatus") or {}).get("ExitCode", 0))
    # One that was never started has no code of its own, and has failed; one that was told to end has not done its work.
    return code or (1 if task["Status"]["State"] in _FAILED else _TERMINATED if task["Status"]["State"] in _TOLD else 0)


def _ports(instance: Instance, service: Service) -> dict[PortId, int]:
    """Name the ports that a service publishes, in the order of the declaration."""
    ports = (service.service["Spec"].get("EndpointSpec") or {}).get("Ports") or ()
    published = {f"{each['TargetPort']}/{each['Protocol']}": int(each.get("PublishedPort", 0)) for each in ports}
    name = service.component
    declared = workload_of(instance, name).ports if name in instance.stack.names else ()
    names = {port.on_network: port.id for port in declared}
    order = [*names, *(port for port in published if port not in names)]
    found = {port: names.get(port) or PortId.of(name, port.partition("/")[0]) for port in order}
    return {found[port]: published[port] for port in order if port in published}


def _mounted(template: Mapping[str, Any], project: str) -> list[str]:
    mounts = template["ContainerSpec"].get("Mounts") or ()
    sources = [each.get("Source", "") for each in mounts if each["Type"] == "volume"]
    return [name for name in sources if name.startswith(f"{project}_")]
