"""What components have in common that others log in to: a database, a cache."""

from __future__ import annotations

from dataclasses import dataclass

from stack.model import Component
from stack.references import Reference, SecretReference


@dataclass(frozen=True)
class Server(Component):
    """A component with an address, a password and a URL of these, which are values of variables."""

    @property
    def host(self) -> Reference:
        return Reference(self.name, "host")

    @property
    def port(self) -> Reference:
        return Reference(self.name, "port")

    @property
    def password(self) -> SecretReference:
        return SecretReference(self.name, "password")

    @property
    def url(self) -> SecretReference:
        """Refer to its URL, with the password if it has one, and of a database with its user and name."""
        return SecretReference(self.name, "url")
