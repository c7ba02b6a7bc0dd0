"""Declare a server that stackctl does not run, like a managed database: what it gives is read from its URL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from stack.calls import check_call, check_name
from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.parameters import Parameter
from stack.references import Reference, Value, of_parameter


@dataclass(frozen=True)
class External:
    """A PostgreSQL or a Redis that runs elsewhere, in `uses` like one that stackctl runs.

    - `url`: a secret `Parameter`, whose value is `postgresql://USER:PASSWORD@HOST:5432/NAME` or
      `redis://:PASSWORD@HOST:6379/0`. It is itself a value of a variable: `environment={"DATABASE_URL": db.url}`.

    Its data belongs to others: no snapshot has it, and no command of stackctl changes it.

    Raises `DeclarationError` for a wrong value.
    """

    name: str
    url: Parameter

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_name("External", self.name)
        example = (
            f'write External({self.name!r}, url=Parameter("{self.name.upper().replace("-", "_")}_URL", secret=True))'
        )
        if not isinstance(self.url, Parameter):
            # Not with its value, which has a password.
            raise DeclarationError(f"{self.name}/url", "is not a Parameter", example)
        if not self.url.secret:
            raise DeclarationError(f"{self.name}/url", "has a password, so it is a secret", example)
        if self.url.generate:
            raise DeclarationError(f"{self.name}/url", "can't be generated", example)

    @property
    def host(self) -> Reference:
        return of_parameter(self.url, "host")

    @property
    def port(self) -> Reference:
        return of_parameter(self.url, "port")

    @property
    def user(self) -> Reference:
        return of_parameter(self.url, "user")

    @property
    def password(self) -> Reference:
        return of_parameter(self.url, "password")

    @property
    def database(self) -> Reference:
        """Refer to the name of the database, or to the number of that of a Redis."""
        return of_parameter(self.url, "name")

    @property
    def exports(self) -> Mapping[str, Value]:
        """What a component that uses it gets, by the end of the variable: what a database of the stack gives."""
        return {
            "HOST": self.host,
            "PORT": self.port,
            "NAME": self.database,
            "USER": self.user,
            "PASSWORD_FILE": self.password,
        }


def externals_in(uses: object) -> tuple[External, ...]:
    """Return those in `uses=[…]`."""
    return tuple(each for each in uses if isinstance(each, External)) if isinstance(uses, Iterable) else ()
