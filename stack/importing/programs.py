"""Write what a service runs as the fields of a `Container`, a `Worker` or a `Job`, and say what has no field. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from stack.importing.interpolation import Variable, filled, parse
from stack.importing.keys import BEYOND
from stack.importing.names import component_name
from stack.importing.parameters import Parameters
from stack.importing.places import Places
from stack.importing.ports import Ports
from stack.importing.project import Notes, Project, Service, env_files, mebibytes, pairs, seconds
from stack.importing.source import Call, Code, text_of
from stack.importing.values import Values

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
)  # fmt: skip
_DOCKER_ONLY = {"AUDIT_WRITE", "MKNOD", "NET_RAW", "SYS_CHROOT"}
_SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2")
_ROOT = re.compile(r"(?:0|root)(?::.*)?$")
_USER = re.compile(r"(?:[1-9][0-9]{0,9}|[a-z_][a-z0-9_-]{0,31})(?::(?:[1-9][0-9]{0,9}|[a-z_][a-z0-9_-]{0,31}))?")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class Programs:
    """Writes the fields that any program has."""

    def __init__(self, project: Project, values: Values, parameters: Parameters, notes: Notes) -> None:
        self._project, self._values, self._parameters, self._notes = project, values, parameters, notes

    def origin(self, service: Service) -> dict[str, object]:
        """Return `image`, or `source` and how it is built."""
        build = service.plain.get("build")
        if not build:
            image = service.image.removesuffix(":")
            if image and image != service.image:
                self._notes.decide(service.name, "image", "its tag has no value: it is whatever is newest")
            if not image:
                self._notes.lose(service.name, "image", "has no value: name the image in the stack file")
                image = f"{component_name(service.name)}:latest"
            return {"image": image}
        context = str(build.get("context") or ".")
        if "://" in context or context.startswith("git@"):
            self._notes.lose(service.name, "build.context", "is not a folder: name an image, or clone it")
            return {"source": "."}
        found: dict[str, object] = {"source": posixpath.relpath(context, str(self._project.folder))}
        dockerfile = str(build.get("dockerfile") or "Dockerfile")
        if dockerfile.startswith("/"):
            dockerfile = posixpath.relpath(dockerfile, context)
        dockerfile = posixpath.normpath(dockerfile)
        if dockerfile.startswith(".."):
            self._notes.lose(service.name, "build.dockerfile", "is outside of the folder that is built")
        elif dockerfile != "Dockerfile":
            found["dockerfile"] = dockerfile
        if build.get("target"):
            found["target"] = str(build["target"])
        if args := self._arguments(service, build.get("args")):
            found["args"] = args
        for key, value in build.items():
            if value and key not in (
                "context",
                "dockerfile",
                "target",
                "args",
                "tags",
                "labels",
                "cache_from",
                "cache_to",
            ):
                self._notes.lose(service.name, f"build.{key}", "has no field")
        return found

    def _arguments(self, service: Service, args: object) -> dict[str, object]:
        listed = pairs(args)
        secrets = service.secrets_in("build")
        found: dict[str, object] = {}
        for name, value in listed.items():
            if value is None:
                self._notes.lose(service.name, f"build.args.{name}", "comes from the shell: write its value")
            elif secrets and any(self._project.known.get(each) == value for each in secrets):
                self._notes.lose(service.name, f"build.args.{name}", "is a secret, which an image would keep")
            else:
                found[str(name)] = _plain(value)
        return found

    def commands(self, service: Service, environment: dict[str, object]) -> dict[str, object]:
        """Return `command` and `entrypoint`. A secret in one is read from a variable, by a shell."""
        found: dict[str, object] = {}
        for key in ("command", "entrypoint"):
            if self._values.secret_in(service, key):
                found[key] = self._by_shell(service, key, environment)
            elif (words := self._values.words(service, key)) is not None:
                found[key] = words
        if found.get("entrypoint") in ("", []):
            found = {**found, "entrypoint": []} if found.get("command") else {}
        if found.get("command") in ("", []):
            del found["command"]
        return found

    def _by_shell(self, service: Service, key: str, environment: dict[str, object]) -> object:
        parts: list[str | Code] = ["exec"]
        for word in service.words(key) or ():
            parts.append(" ")
            for part in word or ("''",):
                if isinstance(part, str):
                    parts.append(shlex.quote(part))
                elif self._parameters.is_secret(part.name):
                    parts.append(f'"${self._variable_with(service, part, environment)}"')
                else:
                    code = self._parameters.of_variable(part, service.name)
                    parts.append(code if isinstance(code, Code) else shlex.quote(code))
        self._notes.decide(
            service.name, key, "a secret in it is read from a variable: others see the words of a command"
        )
        return ["sh", "-c", text_of(parts)]

    def _variable_with(self, service: Service, part: Variable, environment: dict[str, object]) -> str:
        """Return the variable of a service that has the value of one of the project."""
        for name, template in service.environment.items():
            if template == (part,):
                return name
        environment[part.name] = self._parameters.of_variable(part, service.name)
        return part.name

    def environment(self, service: Service) -> dict[str, object]:
        found = self._values.environment(service)
        for name in [name for name in found if not _VARIABLE.fullmatch(name)]:
            self._notes.lose(service.name, f"environment.{name}", "is not the name of a variable")
            del found[name]
        return found

    def files_of_variables(self, service: Service) -> list[str]:
        found: list[str] = []
        for path, required in env_files(service.raw):
            relative = self._project.beside(path)
            missing = self._project.variables.get(path) is None
            if relative is None:
                self._notes.lose(service.name, f"env_file {path}", "refused: it is outside of the project")
            elif missing and not required:
                self._notes.decide(service.name, f"env_file {relative}", "is not there, and need not be")
            elif relative not in found:
                found.append(relative)
                if missing:
                    self._notes.decide(service.name, f"env_file {relative}", "is not there yet: `up` needs it")
        return found

    def healthcheck(self, service: Service, environment: dict[str, object]) -> Call | None:
        declared = service.plain.get("healthcheck") or {}
        test = declared.get("test")
        words = ["CMD-SHELL", test] if isinstance(test, str) else [str(word) for word in test or ()]
        if declared.get("disable") or words[:1] == ["NONE"]:
            self._notes.decide(service.name, "healthcheck", "off: the check of its image is asked, if that has one")
            return None
        if not words:
            return None
        shell = words[0] == "CMD-SHELL"
        words = words[1:] if words[0] in ("CMD", "CMD-SHELL") else words
        if service.secrets_in("healthcheck"):
            words = self._hidden(service, environment)
            shell = True
        named: dict[str, object] = {}
        for key, usual in (("interval", 10), ("timeout", 5)):
            value = max(round(seconds(declared.get(key) or "30s")), 1)
            if value != usual:
                named[key] = value
        if str(declared.get("retries") or 3).isdecimal() and int(declared.get("retries") or 3) not in (0, 3):
            named["retries"] = int(declared["retries"])
        return Call("health.command", [["/bin/sh", "-c", *words] if shell else words], named)

    def _hidden(self, service: Service, environment: dict[str, object]) -> list[str]:
        """Return the script of a health check, which reads its secrets from variables."""
        test = (service.raw.get("healthcheck") or {}).get("test")
        listed = ["CMD-SHELL", test] if isinstance(test, str) else list(test or ())
        script = ""
        for word in listed[1:]:
            text = ""
            for part in parse(str(word)):
                if isinstance(part, str):
                    text += part if listed[0] == "CMD-SHELL" else shlex.quote(part)
                elif part.name in service.secrets_in("healthcheck"):
                    text += f'"${self._variable_with(service, part, environment)}"'
                else:
                    text += filled((part,), self._project.known)
            script += f" {text}" if script else text
        self._notes.decide(service.name, "healthcheck", "a secret in it is read from a variable")
        return [script]

    def user(self, service: Service) -> str:
        """Return the user of a service: `image` for the one that its image names."""
        declared = str(service.plain.get("user") or "")
        if not declared:
            return "image"
        if _ROOT.match(declared):
            self._notes.lose(
                service.name, "user", f"refused: {declared} is root; the user of its image runs it instead"
            )
            return "image"
        declared = re.sub(r":0$", ":root", declared)
        if not _USER.fullmatch(declared):
            self._notes.lose(service.name, "user", f"{declared!r} is no user that a component can have")
            return "image"
        return declared

    def limits(self, service: Service) -> dict[str, object]:
        """Return what Compose limits."""
        found: dict[str, object] = {}
        limits = ((service.plain.get("deploy") or {}).get("resources") or {}).get("limits") or {}
        if memory := mebibytes(limits.get("memory") or service.plain.get("mem_limit")):
            found["memory"] = max(memory, 16)
        cpus = limits.get("cpus") or service.plain.get("cpus")
        if cpus and float(cpus) >= 0.1:
            found["cpus"] = float(cpus)
        if grace := round(seconds(service.plain.get("stop_grace_period"))):
            found["stop_grace"] = grace
        ulimits = service.plain.get("ulimits") or {}
        if ulimits:
            hard = {name: each if isinstance(each, int) else each.get("hard") for name, each in ulimits.items()}
            found["ulimits"] = {name: int(each) for name, each in hard.items() if each is not None}
        if labels := dict(self._labels(service)):
            found["labels"] = labels
        return found

    def _labels(self, service: Service) -> Iterator[tuple[str, str]]:
        labels = pairs(service.plain.get("labels"))
        secrets = {self._project.known[name] for name in service.secrets_in("labels")}
        for name, value in labels.items():
            text = "" if value is None else _plain(value)
            if name.startswith(("com.docker.", "stackctl.")) or not _LABEL.fullmatch(name):
                self._notes.lose(service.name, f"labels.{name}", "is no label that a component can have")
            elif any(secret in text for secret in secrets):
                self._notes.lose(service.name, f"labels.{name}", "holds a secret, which everything sees in a label")
            else:
                yield name, text

    def of_container(self, service: Service, ports: Ports, places: Places, others: Sequence[str]) -> dict[str, object]:
        """Return what a `Container` alone has. `others`: names by which it is found beside the one that it has."""
        plain, found = service.plain, dict[str, object]()
        if plain.get("tty") or plain.get("stdin_open"):
            found["terminal"] = True
        if hostname := self._hostname(service, others):
            found["hostname"] = hostname
        if folder := str(plain.get("working_dir") or ""):
            found["working_dir"] = posixpath.normpath(folder)
        if hosts := dict(self._extra_hosts(service)):
            found["extra_hosts"] = hosts
        if shm := mebibytes(plain.get("shm_size")):
            found["shm"] = shm
        signal = str(plain.get("stop_signal") or "").removeprefix("SIG")
        if signal in _SIGNALS:
            found["stop_signal"] = signal
        elif signal:
            self._notes.lose(service.name, "stop_signal", f"{signal} is none of {', '.join(_SIGNALS)}")
        taken = [key if key.startswith("/") else str(each) for key, each in places.volumes.items()]
        taken += [str(each) for each in (*places.files.values(), *places.mounts.values())]
        memory = [each for each in dict.fromkeys((*places.tmpfs, "/tmp")) if each not in taken]  # noqa: S108 - in it
        if memory != ["/tmp"]:  # noqa: S108 - in the container
            found["tmpfs"] = memory
        if self._is_cut_off(service) and not ports.publish:
            found["egress"] = False
        return found

    def _hostname(self, service: Service, others: Sequence[str]) -> str:
        hosts = [host for host in service.hosts if host not in (service.name, service.plain.get("container_name"))]
        if service.plain.get("hostname") == service.name:
            hosts = [host for host in hosts if host != service.name]
        hosts = list(dict.fromkeys((*hosts, *others)))
        for host in hosts[1:]:
            self._notes.lose(service.name, "networks", f"another name on its networks, {host}: a component has one")
        return hosts[0] if hosts and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", hosts[0]) else ""

    def _extra_hosts(self, service: Service) -> Iterator[tuple[str, str]]:
        declared = service.plain.get("extra_hosts") or []
        listed = (
            declared.items()
            if isinstance(declared, Mapping)
            else (re.split("[=:]", str(each), maxsplit=1) for each in declared)
        )
        for entry in listed:
            name, address = (*entry, "")[:2]
            if isinstance(address, list):
                address = str(address[0]) if address else ""
            if address == "host-gateway" or re.fullmatch(r"[0-9a-fA-F.:]+", str(address)):
                yield str(name), str(address)
            else:
                self._notes.lose(service.name, f"extra_hosts {name}", f"{address!r} is no address")

    def _is_cut_off(self, service: Service) -> bool:
        networks = self._project.plain.get("networks") or {}
        joined = [networks.get(name) or {} for name in service.plain.get("networks") or ()]
        return bool(joined) and all(each.get("internal") for each in joined)

    def capabilities(self, service: Service) -> list[str]:
        """Return the capabilities that it asks for beside Docker's own."""
        found = []
        for each in service.plain.get("cap_add") or ():
            name = str(each).upper().removeprefix("CAP_")
            if name in CAPABILITIES:
                found.append(name)
            elif name not in _DOCKER_ONLY:
                self._notes.lose(service.name, f"cap_add {name}", BEYOND)
        for each in service.plain.get("security_opt") or ():
            if not str(each).startswith("no-new-privileges"):
                self._notes.lose(service.name, "security_opt", BEYOND)
        return found


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
