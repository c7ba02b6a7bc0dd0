"""What the kinds of servers have in common: which keys they do not need, their port, limits and data. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field

from stack.frozen import dataclass
from stack.importing.names import component_name
from stack.importing.project import Project, Service, mebibytes
from stack.importing.relations import Relations

# What the kinds do by themselves, or have no need of.
_OWN = {
    "image", "environment", "env_file", "ports", "volumes", "command", "healthcheck", "restart", "container_name",
    "networks", "logging", "expose", "pull_policy", "profiles", "deploy", "mem_limit", "cpus", "tty", "stdin_open",
    "stop_grace_period", "init", "mem_reservation", "secrets",
}  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A service that is a kind: `fields` of it, and what its users know of it as Compose has it.

    `secret_file`: the place of the file with its password. `reasons`: what was decided, for a comment.
    """

    service: str
    kind: str
    fields: Mapping[str, object] = field(default_factory=dict)
    port: int = 0
    user: str = ""
    password: str = ""
    database: str = ""
    secret_file: str = ""
    reasons: Sequence[str] = ()


# What a variable is called that is about such a server.
ABOUT: Mapping[str, re.Pattern[str]] = {
    "Postgres": re.compile(r"DB|DATABASE|POSTGRES|PG|SQL", re.IGNORECASE),
    "Redis": re.compile(r"REDIS|VALKEY|CACHE|BROKER|QUEUE", re.IGNORECASE),
}
_FRONT = re.compile(r"USER|DATABASE|DBNAME|DB$|NAME|PASS|PWD|AUTH", re.IGNORECASE)


def is_about(user: Service, name: str, kind: str, hosts: Collection[str]) -> bool:
    """Say whether a variable is about a server, by its name or that of one beside it that has the server's host.

    Two secrets may be alike by chance, as long as they are `changeme`.
    """
    if kind in ABOUT and ABOUT[kind].search(name):
        return True
    front = _FRONT.split(name)[0]
    beside = (value for other, value in user.values.items() if other != name and other.startswith(front))
    return bool(front) and any(value.partition(":")[0] in hosts for value in beside)


class NotFit(Exception):
    """A kind can't say what a service declares. The message says what."""


def check_keys(service: Service, allowed: frozenset[str] = frozenset()) -> None:
    for key, value in service.plain.items():
        if value not in (None, [], {}, False, "") and key not in _OWN | allowed:
            raise NotFit(f"its `{key}`")
    for key in service.plain.get("deploy") or {}:
        if key not in ("resources", "restart_policy", "replicas", "placement", "update_config"):
            raise NotFit(f"its `deploy: {key}`")
    if len(service.hosts) > 1 and any(host not in _own_hosts(service) for host in service.hosts):
        raise NotFit("the other names that it has on its networks")
    if service.from_files is None:
        raise NotFit("its `env_file`, which is not there")


def check_name(service: Service, relations: Relations) -> None:
    """Check that its users find it by its name here: a kind has no other."""
    named = component_name(service.name)
    for host in service.hosts:
        if host != named and relations.is_called(service.name, host):
            raise NotFit(f"its name {host}, which is in a command or a file")
    for user in relations.users(service.name) if named != service.name else ():
        if not relations.finds(user, service.name):
            raise NotFit(f"its name {service.name}, by which {user} may find it")


def _own_hosts(service: Service) -> tuple[object, ...]:
    return (service.name, service.plain.get("container_name"))


def limits_of(service: Service) -> dict[str, object]:
    limits = ((service.plain.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    memory = mebibytes(limits.get("memory") or service.plain.get("mem_limit"))
    cpus = float(limits.get("cpus") or service.plain.get("cpus") or 0)
    return ({"memory": memory} if memory >= 64 else {}) | ({"cpus": cpus} if cpus >= 0.1 else {})


def published(service: Service, target: int) -> dict[str, object]:
    """Return `publish` and `public`. A kind publishes one port."""
    ports = service.ports
    if not ports:
        return {}
    port = ports[0]
    if len(ports) > 1 or port.get("target") != target or port.get("protocol", "tcp") != "tcp":
        raise NotFit("the ports that it publishes")
    number = str(port.get("published") or target)
    if not number.isdecimal():
        raise NotFit("the ports that it publishes")
    address = port.get("host_ip") or ""
    if address not in ("", "0.0.0.0", "::", "127.0.0.1", "::1"):  # noqa: S104 - as it is in the project
        raise NotFit("the address on which it is published")
    publish: object = True if int(number) == target else int(number)
    return {"publish": publish} | ({} if address in ("127.0.0.1", "::1") else {"public": True})


def has_data(project: Project, service: Service, places: Sequence[str]) -> bool:
    """Say whether its data is in a volume or a folder of the project. Raises for what else is mounted."""
    for mount in service.mounts:
        target = str(mount.get("target", "")).rstrip("/")
        if target not in places:
            raise NotFit(f"what is mounted at {target}")
        source = str(mount.get("source") or "")
        shared = [other.name for other in project.services.values() if other.name != service.name]
        if source and any(source == each.get("source") for name in shared for each in project.services[name].mounts):
            raise NotFit("the volume with its data, which another service has too")
        if project.volume(source).get("external"):
            raise NotFit("the external volume with its data")
    return bool(service.mounts)
