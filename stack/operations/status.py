"""`stackctl status`: what exists and how it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.operations.opening import open_instance
from stack.report import Report, table
from stack.settings import Settings


def status(settings: Settings) -> Report:
    opened = open_instance(settings)
    observed = opened.engine.observe()
    data = {
        "instance": opened.instance.name,
        "engine": opened.engine.name,
        "engine_reason": opened.choice.reason,
        "state": overall(opened.instance, observed),
        "urls": dict(opened.instance.urls) if observed.running else {},
        "components": component_data(opened.instance, observed),
    }
    text = _text(opened.instance, observed, datetime.now(UTC))
    if observed.exists:
        text += f"\n\nengine: {opened.engine.name} ({opened.choice.reason})"
    return Report("status", text, data)


def overall(instance: Instance, observed: Observed) -> str:
    """`absent`, `stopped`, `up` when all that is declared runs and none is unwell, else `degraded`."""
    if not observed.exists:
        return "absent"
    if not observed.running:
        return "stopped"
    states = [observed.components.get(name) for name in instance.stack.names]
    well = all(state is not None and state.running and state.health in ("healthy", "none") for state in states)
    return "up" if well else "degraded"


def component_data(instance: Instance, observed: Observed) -> dict[str, Any]:
    """By name: what a program reads of each declared component, and of those that are no longer declared."""
    return {
        name: _component_data(observed.components.get(name))
        for name in dict.fromkeys([*instance.stack.names, *observed.components])
    }


def _component_data(component: ComponentState | None) -> dict[str, Any]:
    if component is None:
        return {"state": "absent", "health": "none", "restarts": 0, "since": None, "port": None, "image": None}
    return {
        "state": component.state,
        "health": component.health,
        "restarts": component.restarts,
        "since": component.since.isoformat() if component.since else None,
        "port": component.port,
        "image": component.image,
    }


def _text(instance: Instance, observed: Observed, now: datetime) -> str:
    if not observed.exists:
        return f"{instance.name} is not up; `stackctl up` starts it"
    rows = [_row(instance, name, observed.components.get(name), now) for name in component_data(instance, observed)]
    return table(["COMPONENT", "ROLE", "STATE", "SINCE", "RESTARTS", "URL"], rows)


def _row(instance: Instance, name: str, component: ComponentState | None, now: datetime) -> list[str]:
    role = instance.stack[name].role if name in instance.stack.names else "no longer declared"
    if component is None:
        return [name, role, "absent", "-", "-", "-"]
    since = duration((now - component.since).total_seconds()) if component.running and component.since else "-"
    url = f"http://localhost:{component.port}" if component.running and component.port else "-"
    return [name, role, component.summary, since, str(component.restarts), url]


def duration(seconds: float) -> str:
    """For people, in the two units that matter: `42s`, `3m 20s`, `5h 2m`, `3d 4h`."""
    whole = max(0, int(seconds))
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("m", whole // 60 % 60), ("s", whole % 60)]
    first = next((position for position, (_, amount) in enumerate(units) if amount), len(units) - 1)
    return " ".join(f"{amount}{unit}" for unit, amount in units[first : first + 2])
