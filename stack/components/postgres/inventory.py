"""What there is on a server beside the contents of its databases, in one question."""

from __future__ import annotations

from collections.abc import Mapping

from stack.components.postgres.properties import Properties, Setting, read_properties, read_setting
from stack.components.postgres.psql import Psql, psql
from stack.components.postgres.saved import major_of
from stack.components.postgres.server import Server
from stack.frozen import dataclass
from stack.snapshots.checked import Part

# The copy of a database that allows no connections; see `stack.components.postgres.transfer`.
COPY = "stackctl_copy_"
# `pg_database` has other columns in other versions. That with a limit of -2 was half deleted, and can't be opened.
_ASKED = rf"""
SELECT json_build_object(
    'version', current_setting('server_version'),
    'admin', (SELECT rolname FROM pg_roles WHERE oid = 10),
    'databases', (SELECT json_agg(json_build_object(
        'name', datname, 'oid', d.oid::int8, 'encoding', pg_encoding_to_char(encoding),
        'size', pg_database_size(d.oid),
        'properties', json_build_object(
            'owner', owner.rolname, 'provider', datlocprovider, 'collate', datcollate, 'ctype', datctype,
            'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
            'rules', to_jsonb(d) ->> 'daticurules',
            'limit', datconnlimit, 'connects', datallowconn, 'template', datistemplate,
            'comment', shobj_description(d.oid, 'pg_database'),
            'grants', CASE WHEN datacl IS NOT NULL THEN (
                SELECT coalesce(json_agg(json_build_object(
                    'to', grantee_role.rolname, 'by', grantor_role.rolname,
                    'privilege', privilege_type, 'grantable', is_grantable) ORDER BY place), '[]')
                FROM aclexplode(datacl) WITH ORDINALITY AS acl (grantor, grantee, privilege_type, is_grantable, place)
                JOIN pg_roles AS grantor_role ON grantor_role.oid = acl.grantor
                LEFT JOIN pg_roles AS grantee_role ON grantee_role.oid = acl.grantee
            ) END)
        ) ORDER BY datname)
        FROM pg_database AS d JOIN pg_roles AS owner ON owner.oid = datdba
        WHERE datname <> 'template0' AND datname !~ '^{COPY}[0-9]+$' AND datconnlimit <> -2),
    'settings', (SELECT coalesce(json_agg(json_build_object(
        'database', datname, 'role', rolname,
        'name', split_part(pair, '=', 1), 'value', substr(pair, strpos(pair, '=') + 1))), '[]')
        FROM pg_db_role_setting LEFT JOIN pg_database AS d ON d.oid = setdatabase
        LEFT JOIN pg_roles AS r ON r.oid = setrole, unnest(setconfig) AS pair
        WHERE d.datconnlimit <> -2 OR (setdatabase = 0 AND setrole = 0)),
    'system', (SELECT coalesce(json_object_agg(name, setting), '{{}}') FROM pg_file_settings
        WHERE sourcefile LIKE '%/postgresql.auto.conf' AND setting IS NOT NULL)
);
"""  # noqa: S608 - a constant
PLAIN = {"search_path": "pg_catalog"}
"""The settings to ask with, which every version knows."""


@dataclass(frozen=True)
class Database:
    """One that there is on a server. `size` in bytes."""

    name: str
    oid: int
    encoding: str
    size: int
    properties: Properties


@dataclass(frozen=True)
class Cluster:
    """A server as a whole. `admin`: the role that it was made with. `system`: what `ALTER SYSTEM` set."""

    version: str
    admin: str
    databases: tuple[Database, ...]
    settings: tuple[Setting, ...]
    system: Mapping[str, str]

    @property
    def major(self) -> int:
        return major_of(self.version)


def read_cluster(server: Server) -> Cluster:
    """Raises `query-failed`."""
    with psql(server, server.database.database, PLAIN) as asked:
        return ask_cluster(asked)


def ask_cluster(asked: Psql) -> Cluster:
    """Raises `query-failed`."""
    whole = Part.read(asked.ask(_ASKED))
    system = whole.part("system")
    return Cluster(
        version=whole.text("version").split()[0],
        admin=whole.name("admin"),
        databases=tuple(map(_database, whole.parts("databases"))),
        settings=tuple(map(read_setting, whole.parts("settings"))),
        system={name: system.text(name, r"[^\x00]*") for name in system.names()},
    )


def _database(part: Part) -> Database:
    properties = read_properties(part.part("properties"))
    return Database(part.name("name"), part.whole("oid"), part.text("encoding"), part.whole("size"), properties)
