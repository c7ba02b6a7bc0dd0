"""Write what a service is alike in the project files of all engines on Docker: pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stack.engines.docker.resolving import literal, resolve
from stack.fields import flatten
from stack.instance import Instance
from stack.workload import Healthcheck, Workload

LOGGING: Mapping[str, Any] = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def started(instance: Instance, workload: Workload) -> dict[str, Any]:
    """Say what is run, and as whom."""
    service: dict[str, Any] = {}
    if workload.init:
        service["init"] = True
    if workload.entrypoint is not None:
        service["entrypoint"] = [literal(resolve(instance, word)) for word in workload.entrypoint]
    if workload.words is not None:
        service["command"] = [literal(resolve(instance, word)) for word in workload.words]
    if workload.hardening.user is not None:
        service["user"] = workload.hardening.user
    return service


def plain_variables(instance: Instance, workload: Workload) -> dict[str, str]:
    """Return the variables whose values may stand in the file."""
    return {variable: literal(resolve(instance, value)) for variable, value in workload.plain_environment.items()}


def surrounded(workload: Workload) -> dict[str, Any]:
    """Say what a program finds around it: its host's name, its folder, and a terminal."""
    service: dict[str, Any] = {}
    if workload.hostname is not None:
        service["hostname"] = workload.hostname
    if workload.working_dir is not None:
        service["working_dir"] = literal(workload.working_dir)
    if workload.terminal:
        service |= {"tty": True, "stdin_open": True}
    return service


def on_networks(networks: Sequence[str], hostname: str | None) -> list[str] | dict[str, Any]:
    """Join networks, with the name that a container has for itself if that is not its service's."""
    return [*networks] if hostname is None else {name: {"aliases": [hostname]} for name in networks}


def limited(workload: Workload) -> dict[str, Any]:
    """Say which further hosts it knows, and what each of its processes may take."""
    service: dict[str, Any] = {}
    if workload.hardening.extra_hosts:
        service["extra_hosts"] = [f"{name}={address}" for name, address in workload.hardening.extra_hosts.items()]
    if workload.limits.ulimits:
        service["ulimits"] = dict(workload.limits.ulimits)
    return service


def capabilities(workload: Workload) -> dict[str, Any]:
    added = {"cap_add": list(workload.hardening.capabilities)} if workload.hardening.capabilities else {}
    return {"cap_drop": ["ALL"], **added}


def labels_of(workload: Workload) -> dict[str, str]:
    """Return the labels that a component declares."""
    return {name: literal(value) for name, value in workload.labels.items()}


def healthcheck(check: Healthcheck, start_period: float) -> dict[str, Any]:
    """Render a health check. Docker takes what is left out from the image, so its own check keeps its own numbers."""
    if check.test == ():
        return {"disable": True}
    asked = (
        {}
        if check.test is None
        else {
            "test": [literal(word) for word in check.test],
            "interval": f"{check.interval:g}s",
            "timeout": f"{check.timeout:g}s",
            "retries": check.retries,
        }
    )
    return asked | {"start_period": f"{start_period:g}s", "start_interval": f"{check.start_interval:g}s"}


def declared_fields(
    instance: Instance, workload: Workload, service: Mapping[str, Any], passed_over: Collection[str]
) -> dict[str, str]:
    """Flatten what makes another container of a service; with `***` for each secret.

    The settings of its command stand for the command. Of its networks the names count, as the engine tells them.
    `passed_over`: the flat names of what makes no other container.
    """
    shown = {**service, "networks": [*service["networks"]]}
    given = {variable: resolve(instance, value) for variable, value in workload.given_environment.items()}
    if given:
        shown["environment"] = {**shown.get("environment", {}), **{key: literal(text) for key, text in given.items()}}
    if workload.settings:
        shown["settings"] = dict(workload.settings)
        del shown["command"]
    return {key: text.replace("$$", "$") for key, text in flatten(shown).items() if key not in passed_over}
