"""Compare what a stack file renders to with what Compose reads of the original, field by field. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stack.fields import is_secret_name
from stack.frozen import dataclass
from stack.importing.convert import Converted
from stack.importing.interpolation import variables_in
from stack.importing.project import Note, Project, Service, env_files, mebibytes, pairs, seconds
from stack.importing.serving import Server

# What stackctl writes for what it does not show, or does not know yet.
_HIDDEN = re.compile(r"\*\*\*|<\w+>")
_SAME_RESTART = {"unless-stopped": "always", "": "no"}
# What a kind of component does in its own way.
_OF_KINDS: Mapping[str, str] = {
    "environment": "it has users and passwords of its own, which those that use it get",
    "volumes": "it keeps its data in a volume of its own",
    "command": "its settings are fields",
    "entrypoint": "its settings are fields",
    "healthcheck": "it is asked in a way of its own",
    "user": "it runs as the user of the server",
    "image": "it is what the kind runs",
    "stop_grace_period": "it has the time that the server needs",
    "env_file": "it has users and passwords of its own, which those that use it get",
}


@dataclass(frozen=True)
class Compared:
    """How many fields were compared, what differs, and what differs because a kind does it in its own way."""

    compared: int
    differences: tuple[Note, ...]
    by_kind: tuple[Note, ...]


@dataclass(frozen=True)
class _Field:
    """A field of both, and whether it is the same."""

    key: str
    before: object
    after: object
    same: bool


def compare(
    project: Project,
    converted: Converted,
    rendered: Mapping[str, Any],
    variables: Mapping[str, Mapping[str, str]],
) -> Compared:
    """Compare each service with its component. `variables`: those that each component is started with."""
    known = {(note.service, note.key) for note in (*converted.notes.lost, *converted.notes.decided)}
    compared, differences, by_kind = 0, list[Note](), list[Note]()
    for name, service in project.services.items():
        component, secrets = converted.names[name], _secrets(project, service, converted.servers.get(name))
        after = rendered["services"].get(component)
        if after is None:
            reason = "is no component of the rendered project: its group can't be on with the others"
            by_kind.append(Note(name, "service", reason))
            continue
        for field in _fields(project, converted, service, after, variables.get(component, {})):
            compared += 1
            if field.same:
                continue
            key = field.key.partition(" ")[0].partition(".")[0]
            reason = f"{_shown(field.before, secrets)} → {_shown(field.after, secrets)}"
            if name in converted.servers and key in _OF_KINDS:
                by_kind.append(Note(name, field.key, f"{_OF_KINDS[key]}: {reason}"))
            elif not _is_known(name, field.key, known):
                differences.append(Note(name, field.key, reason))
    return Compared(compared, tuple(differences), tuple(by_kind))


def _is_known(service: str, key: str, known: set[tuple[str, str]]) -> bool:
    front = key.partition(" ")[0]
    return any(
        one in (service, "") and (other == key or other.partition(" ")[0] == front or front.startswith(f"{other}."))
        for one, other in known
    ) or any(other and key.endswith(f".{other}") for _, other in known)


def _secrets(project: Project, service: Service, server: Server | None) -> list[str]:
    """Return the values of a service that are secrets by their names, and its own password; the longest first."""
    known = {**project.known, **service.values}
    found = {value for name, value in known.items() if value and is_secret_name(name)}
    found |= {server.password} if server and server.password else set()
    return sorted(found, key=len, reverse=True)


def _shown(value: object, secrets: Sequence[str]) -> str:
    text = "nothing" if value is None else str(value)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text if len(text) <= 60 else f"{text[:57]}…"


def _fields(
    project: Project, converted: Converted, service: Service, after: Mapping[str, Any], variables: Mapping[str, str]
) -> Iterator[_Field]:
    before = service.plain
    if not before.get("build"):
        yield _same("image", before.get("image"), after.get("image"))
    else:
        yield from _build(before["build"], after)
    for key in ("command", "entrypoint"):
        one, other = _words(service, key), _unescaped_words(after.get(key))
        yield _Field(key, one, other, _same_words(service, key, one, other))
    yield from _environment(project, converted, service, variables)
    yield from _places(service, after)
    yield from _ports(service, after)
    yield from _needs(converted, service, after)
    if service.name not in converted.jobs:
        yield _healthcheck(service, after)
    for key in ("hostname", "working_dir", "stop_signal"):
        if before.get(key) and not (key == "hostname" and before[key] == service.name):
            yield _same(key, str(before[key]).rstrip("/"), after.get(key))
    if before.get("user"):
        yield _same("user", re.sub(r":0$", ":root", str(before["user"])), after.get("user"))
    for key in ("tty", "stdin_open"):
        if before.get(key) and service.name not in (*converted.servers, *converted.jobs):
            yield _Field(key, True, after.get(key), bool(after.get("tty")))
    if grace := round(seconds(before.get("stop_grace_period"))):
        yield _same("stop_grace_period", grace, round(seconds(after.get("stop_grace_period"))))
    if shm := mebibytes(before.get("shm_size")):
        yield _same("shm_size", shm, mebibytes(after.get("shm_size")))
    yield from _mappings(before, after)


def _same(key: str, before: object, after: object) -> _Field:
    return _Field(key, before, after, before == after)


def _build(build: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[_Field]:
    if after.get("build") is None and after.get("image"):
        # What runs beside an app has the image that is built for it.
        return
    other = after.get("build") or {}
    yield _same("build.context", _normal(build.get("context")), _normal(other.get("context")))
    yield _same("build.target", build.get("target"), other.get("target"))
    theirs = pairs(other.get("args"))
    for name, value in pairs(build.get("args")).items():
        yield _same(f"build.args.{name}", _plain(value), _unescaped(theirs.get(name)))


def _normal(path: object) -> str:
    return posixpath.normpath(str(path or "."))


def _words(service: Service, key: str) -> list[str] | None:
    words = service.words(key)
    return [service.fill(word) for word in words] if words else None


def _unescaped_words(value: object) -> list[str] | None:
    return [str(_unescaped(word)) for word in value] if isinstance(value, list) and value else None


def _same_words(service: Service, key: str, before: list[str] | None, after: list[str] | None) -> bool:
    if before == after:
        return True
    if before is None or after is None or len(before) != len(after):
        # A secret in it is read by a shell; see the notes.
        return any(word for word in service.words(key) or () if _has_secret(word)) and after is not None
    return all(
        _agree(one, other, unknown=bool(variables_in(word)))
        for one, other, word in zip(before, after, service.words(key) or (), strict=True)
    )


def _has_secret(word: tuple[object, ...]) -> bool:
    return any(not isinstance(part, str) for part in word)


def _agree(before: str, after: str, unknown: bool = False) -> bool:
    """Say whether two texts are the same but for what is hidden or not known yet."""
    if before == after:
        return True
    if not _HIDDEN.search(after):
        return False
    pattern = "(?s:.*)".join(re.escape(part) for part in _HIDDEN.split(after))
    return re.fullmatch(pattern, before, re.DOTALL) is not None or unknown


def _environment(
    project: Project, converted: Converted, service: Service, variables: Mapping[str, str]
) -> Iterator[_Field]:
    for name, template in service.environment.items():
        before = None if template is None else service.fill(template)
        after = variables.get(name)
        yield _Field(
            f"environment.{name}", before, after, before is None or _same_value(project, converted, before, after)
        )
    if files := [path for path, _ in env_files(service.raw)]:
        told = service.from_files
        missing = [name for name in told or {} if name not in variables]
        yield _Field("env_file", files, f"without {missing}" if missing else files, told is None or not missing)


def _same_value(project: Project, converted: Converted, before: str, after: str | None) -> bool:
    if after is None:
        return False
    # A secret is in a file of another name.
    if _agree(before, after) or (before.startswith("/run/secrets/") and after.startswith("/run/secrets/")):
        return True
    # A reference: the same server under its new name, with its own user and password.
    for service, server in converted.servers.items():
        if server.kind == "Bucket" and before in (server.user, server.password):
            return True
        if before in (server.user, server.database) and after in (
            server.fields.get("user", "app"), server.fields.get("database", "app"),
        ):  # fmt: skip
            return True
        if re.search(rf"\b{re.escape(converted.names[service])}\b", after) and "://" in before:
            return True
    return any(before.replace(service, component) == after for service, component in converted.names.items()) or bool(
        re.fullmatch(r"\*\*\*", after)
    )


def _places(service: Service, after: Mapping[str, Any]) -> Iterator[_Field]:
    found = {
        str(each["target"]).rstrip("/"): (each["type"], bool(each.get("read_only")))
        for each in after.get("volumes") or ()
    }
    found |= {str(each["target"]).rstrip("/"): ("file", True) for each in after.get("configs") or ()}
    for mount in service.mounts:
        target = str(mount.get("target") or "").rstrip("/")
        if mount.get("type") == "tmpfs":
            continue
        kind, read_only = str(mount.get("type")), bool(mount.get("read_only"))
        there = found.get(target)
        same = there is not None and (
            there[0] == "file" if there[0] == "file" else kind == "bind" or (there[0] == kind and there[1] == read_only)
        )
        yield _Field(f"volumes {target}", f"{kind}{' ro' if read_only else ''}", there, same)
    wanted = {*service.tmpfs}
    wanted |= {str(mount.get("target")) for mount in service.mounts if mount.get("type") == "tmpfs"}
    memory = {str(each).partition(":")[0] for each in after.get("tmpfs") or ()}
    for target in sorted(wanted):
        yield _Field(f"tmpfs {target}", target, target if target in memory else None, target in memory)


def _ports(service: Service, after: Mapping[str, Any]) -> Iterator[_Field]:
    there = {
        (int(port["target"]), str(port.get("protocol", "tcp"))): (str(port.get("published")), port.get("host_ip") or "")
        for port in after.get("ports") or ()
    }
    for port in service.ports:
        target, protocol = int(port["target"]), str(port.get("protocol", "tcp"))
        local = str(port.get("host_ip") or "") in ("127.0.0.1", "::1")
        before = (str(port.get("published") or target), "127.0.0.1" if local else "")
        found = there.get((target, protocol))
        yield _Field(f"ports {target}", before, found, found == before)


def _needs(converted: Converted, service: Service, after: Mapping[str, Any]) -> Iterator[_Field]:
    there = {name: how.get("condition") for name, how in (after.get("depends_on") or {}).items()}
    for name, how in service.needs.items():
        if name not in converted.names:
            continue
        wanted, found = how.get("condition"), there.get(converted.names[name])
        # What ends is waited for until it has, whatever is said.
        stronger = (wanted == "service_started" and found is not None) or found == "service_completed_successfully"
        yield _Field(f"depends_on {name}", wanted, found, found == wanted or stronger)


def _healthcheck(service: Service, after: Mapping[str, Any]) -> _Field:
    declared = service.plain.get("healthcheck") or {}
    before = _test(declared)
    found = _test(after.get("healthcheck") or {})
    secret = bool(service.secrets_in("healthcheck"))
    return _Field("healthcheck", before, found, before is None or before == found or secret)


def _test(healthcheck: Mapping[str, Any]) -> list[str] | None:
    test = healthcheck.get("test")
    words = ["CMD-SHELL", test] if isinstance(test, str) else [str(_unescaped(word)) for word in test or ()]
    if not words or healthcheck.get("disable") or words == ["NONE"]:
        return None
    return ["CMD", "/bin/sh", "-c", *words[1:]] if words[0] == "CMD-SHELL" else words


def _mappings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[_Field]:
    labels, others = _pairs(before.get("labels")), _pairs(after.get("labels"))
    for name, value in labels.items():
        yield _same(f"labels.{name}", value, others.get(name))
    hosts, theirs = _pairs(before.get("extra_hosts")), _pairs(after.get("extra_hosts"))
    for name, value in hosts.items():
        yield _same(f"extra_hosts {name}", value, theirs.get(name))
    for name, each in (before.get("ulimits") or {}).items():
        hard = each if isinstance(each, int) else each.get("hard")
        there = (after.get("ulimits") or {}).get(name)
        yield _same(f"ulimits {name}", hard, there if isinstance(there, int) or there is None else there.get("hard"))
    limits = ((before.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    if memory := mebibytes(limits.get("memory") or before.get("mem_limit")):
        theirs_limits = ((after.get("deploy") or {}).get("resources") or {}).get("limits") or {}
        yield _same("memory", memory, mebibytes(after.get("mem_limit") or theirs_limits.get("memory")))


def _pairs(value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        pairs = {str(name): each[0] if isinstance(each, list) and each else each for name, each in value.items()}
        return {name: str(_unescaped(_plain(each))) for name, each in pairs.items()}
    split = (re.split("[=:]", str(each), maxsplit=1) for each in value or ()) if isinstance(value, list) else ()
    return {entry[0]: str(_unescaped(entry[1])) if len(entry) > 1 else "" for entry in split}


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unescaped(value: object) -> object:
    return value.replace("$$", "$") if isinstance(value, str) else value
