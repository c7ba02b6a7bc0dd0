"""Decide what a service is: one that ends is a `Job`, one beside an app with its image a `Worker`. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from stack.frozen import dataclass
from stack.importing.project import Project, Service, env_files
from stack.importing.relations import Relations

_ENDING_NAME = re.compile(
    r"(?:^|[-_.])(?:migrat\w*|init\w*|setup|seed\w*|bootstrap|createbuckets?|create[-_]\w+|provision\w*|prestart"
    r"|collectstatic|install\w*|(?:fix[-_])?permissions?)(?:$|[-_.])",
    re.IGNORECASE,
)
_ENDING_COMMAND = re.compile(
    r"\b(?:migrate(?:\s+deploy)?|db:(?:migrate|prepare|seed|setup)|alembic upgrade|db upgrade|flyway|collectstatic"
    r"|mc (?:mb|alias)|createsuperuser)\b[^&|;]*$"
)
# A variable of the app that may decide what its image does: without it the worker would be another.
_DECIDES = re.compile(
    r"RUN|START|ROLE|MODE|PROCESS|TYPE|COMMAND|MIGRAT|INIT|ENABLE|WORKER|SERVER|SERVICE", re.IGNORECASE
)
_EXITS = re.compile(r"(?:^|[;\n&]\s*)exit\s+\d+\s*;?\s*$")
_GOES_ON = re.compile(r"tail -[fF]|sleep infinity|sleep \d{4,}|while true|while :")
# What a worker has from its app, and can't have otherwise: it is the same for both, or the worker is a container.
_SAME = ("working_dir", "extra_hosts", "cap_add", "shm_size", "tmpfs", "read_only", "configs", "secrets", "platform")
# What neither a worker nor a job has.
_OF_CONTAINERS = (
    "tty",
    "stdin_open",
    "stop_signal",
    "hostname",
    "ports",
    "privileged",
    "network_mode",
    "init",
    "devices",
)


@dataclass(frozen=True)
class Roles:
    """The services that end, and those that run beside another, each with the name of that one."""

    jobs: Collection[str]
    beside: Mapping[str, str]


def roles_of(project: Project, relations: Relations, servers: Collection[str]) -> Roles:
    jobs = [name for name in project.services if name not in servers and _ends(project, relations, name)]
    programs = [name for name in project.services if name not in servers]
    apps: dict[str, str] = {}
    for name in sorted(programs, key=lambda each: (not project.services[each].ports, programs.index(each))):
        if name not in jobs:
            apps.setdefault(_identity(project.services[name]), name)
    beside = {
        name: app
        for name in programs
        if (app := apps.get(_identity(project.services[name]))) is not None
        and app != name
        and _runs_beside(project, relations, name, app, name in jobs)
    }
    return Roles(jobs, beside)


def _ends(project: Project, relations: Relations, name: str) -> bool:
    service = project.services[name]
    awaited = [
        other.needs[name].get("condition") == "service_completed_successfully"
        for other in project.services.values()
        if name in other.needs
    ]
    if any(awaited):
        return True
    if service.restart in ("always", "unless-stopped") or service.ports or service.plain.get("healthcheck"):
        return False
    command = " ".join(service.fill(word) for key in ("entrypoint", "command") for word in service.words(key) or ())
    if _GOES_ON.search(command):
        return False
    if _EXITS.search(command):
        return True
    return _ENDING_NAME.search(name) is not None or _ENDING_COMMAND.search(command) is not None


def _identity(service: Service) -> str:
    """Return what two services have in common that run one image."""
    build = service.plain.get("build")
    if build:
        return repr(sorted((key, repr(value)) for key, value in build.items() if key not in ("tags", "labels")))
    return service.image


def _runs_beside(project: Project, relations: Relations, name: str, app: str, job: bool) -> bool:
    service, theirs = project.services[name], project.services[app]
    if not (service.plain.get("command") or service.plain.get("entrypoint")) or (
        name in relations.below(app) and not job
    ):
        return False
    if app in relations.below(name) and job:
        return False
    if any(name in named for named in relations.named.values()) or not _share(service, theirs):
        return False
    if any(service.plain.get(key) for key in _OF_CONTAINERS if not (key == "hostname" and not relations.users(name))):
        return False
    if any(service.plain.get(key) != theirs.plain.get(key) for key in _SAME):
        return False
    if any(_DECIDES.search(name) for name in theirs.environment if name not in service.environment):
        return False
    own_files, their_files = (env_files(each.raw) for each in (service, theirs))
    if own_files[: len(their_files)] != their_files:
        return False
    if (service.plain.get("profiles") or []) == [] and theirs.plain.get("profiles"):
        return False
    if service.plain.get("user") != theirs.plain.get("user"):
        return False
    own = {mount.get("target"): _mount(mount) for mount in service.mounts}
    return all(own.get(mount.get("target"), _mount(mount)) == _mount(mount) for mount in theirs.mounts)


def _share(service: Service, theirs: Service) -> bool:
    """Say whether two services have more in common than an image that anything may have."""
    variables = {*service.environment} & {*theirs.environment}
    mounts = {mount.get("source") for mount in service.mounts} & {mount.get("source") for mount in theirs.mounts}
    return service.has_build or bool(variables or mounts - {None} or service.raw.get("env_file"))


def _mount(mount: Mapping[str, object]) -> tuple[object, ...]:
    return (mount.get("type"), mount.get("source"), bool(mount.get("read_only")))
