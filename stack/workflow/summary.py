"""Sum up an instance: its state in one word, its components for programs, its addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from stack.instance import Instance
from stack.observed import ComponentState, InstanceState, Observed, instance_state
from stack.report import times
from stack.results.instances import ComponentStatus
from stack.style import Style
from stack.verdict.judge import brief
from stack.workload import WEB, PortId


def overall(instance: Instance, observed: Observed) -> InstanceState:
    """Return the state of the whole: `up` if all that is declared runs and is healthy, or is done.

    It is `partial` if only what does not run on purpose does not.
    """
    words = {name: component.word for name, component in observed.components.items()}
    state = instance_state(words, instance.expected) if instance.expected else instance_state(words)
    if state != "up":
        return state
    if any(each.once and not each.well for each in observed.components.values()):
        return "degraded"
    resting = [observed.components.get(name) for name in instance.stopped.intersection(instance.stack.names)]
    return "up" if all(each is not None and each.well for each in resting) else "partial"


def located(instance: Instance, observed: Observed) -> Instance:
    """Return it with the addresses of the machines on which its components answer."""
    addresses = {name: state.first.address for name, state in observed.components.items() if state.first.address}
    return replace(instance, addresses=addresses) if addresses else instance


def page_urls(instance: Instance) -> list[str]:
    """Give the addresses that a browser opens."""
    patterns = instance.url_patterns
    return [url for port, url in instance.urls.items() if patterns.get(port, WEB) == WEB]


def server_lines(instance: Instance, style: Style) -> list[str]:
    """For people: where each published server answers that no browser opens, and in which file its password is."""
    pages = page_urls(instance)
    return [_line(instance, port, url, style) for port, url in instance.urls.items() if url not in pages]


def url_lines(instance: Instance, style: Style, only: Collection[str] = ()) -> list[str]:
    """For people: where each published component that is to run answers, all or those of `only`."""
    shown = only or instance.expected
    return [_line(instance, port, url, style) for port, url in instance.urls.items() if port.component in shown]


def _line(instance: Instance, port: PortId, url: str, style: Style) -> str:
    files = [instance.secret_file(secret.id) for secret in instance.stack[port.component].secrets("container")]
    password = f"  (password in {style.path(files[0])})" if files else ""
    return f"  {port.typed}: {style.url(url)}{password}"


def stopped_lines(instance: Instance, observed: Observed, local: Collection[str] = ()) -> list[str]:
    """Say, for people, what does not run on purpose and how it is started; `local` runs outside of the engine."""
    stopped = instance.stopped.difference(local)
    states = {name: observed.components.get(name) for name in instance.stack.names if name in stopped}
    resting = [name for name, state in states.items() if state is None or not state.running]
    return [f"not running, on purpose: {', '.join(resting)}; `stackctl up` starts everything"] if resting else []


def group_lines(groups: Mapping[str, bool]) -> list[str]:
    """Say, for people, which groups are off and how they are turned on."""
    off = [group for group, on in groups.items() if not on]
    options = " ".join(f"--with {group}" for group in off)
    return [f"off: {', '.join(off)}; `stackctl up {options}`"] if off else []


def component_statuses(instance: Instance, observed: Observed) -> dict[str, ComponentStatus]:
    """By name: each declared component, and those that are no longer declared."""
    public = set(publics(instance))
    return {
        name: _component_status(observed.components.get(name), instance.stack.replicas(name), name in public)
        for name in dict.fromkeys([*instance.stack.names, *observed.components])
    }


def publics(instance: Instance) -> list[str]:
    """Name the components that publish their ports on every address of this machine, as declared."""
    return [name for name in instance.stack.names if instance.stack.own_workload(name, "container").public]


def _component_status(component: ComponentState | None, replicas: int, public: bool) -> ComponentStatus:
    if component is None:
        return ComponentStatus(
            "absent", "none", problem=None, restarts=0, since=None, ended=None, port=None, ports={}, public=public,
            image=None, replicas=replicas, replicas_well=0,
        )  # fmt: skip
    return ComponentStatus(
        state=component.state,
        health=component.health,
        problem=problem(component),
        restarts=component.restarts,
        since=component.since,
        ended=component.ended,
        port=next(iter(component.ports.values()), None),
        ports=component.ports,
        public=public,
        image=component.image,
        replicas=component.wanted,
        replicas_well=sum(each.well for each in component.each),
    )


def problem(component: ComponentState) -> str | None:
    """Return what is wrong with a component that runs, as far as it is known; on one line."""
    if not component.running or component.well:
        return None
    of_replica = f"replica {component.number} " if not all(each.well for each in component.replicas) else ""
    if component.health == "unstable":
        return f"{of_replica}was started again {times(component.restarts)}, the last time a moment ago"
    if component.state != "running":
        return f"{of_replica}is {component.state}"
    said = brief(component.health_output)
    return f"{of_replica}says: {said}" if of_replica and said else said or None
