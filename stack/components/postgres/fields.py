"""Check the fields that PostgreSQL alone has. Each raises `DeclarationError` with the path of the field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from stack.calls import sequence
from stack.checking import checked_mapping, checked_plain
from stack.component import Component

# The superuser that a server is made with. No app connects as it, and it has no password.
ADMIN = "stackctl_admin"
STANDBY_ROLE = "stackctl_standby"
"""The role with which a standby logs in."""

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# PostgreSQL keeps roles that begin with `pg_` for itself, and an app is not the server's administrator.
_RESERVED_USERS = re.compile(r"pg_.*|postgres|public|none")
# As a control file may be named: `uuid-ossp`.
_EXTENSION = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_TEMPLATES = ("template0", "template1")
# One of an extension has the name of that in front: `pg_stat_statements.max`.
_SETTING = re.compile(r"[a-z_][a-z0-9_]{0,62}(?:\.[a-z_][a-z0-9_]{0,62})?")
_KEPT_SETTINGS = {
    "listen_addresses|port|unix_socket_.*": "it decides where the server listens; `publish` opens it to this machine",
    "data_directory|config_file|hba_file|ident_file|external_pid_file": "it decides where the files of the server are",
    "ssl|ssl_.*": "it makes no certificates; nothing outside this machine reaches the server",
    "logging_collector|log_destination": "`stackctl logs` reads what the server writes to its standard error",
}

_OF_STANDBYS = frozenset(
    {"wal_level", "max_wal_senders", "hot_standby", "synchronous_standby_names", "primary_conninfo",
     "primary_slot_name", "max_replication_slots"}
)  # fmt: skip


def check_identifier(component: Component, field: str, value: object) -> None:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise component.wrong(field, f"{value!r} is not a plain SQL name (a-z, 0-9 and _, at most 63)")


def check_user(component: Component, user: str) -> None:
    check_identifier(component, "user", user)
    if _RESERVED_USERS.fullmatch(user):
        raise component.wrong("user", f"{user!r} is reserved by PostgreSQL; choose another, like 'app'")
    if user == ADMIN:
        raise component.wrong("user", f"{user!r} is stackctl's own administrator; choose another, like 'app'")
    if user == STANDBY_ROLE:
        raise component.wrong("user", f"{user!r} is the role of a standby; choose another, like 'app'")


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


def checked_settings(component: Component, settings: object) -> Mapping[str, str]:
    """Return settings of the server as it reads them, by name. Numbers become text, True and False `on` and `off`."""
    found: dict[str, str] = {}
    for name, value in checked_mapping(component, "settings", settings).items():
        if not isinstance(name, str) or not _SETTING.fullmatch(name):
            raise component.wrong("settings", f"{name!r} is not the name of a setting, like 'work_mem'")
        for kept, reason in _KEPT_SETTINGS.items():
            if re.fullmatch(kept, name):
                raise component.wrong(f"settings/{name}", f"is stackctl's own: {reason}")
        found[name] = _checked_setting(component, f"settings/{name}", value)
    return MappingProxyType(found)


def _checked_setting(component: Component, field: str, value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float) and not math.isfinite(value):
        raise component.wrong(field, f"{value!r} is not a number that a server can be given")
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise component.wrong(field, f"{value!r} is not text, a number, True or False")
    return checked_plain(component, field, value)


def check_standby(component: Component, standby: object, settings: Mapping[str, object]) -> None:
    if standby not in (True, False, "async") or (isinstance(standby, (int, float)) and not isinstance(standby, bool)):
        raise component.wrong("standby", f"{standby!r} is none of True, False and 'async'")
    for name in _OF_STANDBYS.intersection(settings) if standby else ():
        raise component.wrong(f"settings/{name}", "is stackctl's own with a standby, which needs it as it is")


def checked_databases(component: Component, main: str, databases: object) -> tuple[str, ...]:
    """Return the names of the further databases."""
    names = sequence(f"{component.name}/databases", databases)
    found: list[str] = []
    for each in names:
        check_identifier(component, "databases", each)
        if each in (main, *found):
            raise component.wrong("databases", f"{each!r} stands there twice, or is its `database` already")
        if each in (*_TEMPLATES, "postgres"):
            raise component.wrong("databases", f"{each!r} is a database that every server has for itself")
        found.append(str(each))
    return tuple(found)
