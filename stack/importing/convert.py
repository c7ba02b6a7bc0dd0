"""Convert a Compose project into the text of a stack file, and note what becomes of each of its keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stack.frozen import dataclass
from stack.importing.groups import grouped
from stack.importing.keys import note_keys
from stack.importing.kinds import recognised
from stack.importing.names import component_name, component_names, identifier
from stack.importing.ordering import Ordered, ordered
from stack.importing.parameters import Parameters
from stack.importing.places import Volumes
from stack.importing.ports import Ports, ports_of
from stack.importing.programs import Programs
from stack.importing.project import Notes, Project, Service
from stack.importing.relations import Hosts, Relations
from stack.importing.roles import Roles, roles_of
from stack.importing.serving import Server
from stack.importing.source import Call, Code, quoted, written
from stack.importing.values import Values
from stack.importing.writing import MEMORY, OPEN, OPENNESS, Block, stack_file

# With more relations a stack would need more networks than Docker has.
_MANY = 20
# What a component can't be without.
_NEEDED: Mapping[str, object] = {"image": "image:latest", "source": ".", "command": "true"}


@dataclass(frozen=True)
class Converted:
    """The text of a stack file, its notes, and the names of its components by those of the services."""

    text: str
    notes: Notes
    names: Mapping[str, str]
    servers: Mapping[str, Server]
    jobs: Sequence[str]


def convert(project: Project, title: str, without: Mapping[tuple[str, str], str]) -> Converted:
    """Convert a project. `title`: the name of its file, for the first line. Raises `compose-refused`.

    `without`: the fields of services that a component refuses, each with the reason.
    """
    return _Conversion(project, title, without).result()


class _Conversion:
    """The steps of a conversion, and what they have in common."""

    def __init__(self, project: Project, title: str, without: Mapping[tuple[str, str], str]) -> None:
        self.project, self.title, self.without, self.notes = project, title, without, project.notes.copy()
        contents = {
            name: [text for mount in each.mounts if (text := project.contents.get(str(mount.get("source")), ""))]
            for name, each in project.services.items()
        }
        self.relations = Relations(project, Hosts(project), contents)
        self.relations.check()
        self.servers, self.unfit = recognised(project, self.relations)
        self.roles: Roles = roles_of(project, self.relations, self.servers)
        self.order: Ordered = ordered(project, self.relations, self.servers, self.roles)
        self.names = component_names(project.services)
        for called, component in self.names.items():
            if component != called:
                reason = f"is called {component} here: a name has a-z, 0-9 and -, a letter first"
                self.notes.decide(called, "service", reason)
        self.used = {OPEN.lower(), "stack"}
        self.variables = {name: identifier(self.names[name], self.used) for name in project.services}
        taken: dict[tuple[int, bool], list[str]] = {}
        programs = [name for name in project.services if name not in self.servers]
        for server in self.servers.values():
            if isinstance(number := server.fields.get("publish"), int):
                port = server.port if number is True else number
                taken.setdefault((port, False), []).append(server.service)
        self.ports: dict[str, Ports] = {}
        for name in programs:
            if name not in self.roles.beside and name not in self.roles.jobs:
                service = project.services[name]
                self.ports[name] = ports_of(project, self.relations, service, taken, self.notes)
        self.groups, self.lifted = grouped(project, self.relations, self.servers, self.notes)
        self.parameters = Parameters(project, self.relations, self.servers, self.notes, self.used)
        numbers = {name: dict(each.by_number) for name, each in self.ports.items()}
        self.values = Values(
            project, self.relations, self.servers, self.parameters, self.notes, self.names, self.variables, numbers
        )
        self.values.known = {
            name: frozenset(
                each for each in known if (each in self.ports or each in self.servers) and self._may_need(name, each)
            )
            for name, known in self.order.known.items()
        }
        own = [name for name in programs if name not in self.roles.beside]
        replaced = [each.secret_file for each in self.servers.values() if each.secret_file]
        self.volumes = Volumes(project, own, self.names, self.notes, self.used, replaced)
        self.programs = Programs(project, self.values, self.parameters, self.notes)
        self.users = self._users()

    def result(self) -> Converted:
        components = [self._without_refused(self._component(name)) for name in self.order.names]
        stack, why = self._stack(components)
        title = f"The stack of {self.project.name}, converted from {self.title}."
        text = stack_file(title, self.parameters.declared, self.volumes.shared, components, stack, why)
        self._keep()
        return Converted(text, self.notes, self.names, self.servers, tuple(self.roles.jobs))

    def _users(self) -> dict[str, str]:
        """Return the user of each program. Those that share a volume have one."""
        users = {
            name: self.programs.user(self.project.services[name])
            for name in self.project.services
            if name not in self.servers
        }
        for source in {str(mount.get("source")) for name in users for mount in self.project.services[name].mounts}:
            sharing = [name for name in self.volumes.users(source) if name in users]
            own = {users[name] for name in sharing} - {"image"}
            if len(own) == 1 and all(self._is_root(name) for name in sharing if users[name] == "image"):
                # Root gives the volume to its user, which stackctl does.
                users.update(dict.fromkeys(sharing, own.pop()))
            if len({users[name] for name in sharing}) > 1:
                for name in sharing:
                    if users[name] != "image":
                        reason = f"shares the volume {source} with another user: the user of its image runs it"
                        self.notes.lose(name, "user", reason)
                        users[name] = "image"
        return users

    def _is_root(self, name: str) -> bool:
        return str(self.project.services[name].plain.get("user") or "").partition(":")[0] in ("0", "root")

    def _component(self, name: str) -> Block:
        service = self.project.services[name]
        if name in self.servers:
            return self._server(self.servers[name])
        note_keys(self.project, service, self.notes)
        if name in self.roles.beside:
            return self._beside(service, self.roles.beside[name])
        return self._program(service, "Job" if name in self.roles.jobs else "Container")

    def _without_refused(self, component: Block) -> Block:
        """Leave out what a component refuses."""
        named = dict(component.call.named)
        for (service, field), reason in self.without.items():
            if service == component.service:
                named.pop(field, None)
                if field in _NEEDED:
                    # Without one there is no component: the place to put the right one is there.
                    named = {field: _NEEDED[field], **named}
                self.notes.lose(service, field, reason)
        return replace(component, call=replace(component.call, named=named))

    def _server(self, server: Server) -> Block:
        for reason in server.reasons:
            self.notes.decide(server.service, server.kind, reason)
        call = Call(server.kind, [self.names[server.service]], server.fields)
        return Block(server.service, self.variables[server.service], call, "; ".join(server.reasons))

    def _program(self, service: Service, kind: str) -> Block:
        name = service.name
        environment = self.programs.environment(service)
        fields: dict[str, object] = dict(self.programs.origin(service))
        fields |= self.programs.commands(service, environment)
        health = self.programs.healthcheck(service, environment)
        fields |= {"environment": environment} if environment else {}
        files = self.programs.files_of_variables(service)
        fields |= {"env_files": files} if files else {}
        places = self.volumes.of(service)
        if kind == "Container":
            fields |= self.ports[name].fields | ({"health": health} if health is not None else {})
        else:
            self._check_job(service)
        fields |= self._relations(service, kind)
        fields |= places.fields
        is_open, user = self._user(service)
        fields |= user | self.programs.limits(service)
        if kind == "Container":
            fields |= self.programs.of_container(service, self.ports[name], places, self._other_names(service))
            if self._replicas(service) != 1:
                self.notes.lose(name, "scale", "only a Worker runs several times")
        if is_open and kind == "Job":
            # A job has no `init`.
            names = [key for key in OPENNESS if key not in fields and key != "init"]
            fields |= {key: Code(f"{OPEN}[{quoted(key)}]") for key in names}
            is_open = False
        call = Call(kind, [self.names[name]], fields, self._open(service, fields) if is_open else "")
        return Block(name, self.variables[name], call, self._why(service))

    def _other_names(self, service: Service) -> list[str]:
        """Return the names by which a service is found that are not that of its component."""
        name, own = service.name, self.names[service.name]
        known = [name] if self.relations.users(name) or service.ports else []
        known += [host for host in service.hosts if self.relations.is_called(name, host)]
        return [host for host in known if host != own]

    def _open(self, service: Service, fields: dict[str, object]) -> str:
        """Return what gives a program all that Compose gives, but for what its own fields say."""
        own: dict[str, object] = {"memory": fields.pop("memory")} if "memory" in fields else {}
        own |= {"writable": False} if service.plain.get("read_only") else {}
        own |= {"init": True} if service.plain.get("init") else {}
        return f"({OPEN} | {written(own, 0, 0)})" if own else OPEN

    def _user(self, service: Service) -> tuple[bool, dict[str, object]]:
        """Return whether a program is as open as Compose makes it, and else its user and what that may do."""
        user = self.users[service.name]
        asked = self.programs.capabilities(service)
        dropped = "ALL" in (service.plain.get("cap_drop") or ())
        if user == "image" and not dropped:
            return True, {}
        found: dict[str, object] = {"user": user}
        if not service.plain.get("read_only"):
            found["writable"] = True
        if asked:
            found["capabilities"] = asked
        if service.name not in self.roles.jobs and not service.plain.get("init"):
            found["init"] = False
        return False, found | {"memory": MEMORY}

    def _beside(self, service: Service, app: str) -> Block:
        theirs, kind = self.project.services[app], "Job" if service.name in self.roles.jobs else "Worker"
        environment = self.programs.environment(service)
        if service.plain.get("hostname"):
            self.notes.decide(service.name, "hostname", f"nothing connects to it: a {kind} has no name of its own")
        fields: dict[str, object] = {"of": Code(self.variables[app])}
        fields |= self.programs.commands(service, environment)
        known = self.programs.environment(theirs)
        own = {name: value for name, value in environment.items() if name not in known or known[name] != value}
        if own:
            fields["environment"] = own
        files = self.programs.files_of_variables(service)
        if extra := [each for each in files if each not in self.programs.files_of_variables(theirs)]:
            fields["env_files"] = extra
        if kind == "Worker" and (health := self.programs.healthcheck(service, own)) is not None:
            fields["health"] = health
        fields |= self._relations(service, kind, app)
        placed = [(mount.get("source"), mount.get("target")) for mount in theirs.mounts]
        mounts = [mount for mount in service.mounts if (mount.get("source"), mount.get("target")) not in placed]
        extra_mounts = Service(service.name, service.raw, {**service.plain, "volumes": mounts}, service.given, None)
        fields |= self.volumes.of(extra_mounts).fields
        fields |= self.programs.limits(service)
        if (replicas := self._replicas(service)) != 1 and kind == "Worker":
            fields["replicas"] = replicas
        fields.setdefault("memory", MEMORY)
        call = Call(kind, [self.names[service.name]], fields)
        return Block(service.name, self.variables[service.name], call, self._why(service))

    def _replicas(self, service: Service) -> int:
        declared = (service.plain.get("deploy") or {}).get("replicas") or service.plain.get("scale") or 1
        return int(declared)

    def _check_job(self, service: Service) -> None:
        for key in ("ports", "hostname", "working_dir", "shm_size", "extra_hosts", "stop_signal"):
            if service.plain.get(key) and not (key == "hostname" and not self.relations.users(service.name)):
                self.notes.lose(service.name, key, "a job has no such field: a Container has")
        for key in ("tty", "stdin_open"):
            if service.plain.get(key):
                self.notes.leave(service.name, key, "a job has no terminal")
        for target in service.tmpfs:
            if not target.startswith("/tmp"):  # noqa: S108 - in the container
                self.notes.lose(service.name, f"tmpfs {target}", "a job has no such field: a Container has")

    def _why(self, service: Service) -> str:
        """Return why a service is not of the kind that it seems to be of, and note it."""
        unfit = self.unfit.get(service.name)
        if unfit is None:
            return ""
        text = f"A Container and not a {unfit.kind}, which has nothing for {unfit.reason}."
        self.notes.decide(service.name, "image", text)
        return text

    def _relations(self, service: Service, kind: str, app: str = "") -> dict[str, object]:
        """Return `before`, `after` and `reaches`."""
        name = service.name
        waits = [other for other in self.relations.waits(name) if other not in self.roles.jobs]
        theirs = self.relations.waits(app) if app else ()
        named = [other for other in self.relations.named[name] if other not in self.roles.jobs and other != app]
        # A server waits for nothing itself, so that it can be ready before all that names it.
        after = [*waits, *(other for other in named if other in self.servers)]
        for other in waits:
            if not self._may_need(name, other):
                reason = "is in a group that may be off: it is not waited for"
                self.notes.decide(name, f"depends_on {other}", reason)
            condition = self.project.services[name].needs.get(other, {}).get("condition")
            if condition == "service_healthy" and self._has_no_check(other):
                reason = "is waited for until it runs: its health is what its image says"
                self.notes.decide(name, f"depends_on {other}", reason)
        after = [other for other in dict.fromkeys(after) if self._may_need(name, other) and other not in theirs]
        reaches = [other for other in named if other not in after and other not in waits and other not in theirs]
        reaches += [other for other in self.lifted.get(name, ()) if other not in after]
        found: dict[str, object] = {}
        if kind == "Job":
            before = [other for other in self.project.services if name in self.relations.waits(other)]
            found["before"] = [Code(self.variables[other]) for other in before if other not in self.servers]
        found["after"] = [self._named(name, other) for other in after]
        found["reaches"] = [self._named(name, other) for other in dict.fromkeys(reaches) if self._may_need(name, other)]
        return {key: value for key, value in found.items() if value}

    def _has_no_check(self, name: str) -> bool:
        return name not in self.servers and not (self.project.services[name].plain.get("healthcheck") or {}).get("test")

    def _named(self, name: str, other: str) -> object:
        """Return the variable of a component that is declared above, else its name."""
        position = self.order.names.index
        return Code(self.variables[other]) if position(other) < position(name) else self.names[other]

    def _may_need(self, name: str, other: str) -> bool:
        """Say whether a component can name another: one that is always on none that may be off."""
        return not self.groups.get(other) or bool(self.groups.get(name))

    def _keep(self) -> None:
        gone = {
            (note.service, note.key.partition(" ")[0].partition(".")[0])
            for note in (*self.notes.engine, *self.notes.lost)
        }
        for name, service in self.project.services.items():
            kind = self._kind(name)
            self.notes.keep(name, "service", f"{kind}({self.names[name]!r})")
            for key, value in service.plain.items():
                if value not in (None, [], {}, False, "") and (name, key) not in gone:
                    self.notes.keep(name, key, f"in {kind}")

    def _kind(self, name: str) -> str:
        if name in self.servers:
            return self.servers[name].kind
        if name in self.roles.jobs:
            return "Job"
        return "Worker" if name in self.roles.beside else "Container"

    def _stack(self, components: Sequence[Block]) -> tuple[Call, str]:
        """Return the stack, and the comment above it. It is isolated if it is known who uses what, in few relations."""
        named: dict[str, object] = {}
        groups: dict[str, list[Code]] = {}
        for each in components:
            for group in self.groups.get(each.service, ()):
                groups.setdefault(group, []).append(Code(each.variable))
        if groups:
            named["groups"] = groups
        related = [each for key in ("after", "reaches") for one in components for each in _listed(one.call, key)]
        unclaimed, comment = self.relations.unclaimed(), ""
        if len(related) > _MANY or unclaimed:
            named["isolated"] = False
            why = f"nothing says what uses {unclaimed}" if unclaimed else "it is too large for a network each"
            comment = f"Every component reaches every other, as in Compose: {why}."
            self.notes.decide("", "networks", comment)
        listed = [Code(each.variable) for each in components]
        return Call("Stack", [component_name(self.project.name, "stack"), listed], named), comment


def _listed(call: Call, key: str) -> Sequence[object]:
    value = call.named.get(key)
    return value if isinstance(value, list) else ()
