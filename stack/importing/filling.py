"""Put values into the places of variables, so that Compose can bring its short forms into the long ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stack.importing.interpolation import Variable, filled, parse
from stack.importing.project import Notes

# What holds texts by names that the user chose: there an empty one is a value.
_OF_TEXTS = ("environment", "labels", "args")
# Where a text is a text, also without a value for a variable in it.
_FREE = (*_OF_TEXTS, "command", "entrypoint", "image", "volumes", "test")
# What stackctl decides by itself.
_OF_ENGINE = ("restart", "container_name", "pull_policy", "driver")
_GONE = object()


class Filling:
    """A model with values, and notes about what became of variables that have none.

    `careful`: what needs such a variable is left out, but for texts.
    """

    def __init__(self, raw: Mapping[str, Any], given: Mapping[str, str], careful: bool) -> None:
        self._given, self._careful = given, careful
        self._service = ""
        self.notes = Notes()
        services = {}
        for name, service in raw["services"].items():
            self._service = name
            # Compose reads the files of variables, and they need not be there.
            own = {key: value for key, value in service.items() if key != "env_file"}
            services[name] = self._mapping(own, "")
        self._service = ""
        whole = {key: value for key, value in raw.items() if not key.startswith("x-") and key != "services"}
        self.model: dict[str, Any] = self._mapping(whole, "") | {"services": services}

    def _fill(self, value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, key)
        if isinstance(value, list):
            return [each for each in (self._fill(each, key) for each in value) if each is not _GONE]
        if not isinstance(value, str) or "$" not in value:
            return value
        missing = self._missing(value)
        text = filled(parse(value), self._given)
        if key == "ports" and missing:
            return self._port(text, missing)
        if missing and self._careful and key not in _FREE:
            if key in _OF_ENGINE:
                return _GONE
            reason = f"needs {missing}, which has no value: write it into .env, and convert again"
            self.notes.lose(self._service, key, reason)
            return _GONE
        return text

    def _port(self, text: str, missing: str) -> Any:
        """Give a port whose number on this machine has no value the number that it has in the container."""
        number = text.rpartition(":")[2] or text.rstrip(":").rpartition(":")[2]
        if not number.partition("/")[0].isdecimal():
            self.notes.lose(self._service, "ports", f"needs {missing}, which has no value")
            return _GONE
        self.notes.decide(
            self._service, f"ports {number}", f"{missing} has no value: it is {number} on this machine too"
        )
        return f"{number.partition('/')[0]}:{number}"

    def _mapping(self, value: Mapping[str, Any], key: str) -> Any:
        if key == "volumes" and value.get("type") == "volume" and _is_open(value):
            return self._short_mount(value)
        found = {}
        for name, each in value.items():
            inner = self._fill(each, key if key in (*_FREE, "ports") else name)
            was_open = isinstance(each, str) and each != ""
            if (
                inner is _GONE
                or (inner == "" and was_open and key not in _OF_TEXTS)
                or (name == "args" and inner is None)
            ):
                continue
            found[name] = inner
        return found

    def _missing(self, text: str) -> str:
        """Return a variable in a text that has neither a value nor a default."""
        for part in parse(text):
            if isinstance(part, Variable) and part.default is None and not self._given.get(part.name):
                return part.name
        return ""

    def _short_mount(self, mount: Mapping[str, Any]) -> str:
        words = [filled(parse(str(mount.get(name) or "")), self._given) for name in ("source", "target")]
        return ":".join([*filter(None, words), *(["ro"] if mount.get("read_only") else [])])


def _is_open(mount: Mapping[str, Any]) -> bool:
    """Say whether it is a variable that decides what is mounted: Compose could not tell a folder from a volume."""
    return any("$" in str(mount.get(name, "")) for name in ("source", "target"))
