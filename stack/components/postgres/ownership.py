"""Give what belongs to the administrator of a server to the declared user, who is no administrator.

No statement of PostgreSQL does that at once: `REASSIGN OWNED` refuses for the role that `initdb` made. What only a
superuser may own stays with the administrator: event triggers, foreign-data wrappers, subscriptions, publications of
all tables.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from stack.components.postgres import ADMIN
from stack.components.postgres.content import neutral
from stack.components.postgres.psql import Psql
from stack.components.postgres.server import Server, conninfo
from stack.components.postgres.transfer import run_sql
from stack.controls import visible
from stack.errors import StackError

# One transaction holds a lock for each object, and a server has room for some thousands.
_AT_ONCE = 1000
# The role that renames the one that a session belongs to, which no session may do itself.
_BETWEEN = "stackctl_between"
# As PostgreSQL says it of an extension that its own user may not make, change or comment on.
_REFUSED_EXTENSION = re.compile(r"permission denied to create extension|must be owner of extension")
NEEDS_ADMIN = (
    "only stackctl makes this extension: name it in the declaration, Postgres({name!r}, extensions=[…]), and leave out "
    "what makes or comments on it"
)
QUIET = "SET client_min_messages = warning;\n"
_SERVES = "datallowconn AND datconnlimit <> -2"
# The objects of the first role that are no part of PostgreSQL or of an extension, as `pg_identify_object` takes them.
# What follows another object (an index, an array, the sequence of a column) is left out, and what is temporary.
_OWNED = """
SELECT classid, objid FROM (
    SELECT 'pg_class'::regclass AS classid, oid AS objid FROM pg_class AS c
    WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'
        AND NOT (relkind = 'S' AND EXISTS (SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = typrelid
    WHERE typowner = 10 AND typtype IN ('b', 'c', 'd', 'e', 'r') AND (typrelid = 0 OR c.relkind = 'c')
        AND NOT EXISTS (SELECT FROM pg_type AS element WHERE element.typarray = t.oid)
    UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspowner = 10 AND nspname !~ '^pg_'
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE proowner = 10
    UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprowner = 10
    UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass WHERE opcowner = 10
    UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily WHERE opfowner = 10
    UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation WHERE collowner = 10
    UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion WHERE conowner = 10
    UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language WHERE lanowner = 10
    UNION ALL SELECT 'pg_foreign_server'::regclass, oid FROM pg_foreign_server WHERE srvowner = 10
    UNION ALL SELECT 'pg_publication'::regclass, p.oid FROM pg_publication AS p WHERE pubowner = 10
        AND NOT puballtables AND NOT EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = p.oid)
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxowner = 10
    UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config WHERE cfgowner = 10
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict WHERE dictowner = 10
    UNION ALL SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata WHERE lomowner = 10
) AS owned
WHERE (objid >= 16384 OR classid = 'pg_largeobject'::regclass
        OR (classid, objid) IN (SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname = 'public'))
    AND NOT EXISTS (SELECT FROM pg_depend AS d
        WHERE d.classid = owned.classid AND d.objid = owned.objid AND d.deptype = 'e')
    AND coalesce((pg_identify_object(classid, objid, 0)).schema, '') !~ '^pg_'
"""
_COUNT = f"SELECT count(*) FROM ({_OWNED}) AS owned"  # noqa: S608 - constants
# `{user}` is a plain name.
_HAND_OVER = f"""
SELECT format('ALTER %s %s OWNER TO {{user}}', CASE
        WHEN classid = 'pg_proc'::regclass THEN 'ROUTINE'
        WHEN classid = 'pg_class'::regclass AND type <> 'sequence' THEN 'TABLE'
        WHEN classid = 'pg_statistic_ext'::regclass THEN 'STATISTICS'
        ELSE upper(type) END, identity)
FROM ({_OWNED} LIMIT {_AT_ONCE}) AS owned, pg_identify_object(classid, objid, 0) \\gexec
"""  # noqa: S608 - constants
# No statement gives an extension or a mapping of a user away.
_EXTENSIONS = """
WITH moved AS (UPDATE pg_extension SET extowner = '{user}'::regrole WHERE extowner = 10 AND oid >= 16384 RETURNING oid)
INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
SELECT d.oid, 'pg_extension'::regclass, moved.oid, 0, 'pg_authid'::regclass, '{user}'::regrole, 'o'
FROM moved, pg_database AS d WHERE datname = current_database();
SELECT format('GRANT USAGE ON FOREIGN DATA WRAPPER %I TO {user}', fdwname)
FROM pg_foreign_data_wrapper WHERE fdwowner = 10 AND oid >= 16384 \\gexec
"""
_MAPPINGS = """
WITH moved AS (UPDATE pg_user_mapping SET umuser = '{user}'::regrole WHERE umuser = 10 RETURNING oid)
INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
SELECT d.oid, 'pg_user_mapping'::regclass, moved.oid, 0, 'pg_authid'::regclass, '{user}'::regrole, 'o'
FROM moved, pg_database AS d WHERE datname = current_database();
"""
# What others have granted to the first role, and the policies of row security that are for it.
_GRANTS = """
SELECT format('GRANT %s ON %s TO {user}%s', privilege_type || COALESCE(columns, ''), target,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM (
    SELECT relowner, relacl, NULL AS columns,
        CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass
    FROM pg_class AS c WHERE relpersistence <> 't'
    UNION ALL SELECT relowner, attacl, format(' (%I)', attname), 'TABLE ' || c.oid::regclass
    FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
    UNION ALL SELECT proowner, proacl, NULL, 'ROUTINE ' || oid::regprocedure FROM pg_proc
    UNION ALL SELECT nspowner, nspacl, NULL, format('SCHEMA %I', nspname) FROM pg_namespace
    UNION ALL SELECT typowner, typacl, NULL, 'TYPE ' || oid::regtype FROM pg_type
    UNION ALL SELECT srvowner, srvacl, NULL, format('FOREIGN SERVER %I', srvname) FROM pg_foreign_server
    UNION ALL SELECT lomowner, lomacl, NULL, 'LARGE OBJECT ' || oid FROM pg_largeobject_metadata
    UNION ALL SELECT datdba, datacl, NULL, format('DATABASE %I', datname) FROM pg_database
) AS granted (owner, acl, columns, target), aclexplode(acl) WHERE grantee = 10 AND owner <> 10 \\gexec
SELECT format('ALTER POLICY %I ON %s TO %s', polname, polrelid::regclass, (
    SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' WHEN 10 THEN '{user}' ELSE role::regrole::text END, ', ')
    FROM unnest(polroles) AS role))
FROM pg_policy WHERE 10 = ANY (polroles) \\gexec
"""
_KINDS = """(VALUES ('r', 'r', 'TABLES'), ('S', 's', 'SEQUENCES'), ('f', 'f', 'FUNCTIONS'), ('T', 'T', 'TYPES'),
    ('n', 'n', 'SCHEMAS'), ('L', 'L', 'LARGE OBJECTS')) AS kinds (stored, kind, objects)"""
_DEFAULTS = f"""
SELECT statement FROM (
    SELECT objects, defaclnamespace, defaclacl, kind, format('ALTER DEFAULT PRIVILEGES FOR ROLE %%s%s',
        ' IN SCHEMA ' || replace(quote_ident(nspname), '%', '%%')) AS altered
    FROM pg_default_acl LEFT JOIN pg_namespace AS n ON n.oid = defaclnamespace
    JOIN {_KINDS} ON stored = defaclobjtype WHERE defaclrole = 10
) AS found, LATERAL (
    SELECT 1, format(altered || ' REVOKE ALL ON %s FROM PUBLIC, {{user}}', '{{user}}', objects)
    WHERE defaclnamespace = 0
    UNION ALL
    SELECT 2, format(altered || ' GRANT %s ON %s TO %s%s', '{{user}}', privilege_type, objects,
        CASE grantee WHEN 0 THEN 'PUBLIC' WHEN 10 THEN '{{user}}' ELSE grantee::regrole::text END,
        CASE WHEN is_grantable AND grantee <> 10 THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM aclexplode(defaclacl)
    UNION ALL
    SELECT 3, format(altered || ' REVOKE ALL ON %s FROM %s', '{ADMIN}', objects,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
    FROM (SELECT DISTINCT grantee FROM aclexplode(defaclacl)) AS known
    UNION ALL
    SELECT 4, format(altered || ' GRANT %s ON %s TO %s', '{ADMIN}', privilege_type, objects,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE '{ADMIN}' END)
    FROM aclexplode(acldefault(kind::"char", 10)) WHERE defaclnamespace = 0
) AS statements (place, statement) ORDER BY place \\gexec
"""  # noqa: S608 - constants
# `ALTER TYPE … OWNER` leaves the functions behind that make a range.
_CONSTRUCTORS = """
SELECT format('ALTER ROUTINE %s OWNER TO %s', p.oid::regprocedure, typowner::regrole)
FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = objid JOIN pg_type AS t ON t.oid = refobjid
WHERE classid = 'pg_proc'::regclass AND refclassid = 'pg_type'::regclass AND deptype = 'i' AND typowner <> proowner
    AND p.oid >= 16384 \\gexec
"""
_DATABASES = """
SELECT format('ALTER DATABASE %I OWNER TO {user}', datname) FROM pg_database
WHERE datdba = 10 AND (datname = '{database}' OR datname NOT IN ('postgres', 'template0', 'template1'))
    AND datconnlimit <> -2 \\gexec
"""
# All that makes the role is one transaction: before it and after it a user of the declared name can connect.
_MEMBER = """CASE WHEN current_setting('server_version_num')::int >= 160000 THEN
    format(' WITH ADMIN %s, INHERIT %s, SET %s', bool_or(admin_option)::text,
        bool_or((to_jsonb(m) ->> 'inherit_option')::bool)::text, bool_or((to_jsonb(m) ->> 'set_option')::bool)::text)
    WHEN bool_or(admin_option) THEN ' WITH ADMIN OPTION' END"""
_SEPARATE = f"""
BEGIN;
SELECT concat('CREATE ROLE {{user}} LOGIN', CASE WHEN NOT rolinherit THEN ' NOINHERIT' END,
    ' PASSWORD ' || quote_literal(rolpassword), ' CONNECTION LIMIT ' || rolconnlimit,
    ' VALID UNTIL ' || quote_literal(rolvaliduntil)) AS creation,
    format('COMMENT ON ROLE {{user}} IS %L', shobj_description(oid, 'pg_authid')) AS comment
FROM pg_authid WHERE oid = 10 \\gset
CREATE ROLE {_BETWEEN} SUPERUSER;
SET SESSION AUTHORIZATION {_BETWEEN};
ALTER ROLE {{user}} RENAME TO {ADMIN};
RESET SESSION AUTHORIZATION;
DROP ROLE {_BETWEEN};
:creation;
:comment;
ALTER ROLE {ADMIN} PASSWORD NULL CONNECTION LIMIT -1 VALID UNTIL 'infinity';
COMMENT ON ROLE {ADMIN} IS NULL;
UPDATE pg_db_role_setting SET setrole = '{{user}}'::regrole WHERE setrole = 10;
SELECT format('GRANT %s TO {{user}}%s', roleid::regrole, {_MEMBER})
FROM pg_auth_members AS m WHERE member = 10 GROUP BY roleid \\gexec
SELECT format('GRANT {{user}} TO %s%s', member::regrole, {_MEMBER})
FROM pg_auth_members AS m WHERE roleid = 10 GROUP BY member \\gexec
SELECT format('REVOKE {ADMIN} FROM %s GRANTED BY %s CASCADE', member::regrole, grantor::regrole)
FROM pg_auth_members WHERE roleid = 10 \\gexec
"""  # noqa: S608 - constants
# A session that connected as the first role keeps that role's powers until it reconnects.
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = 10 AND pid <> pg_backend_pid();
"""
_DEMOTE = """
SELECT format('ALTER EVENT TRIGGER %I OWNER TO {admin}', evtname) FROM pg_event_trigger
WHERE evtowner = '{user}'::regrole \\gexec
SELECT format('ALTER FOREIGN DATA WRAPPER %I OWNER TO {admin}', fdwname) FROM pg_foreign_data_wrapper
WHERE fdwowner = '{user}'::regrole \\gexec
SELECT format('ALTER PUBLICATION %I OWNER TO {admin}', pubname) FROM pg_publication AS p
WHERE pubowner = '{user}'::regrole
    AND (puballtables OR EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = p.oid)) \\gexec
SELECT format('ALTER SUBSCRIPTION %I OWNER TO {admin}', subname) FROM pg_subscription
WHERE subowner = '{user}'::regrole
    AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \\gexec
"""
_REST = _EXTENSIONS + _MAPPINGS + _GRANTS + _DEFAULTS + _CONSTRUCTORS
_ORDINARY = "ALTER ROLE {user} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;\n"


def separate(server: Server, major: int) -> bool:
    """Let the declared user of data of before be no superuser, and own what is its. Give whether it was one.

    What was cut off is finished by the next call. Raises `roles-failed`.
    """
    own, user = server.database.database, server.database.user
    databases = _DATABASES.format(user=user, database=own)
    was_superuser = server.admin != ADMIN
    if was_superuser:
        handed = _for_user(_HAND_OVER + _REST, server)
        run_as_admin(server, major, own, f"{_SEPARATE.format(user=user)}{databases}{handed}COMMIT;\n")
    # It has another administrator now.
    separated = replace(server)
    run_as_admin(separated, major, own, databases)
    for database in _names(separated, major):
        hand_over(separated, major, database)
    run_as_admin(separated, major, own, _END_SESSIONS)
    return was_superuser


def hand_over(server: Server, major: int, database: str) -> None:
    """Give what the administrator has in a database to the declared user, some of it at a time."""
    before = ""
    while (left := ask(server, major, database, _COUNT)) not in ("0", before):
        run_as_admin(server, major, database, f"BEGIN;\n{_for_user(_HAND_OVER, server)}COMMIT;\n")
        before = left
    run_as_admin(server, major, database, f"BEGIN;\n{_for_user(_REST, server)}COMMIT;\n")


def settle_loaded(asked: Psql) -> None:
    """Give what an administrator who loads a database keeps of it to those whose it is. Raises `roles-failed`."""
    if complaint := asked.run(f"{QUIET}{_for_user(_EXTENSIONS + _CONSTRUCTORS, asked.server)}"):
        raise _failed(asked.server, asked.database, complaint)


def demote(server: Server, major: int) -> None:
    """Make the declared user an ordinary one, which it was not where the loaded data come from."""
    own, user = server.database.database, server.database.user
    for database in _names(server, major):
        run_as_admin(server, major, database, _DEMOTE.format(user=user, admin=server.admin))
    run_as_admin(server, major, own, _ORDINARY.format(user=user) + _DATABASES.format(user=user, database=own))
    for database in _names(server, major):
        hand_over(server, major, database)


def needs_admin(complaint: str) -> bool:
    """Whether a statement was refused because an extension is the administrator's."""
    return _REFUSED_EXTENSION.search(complaint) is not None


def _for_user(statements: str, server: Server) -> str:
    return statements.format(user=server.database.user)


def _names(server: Server, major: int) -> list[str]:
    asked = f"SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE {_SERVES}"  # noqa: S608 - constants
    return [str(name) for name in json.loads(ask(server, major, server.database.database, asked))]


def ask(server: Server, major: int, database: str, question: str) -> str:
    words = ["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"]
    answer = server.run([*words, "-d", conninfo(database, server.admin, neutral(major)), "-c", question], limit=None)
    if not answer.ok:
        raise _failed(server, database, answer.stderr)
    return answer.stdout.strip()


def run_as_admin(server: Server, major: int, database: str, statements: str) -> None:
    if complaint := run_sql(server, major, database, [f"{QUIET}{statements}".encode()]):
        raise _failed(server, database, complaint)


def _failed(server: Server, database: str, complaint: str) -> StackError:
    name = server.database.name
    return StackError(
        "roles-failed",
        f"{name}: what is in {visible(database)} could not be given to {server.database.user}, which is to be no "
        "superuser; no data was changed",
        f"mend what it names with `stackctl shell {name} --write`, and run `stackctl up` again",
        complaint,
    )
