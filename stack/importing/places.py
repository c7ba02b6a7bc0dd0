"""Decide what becomes of what a service finds in its folders: volumes, files and folders of the project. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from stack.importing.names import component_name, component_names, identifier
from stack.importing.project import Notes, Project, Service
from stack.importing.source import Call, Code

_SOCKETS = ("docker.sock", "podman.sock", "containerd.sock")
_OF_THE_MACHINE = ("/var/run", "/run", "/var/lib/docker", "/proc", "/sys", "/dev", "/")
_ENGINE_PLACES = ("/proc", "/sys", "/dev", "/run/secrets")
_FILE_NAME = re.compile(r"\.\w{1,10}$|(?:^|/)(?:Caddyfile|Dockerfile|Makefile|Procfile|Gemfile|\.env[\w.]*)$")
# A file that a program writes.
_WRITTEN = re.compile(r"\.(?:sqlite3?|db|log|lock)$|acme\.json$", re.IGNORECASE)
_CONFIGURATION = re.compile(
    r"conf|provision|initdb|entrypoint|templates|certs?\b|ssl|plugins|fixtures|dashboards|rules|scripts", re.IGNORECASE
)


@dataclass
class Places:
    """What one service has in its folders, as the fields of a component say it."""

    volumes: dict[str, object] = field(default_factory=dict)
    files: dict[str, object] = field(default_factory=dict)
    mounts: dict[str, object] = field(default_factory=dict)
    tmpfs: list[str] = field(default_factory=list)
    writable: bool = False

    @property
    def fields(self) -> dict[str, object]:
        found: dict[str, object] = {"volumes": self.volumes, "files": self.files, "mounts": self.mounts}
        return {name: value for name, value in found.items() if value} | (
            {"writable_mounts": True} if self.writable and self.mounts else {}
        )


@dataclass(frozen=True)
class SharedVolume:
    """A volume of the stack file that has a variable."""

    variable: str
    call: Call


class Volumes:
    """The volumes of a project: those of one service are its own, the others have variables."""

    def __init__(
        self,
        project: Project,
        programs: Collection[str],
        names: Mapping[str, str],
        notes: Notes,
        used: set[str],
        replaced: Collection[str],
    ) -> None:
        """Prepare the volumes of `programs`. `replaced`: the places of secrets that are others here."""
        self._project, self._names, self._notes, self._used = project, names, notes, used
        self._replaced = replaced
        self._users: dict[str, list[str]] = {}
        for name in programs:
            for mount in project.services[name].mounts:
                if mount.get("source") and (mount.get("type") == "volume" or self._becomes(mount) == "volume"):
                    self._users.setdefault(str(mount["source"]), []).append(name)
        # Volumes are called by their names and those of their components, of which no two may be alike.
        self._taken = {*names.values()}
        for service in project.services:
            if service not in programs:
                self._taken |= {f"{names[service]}-pgdata", f"{names[service]}-data"}
        self._shared: dict[str, SharedVolume] = {}

    @property
    def shared(self) -> list[SharedVolume]:
        return list(self._shared.values())

    def users(self, source: str) -> Sequence[str]:
        return tuple(dict.fromkeys(self._users.get(source, ())))

    def of(self, service: Service) -> Places:
        """Return the places of a service."""
        places = Places()
        for mount in service.mounts:
            self._place(service, mount, places)
        places.tmpfs += service.tmpfs
        for kind in ("configs", "secrets"):
            for each in service.plain.get(kind) or ():
                self._configuration(service, kind, each, places)
        return places

    def _place(self, service: Service, mount: Mapping[str, object], places: Places) -> None:
        raw = str(mount.get("target") or "")
        target = posixpath.normpath(raw) if raw.startswith("/") else raw
        if not target.startswith("/") or target == "/" or ":" in target:
            self._notes.lose(service.name, f"volumes {raw}", "is no place in a container")
        elif any(target == kept or target.startswith(f"{kept}/") for kept in _ENGINE_PLACES):
            reason = "refused: it is a place that the engine or the kernel needs"
            self._notes.lose(service.name, f"volumes {target}", reason)
        elif target in (*places.files.values(), *places.mounts.values(), *places.volumes):
            self._notes.lose(service.name, f"volumes {target}", "two things are mounted there")
        elif mount.get("type") == "tmpfs":
            places.tmpfs.append(target)
        elif mount.get("type") == "bind":
            self._bind(service, str(mount.get("source") or ""), target, bool(mount.get("read_only")), places)
        elif mount.get("type") == "volume":
            self._volume(service, mount, target, places)
        else:
            self._notes.lose(service.name, f"volumes {target}", f"a mount of the type {mount.get('type')} has no field")

    def _volume(self, service: Service, mount: Mapping[str, object], target: str, places: Places) -> None:
        source = str(mount.get("source") or "")
        inside = [
            other
            for other in _folders(places)
            if f"{target}/".startswith(f"{other}/") or other.startswith(f"{target}/")
        ]
        if inside:
            self._notes.lose(service.name, f"volumes {target}", f"a volume inside of another, {inside[0]}")
            return
        options = mount.get("volume")
        if isinstance(options, Mapping) and options.get("subpath"):
            self._notes.lose(service.name, f"volumes {target}", "a volume is mounted as a whole, and not its subpath")
        declared = self._project.volume(source)
        if declared.get("external"):
            reason = "an external volume stays where it is: the stack has a new one of its own"
            self._notes.lose(service.name, f"volumes {source}", reason)
        if declared.get("driver_opts") or str(declared.get("driver") or "local") != "local":
            reason = "its driver has no form here: the stack has a volume on this machine"
            self._notes.lose(service.name, f"volumes {source}", reason)
        if not source:
            code = self._variable(f"{service.name} {target}", posixpath.basename(target), service, anonymous=True)
            places.volumes[target] = code
        elif len(self.users(source)) > 1 or mount.get("read_only"):
            code = self._variable(source, source, service)
            places.volumes[target] = Code(f"{code.text}.read_only") if mount.get("read_only") else code
        else:
            places.volumes[self._own(service, source, places)] = target

    def _own(self, service: Service, source: str, places: Places) -> str:
        """Return the name of a volume that one service has, without the name of the service in it."""
        name = self._names[service.name]
        short = component_name(re.sub(rf"^{re.escape(service.name)}[-_.]", "", source), "data")
        free, number = short, 2
        while free in places.volumes or f"{name}-{free}" in self._taken:
            free, number = f"{short[:28]}-{number}", number + 1
        self._taken.add(f"{name}-{free}")
        return free

    def _variable(self, key: str, name: str, service: Service, anonymous: bool = False) -> Code:
        if key not in self._shared:
            front = f"{service.name}-{name}" if anonymous else name
            free = component_names([front], self._taken)[front]
            self._taken.add(free)
            options = {"backup": False, "from_image": True} if anonymous else {}
            if anonymous:
                self._notes.decide(service.name, f"volumes {name}", "an anonymous volume has a name")
            self._shared[key] = SharedVolume(identifier(free, self._used), Call("Volume", [free], options))
        return Code(self._shared[key].variable)

    def _bind(self, service: Service, source: str, target: str, read_only: bool, places: Places) -> None:
        if posixpath.basename(source) in _SOCKETS:
            reason = "refused: what reaches the socket of the engine is root on this machine"
            self._notes.lose(service.name, f"volumes {source}", reason)
            return
        path = self._project.beside(source)
        if path is None or source in _OF_THE_MACHINE:
            self._notes.lose(service.name, f"volumes {source}", "refused: it is outside of the project")
            return
        made = self._becomes({"type": "bind", "source": source, "target": target, "read_only": read_only})
        if made == "file":
            self._file(service, path, target, places)
        elif made == "volume":
            self._data(service, path, target, places)
        else:
            places.mounts[path] = target
            places.writable = places.writable or not read_only
            if source not in self._project.found:
                reason = "is not there yet: make it before `stackctl up`"
                self._notes.decide(service.name, f"volumes {path}", reason)

    def _becomes(self, mount: Mapping[str, object]) -> str:
        """Say whether what is mounted becomes a `file`, which is a copy, a `volume`, or a `mount` as it was."""
        source, read_only = str(mount.get("source") or ""), bool(mount.get("read_only"))
        path = self._project.beside(source)
        if mount.get("type") != "bind" or path is None:
            return "mount"
        found = self._project.found.get(source)
        if found == "file" or (found is None and _FILE_NAME.search(source) is not None):
            return "mount" if _WRITTEN.search(source) and not read_only else "file"
        if self._is_source(source) or (found and not (read_only and path != ".")):
            return "mount"
        if read_only or _CONFIGURATION.search(f"{path} {mount.get('target')}"):
            return "file"
        return "mount" if self._has_several_owners(source) else "volume"

    def _has_several_owners(self, source: str) -> bool:
        """Say whether services of different users write into a folder, which a volume does not allow."""
        users = {
            str(each.plain.get("user") or "")
            for each in self._project.services.values()
            if any(mount.get("source") == source for mount in each.mounts)
        }
        return len(users) > 1

    def _is_source(self, source: str) -> bool:
        """Say whether a folder is that of an image's source, or one in it, that is not made by the program."""
        contexts = [
            str((each.plain.get("build") or {}).get("context") or "") for each in self._project.services.values()
        ]
        return (
            any(source == context or context.startswith(f"{source}/") for context in contexts if context)
            or (source == str(self._project.folder))
            or (
                self._project.found.get(source) is None
                and bool(re.search(r"(?:^|/)(?:src|app|source|lib|code)$", source))
            )
        )

    def _file(self, service: Service, path: str, target: str, places: Places) -> None:
        """Copy a file or folder. Two of one name can't be told apart by a component, so the second is mounted."""
        keys = [_key(each) for each in places.files]
        if _key(path) in keys or not _key(path):
            places.mounts[path] = target
            return
        if path not in places.files:
            places.files[path] = target
            return
        self._notes.lose(service.name, f"volumes {target}", f"{path} is in two places")

    def _data(self, service: Service, path: str, target: str, places: Places) -> None:
        """Keep in a volume what a program writes into a folder that is not there yet."""
        inside = [
            other
            for other in _folders(places)
            if f"{target}/".startswith(f"{other}/") or other.startswith(f"{target}/")
        ]
        if inside:
            places.mounts[path] = target
            places.writable = True
            return
        self._notes.decide(service.name, f"volumes {path}", "is not there yet: a volume holds what is written into it")
        if len(self.users(str(self._project.folder / path))) > 1:
            places.volumes[target] = self._variable(f"folder {path}", path.replace("/", "-"), service)
        else:
            places.volumes[self._own(service, posixpath.basename(path), places)] = target

    def _configuration(self, service: Service, kind: str, each: object, places: Places) -> None:
        wanted = each if isinstance(each, Mapping) else {"source": each}
        name = str(wanted.get("source"))
        declared = (self._project.plain.get(kind) or {}).get(name) or {}
        target = str(wanted.get("target") or name)
        if not target.startswith("/"):
            target = f"/{target}" if kind == "configs" else f"/run/secrets/{target}"
        path = self._project.beside(str(declared.get("file"))) if declared.get("file") else None
        if target in self._replaced:
            return
        if path is not None:
            self._file(service, path, target, places)
        elif kind == "configs":
            self._notes.lose(service.name, f"configs {name}", "has no file in the project: write one, for files=")
        elif not any(value == target for key, value in service.values.items() if key.endswith("_FILE")):
            reason = "has no file in the project, and no variable that ends in _FILE has its place"
            self._notes.lose(service.name, f"secrets {name}", reason)


def _folders(places: Places) -> list[str]:
    """Return the folders of the volumes so far."""
    return [key if key.startswith("/") else str(value) for key, value in places.volumes.items()]


def _key(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", posixpath.basename(posixpath.normpath(path)).lower()).strip("-")
