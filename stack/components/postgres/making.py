"""Make what a database is to have before anything uses it: further databases beside it, and extensions."""

from __future__ import annotations

from stack.components.postgres.content import neutral
from stack.components.postgres.extensions import extension_missing
from stack.components.postgres.ownership import QUIET, ask, settle_loaded
from stack.components.postgres.properties import identifier, literal
from stack.components.postgres.psql import psql
from stack.components.postgres.server import Server, conninfo
from stack.components.postgres.transfer import run_sql
from stack.errors import StackError

_AVAILABLE = "SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM pg_available_extensions"


def make_database(server: Server, major: int, database: str) -> None:
    """Make a further database for the declared user, if there is none. Raises `database-failed`."""
    made = f"CREATE DATABASE {identifier(database)} OWNER {identifier(server.database.user)}"
    where = f"NOT EXISTS (SELECT FROM pg_database WHERE datname = {literal(database)})"
    asked = f"SELECT {literal(made)} WHERE {where}"
    statements = f"{QUIET}{asked} \\gexec\n"
    if complaint := run_sql(server, major, server.database.database, [statements.encode()]):
        name = server.database.name
        raise StackError(
            "database-failed",
            f"{name}: the database {database} can't be made; what uses {name} was not touched",
            f"mend what it names, or take it out of `databases` of {name}; then `stackctl up`",
            complaint,
        )


def make_extension(server: Server, major: int, extension: str, database: str) -> None:
    """Make an extension in a database if it is not there, with what it needs, for the declared user.

    Raises `extension-missing` and `extension-failed`.
    """
    name = server.database.name
    there = ask(server, major, database, _AVAILABLE).split()
    if extension not in there:
        raise extension_missing(name, extension, there, major, server.session.target)
    # In the schema that an app would get, and so not with the search path of other statements.
    words = ["psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]
    made = f'{QUIET}CREATE EXTENSION IF NOT EXISTS "{extension}" CASCADE'
    settings = {"default_transaction_read_only": "off"}
    answer = server.run([*words, "-d", conninfo(database, server.admin, settings), "-c", made], limit=None)
    if not answer.ok:
        raise StackError(
            "extension-failed",
            f"{name}: the extension {extension} can't be made in {database}; what uses {name} was not touched",
            f"mend what it names, or take it out of `extensions` of {name}; then `stackctl up`",
            answer.stderr,
        )
    with psql(server, database, neutral(major)) as asked:
        settle_loaded(asked)
