"""Check the fields that PostgreSQL alone has. Each raises `DeclarationError` with the path of the field."""

from __future__ import annotations

import re

from stack.model import Component, sequence

# The superuser that a server is made with. No app connects as it, and it has no password.
ADMIN = "stackctl_admin"

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# PostgreSQL keeps roles that begin with `pg_` for itself, and an app is not the server's administrator.
_RESERVED_USERS = re.compile(r"pg_.*|postgres|public|none")
# As a control file may be named: `uuid-ossp`.
_EXTENSION = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_TEMPLATES = ("template0", "template1")


def check_identifier(component: Component, field: str, value: object) -> None:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise component.wrong(field, f"{value!r} is not a plain SQL name (a-z, 0-9 and _, at most 63)")


def check_user(component: Component, user: str) -> None:
    check_identifier(component, "user", user)
    if _RESERVED_USERS.fullmatch(user):
        raise component.wrong("user", f"{user!r} is reserved by PostgreSQL; choose another, like 'app'")
    if user == ADMIN:
        raise component.wrong("user", f"{user!r} is stackctl's own administrator; choose another, like 'app'")


def check_database(component: Component, database: str) -> None:
    check_identifier(component, "database", database)
    if database in _TEMPLATES:
        raise component.wrong("database", f"{database!r} is what PostgreSQL copies new databases from")


def checked_extensions(component: Component, extensions: object) -> tuple[str, ...]:
    names = sequence(f"{component.name}/extensions", extensions)
    found = []
    for each in names:
        if not isinstance(each, str) or not _EXTENSION.fullmatch(each):
            raise component.wrong("extensions", f"{each!r} is not the name of an extension, like 'pg_trgm'")
        if each in found:
            raise component.wrong("extensions", f"{each!r} stands there twice")
        found.append(each)
    return tuple(found)
