"""What components have in common that others connect to: an address, and what makes it a URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stack.component import Component
from stack.frozen import dataclass
from stack.references import Reference, SecretReference, Value, deferred
from stack.workload import Target


@dataclass(frozen=True)
class Addressed(Component):
    """A component with an address and a URL of it, which are values of variables."""

    _SCHEME: ClassVar[str] = "http"

    @property
    def host(self) -> Reference:
        return Reference(self.name, "host")

    @property
    def port(self) -> Reference:
        return Reference(self.name, "port")

    @property
    def url(self) -> Reference:
        """Refer to the URL at which other components reach it: `SCHEME://HOST:PORT`."""
        return Reference(self.name, "url")

    def meaning(self, reference: Reference, target: Target) -> Value | None:
        return deferred(f"{self._SCHEME}://{self.host}:{self.port}") if reference.field == "url" else None

    def exports(self, target: Target) -> Mapping[str, Value]:
        return {"HOST": self.host, "PORT": self.port, "URL": self.url}


@dataclass(frozen=True)
class Server(Addressed):
    """A component that others log in to, such as a database: its URL has the password."""

    @property
    def password(self) -> SecretReference:
        return SecretReference(self.name, "password")

    @property
    def url(self) -> SecretReference:
        """Refer to its URL, with the password if it has one, and of a database with its user and name."""
        return SecretReference(self.name, "url")
