"""Name the ports of services: those that they publish, expose, or are reached at. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stack.importing.project import Notes, Project, Service
from stack.importing.relations import Relations

_KNOWN = {
    443: "https", 8443: "https", 5432: "postgres", 3306: "mysql", 27017: "mongo", 6379: "redis", 5672: "amqp",
    15672: "page", 9200: "http", 11211: "memcached", 1025: "smtp", 1883: "mqtt", 4222: "nats", 9092: "kafka",
    53: "dns", 22: "ssh", 25: "smtp", 587: "smtp", 4317: "grpc", 50051: "grpc", 9090: "metrics",
}  # fmt: skip
# Where what answers HTTP listens as a rule.
_WEB = {80, 81, 4200, 9000, *range(3000, 4100), *range(5000, 5300), *range(7000, 7100), *range(8000, 9000)}
_LOCAL = ("127.0.0.1", "::1", "localhost")
_EVERY = ("", "0.0.0.0", "::", "[::]")  # noqa: S104 - as it is in the project


@dataclass
class Ports:
    """The ports of one service by their names: what it listens on, and the ports of this machine for these."""

    ports: dict[str, int | str] = field(default_factory=dict)
    publish: dict[str, int] = field(default_factory=dict)
    public: list[str] = field(default_factory=list)

    @property
    def fields(self) -> dict[str, object]:
        found: dict[str, object] = {"ports": self.ports} if self.ports else {}
        if self.publish:
            found["publish"] = self.publish
        if self.public:
            found["public"] = True if len(self.public) == len(self.publish) else self.public
        return found

    @property
    def by_number(self) -> Mapping[int, str]:
        """The names of those that take connections."""
        return {port: name for name, port in self.ports.items() if isinstance(port, int)}


def ports_of(
    project: Project, relations: Relations, service: Service, taken: dict[tuple[int, bool], list[str]], notes: Notes
) -> Ports:
    """Return the ports of a service. `taken`: who has which port of this machine so far, to which it adds."""
    found = Ports()
    # A program that is built finds the first in PORT, so a page comes before what is for a debugger.
    for port in sorted(service.ports, key=lambda each: not _is_web(int(each["target"]))):
        target, udp = int(port["target"]), port.get("protocol", "tcp") == "udp"
        declared: int | str = f"{target}/udp" if udp else target
        if declared in found.ports.values():
            notes.lose(service.name, f"ports {target}", "one port is published twice")
            continue
        name = _name(found, target, udp, alone=len(service.ports) == 1)
        found.ports[name] = declared
        _publish(project, service, port, name, udp, found, taken, notes)
    exposed = [int(str(each).partition("/")[0]) for each in service.plain.get("expose") or () if _is_number(each)]
    for target in dict.fromkeys((*exposed, *relations.ports_named(service.name))):
        if target not in found.ports.values():
            found.ports[_name(found, target, udp=False, alone=not found.ports)] = target
    return found


def _publish(
    project: Project,
    service: Service,
    port: Mapping[str, object],
    name: str,
    udp: bool,
    found: Ports,
    taken: dict[tuple[int, bool], list[str]],
    notes: Notes,
) -> None:
    target = int(str(port["target"]))
    first, _, last = str(port.get("published") or "").partition("-")
    published = int(first) if first.isdecimal() and 0 < int(first) <= 65535 else target
    if not first or last:
        reason = f"a port that Compose chooses is {published} here; `up --port auto` takes a free one"
        notes.decide(service.name, f"ports {target}", reason)
    others = [each for each in taken.get((published, udp), []) if not _are_alternatives(project, each, service.name)]
    if others:
        reason = f"{others[0]} publishes {published} already, and two can't run at once"
        notes.lose(service.name, f"ports {target}", reason)
        return
    taken.setdefault((published, udp), []).append(service.name)
    found.publish[name] = published
    address = str(port.get("host_ip") or "")
    if address in _EVERY:
        found.public.append(name)
    elif address not in _LOCAL:
        reason = f"is published on {address} alone, which has no form: it is on 127.0.0.1"
        notes.lose(service.name, f"ports {target}", reason)


def _are_alternatives(project: Project, one: str, other: str) -> bool:
    first, second = ({*(project.services[name].plain.get("profiles") or ())} for name in (one, other))
    return bool(first) and bool(second) and not first & second


def _name(found: Ports, target: int, udp: bool, alone: bool) -> str:
    name = _KNOWN.get(target, "http" if alone or ("http" not in found.ports and not udp) else f"p{target}")
    if udp and name == "http":
        name = f"p{target}"
    return name if name not in found.ports else f"p{target}{'-udp' if udp else ''}"


def _is_web(target: int) -> bool:
    return target in _WEB


def _is_number(value: object) -> bool:
    return str(value).partition("/")[0].isdecimal() and not str(value).endswith("/udp")
