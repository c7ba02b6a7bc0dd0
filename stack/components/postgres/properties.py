"""What belongs to a database and not to its contents, and what is set for a whole server: no dump of one has it.

`pg_dump --create` and `pg_dumpall` are the reference for how each is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Literal, cast

from stack.frozen import dataclass
from stack.snapshots.checked import Part

Provider = Literal["c", "i", "b"]
"""Who knows the order of letters: the C library, ICU, or PostgreSQL itself (from 17 on)."""

# Made by `initdb`, with names of its own for what a new server has anyway.
SYSTEM = ("postgres", "template1")
_LOCALE_PROVIDER = {"c": "libc", "i": "icu", "b": "builtin"}
_ANYTHING = r"[^\x00]*"
# Their value is a list of names, quoted as SQL has it (`variable_is_guc_list_quote` in PostgreSQL).
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"]*?))\s*(?:,|$)')


@dataclass(frozen=True)
class Grant:
    """A privilege on a database. `to` None: everyone (PUBLIC)."""

    to: str | None
    by: str
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Properties:
    """Those of a database. `grants` None: as every new database has them."""

    owner: str
    provider: Provider
    collate: str
    ctype: str
    locale: str | None
    rules: str | None
    limit: int
    connects: bool
    template: bool
    comment: str | None
    grants: tuple[Grant, ...] | None

    @property
    def order(self) -> tuple[str | None, ...]:
        """How text is sorted, and which letters it has."""
        return (self.provider, self.collate, self.ctype, self.locale, self.rules)

    @property
    def order_name(self) -> str:
        """For people."""
        return f"{self.locale or self.collate} ({_LOCALE_PROVIDER[self.provider]})"

    def renamed(self, roles: Mapping[str, str]) -> Properties:
        """The same with other names of roles."""
        grants = self.grants and tuple(
            replace(each, to=each.to and roles.get(each.to, each.to), by=roles.get(each.by, each.by))
            for each in self.grants
        )
        return replace(self, owner=roles.get(self.owner, self.owner), grants=grants)


@dataclass(frozen=True)
class Setting:
    """`ALTER DATABASE … SET`, `ALTER ROLE … IN DATABASE … SET`, and with neither name `ALTER ROLE ALL SET`."""

    database: str | None
    role: str | None
    name: str
    value: str

    @property
    def statement(self) -> str:
        where = "ROLE ALL"
        if self.database is not None:
            inside = f"DATABASE {identifier(self.database)}"
            where = f"ROLE {identifier(self.role)} IN {inside}" if self.role is not None else inside
        return f"ALTER {where} SET {identifier(self.name)} TO {_setting_value(self.name, self.value)};\n"


def system_setting(name: str, value: str) -> str:
    return f"ALTER SYSTEM SET {identifier(name)} TO {_setting_value(name, value)};\n"


def read_properties(part: Part) -> Properties:
    """Raises `ValueError` for what are none."""
    part.only([each.name for each in fields(Properties)])
    return Properties(
        owner=part.name("owner"),
        provider=cast("Provider", part.text("provider", "[cib]")),
        collate=part.text("collate"),
        ctype=part.text("ctype"),
        locale=part.text("locale") if part.is_set("locale") else None,
        rules=part.text("rules", _ANYTHING) if part.is_set("rules") else None,
        limit=part.whole("limit", least=-1, most=2**31 - 1),
        connects=part.flag("connects"),
        template=part.flag("template"),
        comment=part.text("comment", _ANYTHING) if part.is_set("comment") else None,
        grants=tuple(map(_read_grant, part.parts("grants"))) if part.is_set("grants") else None,
    )


def _read_grant(part: Part) -> Grant:
    part.only(("to", "by", "privilege", "grantable"))
    to = part.name("to") if part.is_set("to") else None
    return Grant(to, part.name("by"), part.text("privilege", "[A-Z]+"), part.flag("grantable"))


def read_setting(part: Part) -> Setting:
    """Raises `ValueError` for what is none."""
    part.only(("database", "role", "name", "value"))
    database, role = (part.name(key) if part.is_set(key) else None for key in ("database", "role"))
    return Setting(database, role, part.name("name"), part.text("value", _ANYTHING))


def creation(name: str, encoding: str, wanted: Properties | None) -> str:
    """The statement that makes an empty database; without properties in the order of the server's own."""
    words = f"CREATE DATABASE {identifier(name)} TEMPLATE template0 ENCODING {literal(encoding)}"
    if wanted is None:
        # Only the locale C goes with every encoding.
        return words + (";\n" if encoding == "UTF8" else " LOCALE_PROVIDER libc LOCALE 'C';\n")
    words += f" LOCALE_PROVIDER {_LOCALE_PROVIDER[wanted.provider]}"
    words += f" LC_COLLATE {literal(wanted.collate)} LC_CTYPE {literal(wanted.ctype)}"
    if wanted.locale is not None:
        words += f" {'BUILTIN' if wanted.provider == 'b' else 'ICU'}_LOCALE {literal(wanted.locale)}"
    if wanted.rules is not None:
        words += f" ICU_RULES {literal(wanted.rules)}"
    return words + ";\n"


def removal(name: str) -> str:
    """The statements that remove an empty database of a new server, also one that is a template."""
    return f"ALTER DATABASE {identifier(name)} IS_TEMPLATE false;\nDROP DATABASE {identifier(name)};\n"


def changes(name: str, found: Properties, wanted: Properties) -> Iterator[tuple[str, str]]:
    """What makes a database belong to the right role, and let in the right ones: words for people, and the SQL."""
    if wanted.owner != found.owner:
        yield "its owner", f"ALTER DATABASE {identifier(name)} OWNER TO {identifier(wanted.owner)};\n"
    if wanted.comment != found.comment:
        comment = "NULL" if wanted.comment is None else literal(wanted.comment)
        yield "its comment", f"COMMENT ON DATABASE {identifier(name)} IS {comment};\n"
    if wanted.grants is not None and wanted.grants != found.grants:
        yield "its privileges", "".join(_grants(name, wanted, wanted.grants))


def _grants(name: str, wanted: Properties, grants: tuple[Grant, ...]) -> Iterator[str]:
    for role in ("PUBLIC", identifier(wanted.owner)):
        yield f"REVOKE ALL ON DATABASE {identifier(name)} FROM {role};\n"
    for each in grants:
        to = "PUBLIC" if each.to is None else identifier(each.to)
        option = " WITH GRANT OPTION" if each.grantable else ""
        yield f"SET SESSION AUTHORIZATION {identifier(each.by)};\n"
        yield f"GRANT {each.privilege} ON DATABASE {identifier(name)} TO {to}{option};\n"
        yield "RESET SESSION AUTHORIZATION;\n"


def closing(name: str, found: Properties, wanted: Properties) -> str:
    """Return the statements that come last, because the database may accept no connection after them."""
    database = f"ALTER DATABASE {identifier(name)}"
    statements = [
        (wanted.limit != found.limit, f"{database} CONNECTION LIMIT {wanted.limit};\n"),
        (wanted.template != found.template, f"{database} IS_TEMPLATE {str(wanted.template).lower()};\n"),
        (wanted.connects != found.connects, f"{database} ALLOW_CONNECTIONS {str(wanted.connects).lower()};\n"),
    ]
    return "".join(statement for needed, statement in statements if needed)


def identifier(name: str) -> str:
    """A name of SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text of SQL, whatever it holds and however the server reads backslashes."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _setting_value(name: str, value: str) -> str:
    if name.lower() not in _LISTS:
        return literal(value)
    return ", ".join(map(literal, _items(value)))


def _items(value: str) -> Iterator[str]:
    """The names of a list like `"$user", public`; of an empty one the empty name that stands for it."""
    if not value.strip():
        yield ""
    for found in _LIST_ITEM.finditer(value):
        if found[1] is not None:
            yield found[1].replace('""', '"')
        elif found[2]:
            yield found[2]
