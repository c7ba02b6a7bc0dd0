"""PostgreSQL: the truth of a stack. Its data lives in a named volume, its password in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Self

from stack.capabilities import Completed, DataStore, Dumps, Host, Login, Programs, ProgramSearch, Schema, Serve, Session
from stack.checking import checked_cpus, checked_memory, checked_path, checked_public, checked_publish
from stack.component import Component
from stack.components.postgres.extensions import missing_extension
from stack.components.postgres.fields import (
    ADMIN,
    check_database,
    check_identifier,
    check_standby,
    check_user,
    checked_databases,
    checked_extensions,
    checked_settings,
)
from stack.components.postgres.folder import SCRIPT, PostgresFolder, first_statements, made
from stack.components.postgres.image import (
    OWN_PROGRAMS,
    at_major,
    check_image,
    check_image_user,
    in_image,
    start,
    start_file,
    start_new,
    user_of,
)
from stack.components.postgres.local import PASSWORDS, PostgresCheck, PostgresClient, password_lines
from stack.components.postgres.programs import find
from stack.differing import Differ
from stack.errors import StackError
from stack.frozen import dataclass
from stack.references import Reference, SecretReference, Value, deferred
from stack.server import Server
from stack.workload import (
    File,
    Hardening,
    Healthcheck,
    Limits,
    Port,
    PortId,
    Target,
    Volume,
    VolumeId,
    Workload,
    setting_words,
)

# The major version of an instance that names none.
VERSION = 18
OLDEST = 15
# Since 18 the image keeps each major version in a folder of its own under this mount; before, the data were the mount
# (https://github.com/docker-library/postgres/pull/1259).
_DATA = "/var/lib/postgresql"
_DATA_UNTIL_17 = "/var/lib/postgresql/data"
PORT = 5432
_STOP_GRACE = 60
# A new server that is filled keeps no log for others (`transfer.LOADING`), and refuses to start with these.
_OF_THE_LOG = ("wal_level", "max_wal_senders", "archive_mode", "summarize_wal")
_OFFLINE_HINT = "fix what its last lines name, and run this again; the instance's data is as it was"
# The image runs it once, in the new database and as the administrator, who was made with the password of the user.
_ROLES = """\
-- Made by stackctl: the declared user owns its database, and is no superuser.
\\getenv user DATABASE_OWNER
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'user', rolpassword)
FROM pg_authid WHERE rolname = current_user \\gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', current_database(), :'user') \\gexec
ALTER ROLE CURRENT_USER PASSWORD NULL;
"""
_BETWEEN_TRIES = 0.1
# Wait inside: to begin a command costs an engine much more than it costs a server to say that it is not there yet.
_WHEN_IT_ACCEPTS = (
    f'left=$1; shift; until [ "$left" -le 0 ] || pg_isready -q; do left=$((left - 1)); sleep {_BETWEEN_TRIES}; done; '
    'exec "$@"'
)
_ROLES_PLACE = "/docker-entrypoint-initdb.d/stackctl-roles.sql"
# As far as PostgreSQL has counted them.
_ALL_ROWS = "SELECT sum(n_live_tup) FROM pg_stat_user_tables"


@dataclass(frozen=True)
class Postgres(Server):
    """A PostgreSQL server with one user and one database.

    `version` is the major version, for example 17; without it the newest that stackctl knows, or that of the system's
    own servers where these are used. Data of another one is not touched: `stackctl upgrade` takes it along.
    `inspect` names the table that `stackctl inspect db` shows; without it the tables are listed. `migrations` is a
    folder of SQL files like `0001_notes.sql`, relative to the stack file: `up` applies each once, in their order.
    `extensions` names those that `up` makes before, because only an administrator may make some; the user is none.
    `databases` are further ones that the user owns, with the same extensions. `init` is a folder of SQL files, plain or
    packed with gzip, that run once as the user when the database is made new, in the order of their names.
    `settings` are those of the server, `{"work_mem": "32MB", "max_connections": 200}`.
    `image`: what a container runs; it keeps the contract of the official image, and its major version is that of
    `version`. `image_user`: the user and group of `postgres` in it, if they are not 999:999, and 70:70 on Alpine.
    `publish`: True, or the port of this machine on which its programs reach it too, on 127.0.0.1; True stands for 5432.
    `public`: on every address of this machine, for other machines.
    `standby`: on an engine with several machines another server follows it on a second one, so that nothing that was
    acknowledged is lost with the first; with `"async"` nothing waits for it, and the last moments may be lost.
    `memory` is in MiB. Raises `DeclarationError` for a wrong value.
    """

    user: str = "app"
    database: str = "app"
    version: int | None = None
    inspect: str | None = None
    migrations: str | None = None
    extensions: Sequence[str] = ()
    publish: bool | int | None = None
    memory: int = 512
    cpus: float = 2.0
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    image: str | None = None
    image_user: str | None = None
    databases: Sequence[str] = ()
    init: str | None = None
    public: bool = False
    standby: bool | str = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_user(self, self.user)
        check_database(self, self.database)
        if self.inspect is not None:
            check_identifier(self, "inspect", self.inspect)
        if self.migrations is not None:
            checked_path(self, "migrations", self.migrations)
        self._freeze("extensions", checked_extensions(self, self.extensions))
        self._freeze("databases", checked_databases(self, self.database, self.databases))
        if self.init is not None:
            checked_path(self, "init", self.init)
        self._freeze("publish", checked_publish(self, self.publish, PORT))
        checked_public(self, self.public, self.publish is not None)
        if self.version is not None and not (type(self.version) is int and OLDEST <= self.version < 100):
            raise self.wrong("version", f"{self.version!r} is not a major version of PostgreSQL (from {OLDEST} on)")
        self._freeze("settings", checked_settings(self, self.settings))
        if self.image is not None:
            check_image(self, self.image, self._major)
        if self.image_user is not None:
            check_image_user(self, self.image_user)
        check_standby(self, self.standby, self.settings)
        checked_memory(self, self.memory, least=64)
        checked_cpus(self, self.cpus)

    @property
    def role(self) -> str:
        return "PostgreSQL"

    @property
    def _major(self) -> int:
        return self.version or VERSION

    def meaning(self, reference: Reference, target: Target) -> Value | None:
        if reference.field != "url":
            return None
        return deferred(f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}")

    def exports(self, target: Target) -> Mapping[str, Value]:
        return {
            "HOST": self.host,
            "PORT": self.port,
            "NAME": self.database,
            "USER": self.user,
            "PASSWORD_FILE": self.password,
        }

    def secrets(self, target: Target) -> tuple[SecretReference, ...]:
        return (self.password,)

    def workload(self, target: Target) -> Workload:
        plain = Workload(
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=256),
            hardening=Hardening(user=self.image_user or user_of(self.image), tmpfs=("/tmp", "/var/run/postgresql")),  # noqa: S108 - in the container
            ports=(Port(PortId.of(self.name), PORT, self.publish, self._url, public=self.public),),
            volumes=(self._volume,),
            stop_grace=_STOP_GRACE,
            settings=checked_settings(self, self.settings),
        )
        return self._in_container(plain) if target == "container" else self._as_process(plain)

    @property
    def _url(self) -> str:
        return f"postgresql://{self.user}@localhost:{{port}}/{self.database}"

    @property
    def _volume(self) -> Volume:
        target = _DATA if self._major >= 18 else _DATA_UNTIL_17
        return Volume(VolumeId.of(self.name), f"{self.name}-pgdata", target, initialized=True)

    def _in_container(self, plain: Workload) -> Workload:
        checked = self.image is not None or bool(self.settings)
        roles = File(f"{self.name}-roles.sql", _ROLES_PLACE, _ROLES)
        return replace(
            plain,
            image=self.image or f"postgres:{self._major}",
            command=start(self._major) if checked else None,
            # Fast shutdown, as the official image says too.
            stop_signal="INT" if self.image is not None else None,
            environment={
                "POSTGRES_USER": ADMIN,
                "POSTGRES_DB": self.database,
                "POSTGRES_PASSWORD_FILE": self.password,
                "DATABASE_OWNER": self.user,
            },
            files=(roles, start_file(self.name)) if checked else (roles,),
            # Over TCP: while a new database is made, a temporary server answers on the socket alone.
            # A query: pg_isready looks at neither the user nor the database.
            healthcheck=Healthcheck(("CMD", *in_image(self.query("SELECT 1", host="127.0.0.1")))),
        )

    def _as_process(self, plain: Workload) -> Workload:
        # fmt: off
        command = (
            "postgres", "-D", Reference(self.name, "data"),
            "-h", Reference(self.name, "every") if self.public else self.host, "-p", self.port,
            "-k", Reference(self.name, "socket"),
        )
        # fmt: on
        # Fast shutdown: TERM would wait for every client to leave.
        return replace(plain, command=command, prepare=self._preparation(), stop_signal="INT")

    def _preparation(self) -> tuple[Value, ...]:
        """The arguments of `cluster`, which makes the data."""
        # fmt: off
        return (
            str(SCRIPT), "--tools", Reference(self.name, "tools"), "--major", Reference(self.name, "major"),
            "--data", Reference(self.name, "data"), "--admin", ADMIN, "--user", self.user,
            "--database", self.database,
            "--password-file", self.password, *(["--public"] if self.public else []), "--",
        )
        # fmt: on

    def serve(self, target: Target, settings: Sequence[str] = ()) -> Serve:
        """How its data is served while it does not run, on a socket alone. `settings` are words for the server.

        With such words its data is new: of the declared settings those are left out that say what is logged for others.
        """
        declared = {
            name: value
            for name, value in checked_settings(self, self.settings).items()
            if not (settings and name in _OF_THE_LOG)
        }
        words = (*setting_words(declared), *settings)
        command: tuple[Value, ...] = (*self._in_image(new=bool(settings)), *words)
        # While the data are made in a container, a temporary server answers, on the socket alone.
        ready = in_image(self.query("SELECT 1", host="127.0.0.1"))
        if target == "process":
            where = ("-k", Reference(self.name, "socket"), "-p", self.port)
            command = ("postgres", "-D", Reference(self.name, "data"), "-h", "", *where, *words)
            ready = self.query("SELECT 1")
        problem = "a PostgreSQL beside the instance did not start, or not end well"
        return Serve(command, ready, StackError("database-failed", problem, _OFFLINE_HINT), self.role)

    def _in_image(self, new: bool) -> tuple[str, ...]:
        if self.image is not None:
            return start(self._major)
        if new:
            return start_new(first_statements(ADMIN, self.user, self.database), made(self.database))
        return ("docker-entrypoint.sh", "postgres")

    @property
    def major(self) -> int:
        return self._major

    def without_effect(self, target: Target) -> tuple[str, ...]:
        return ("image",) if target == "process" and self.image is not None else ()

    def programs(self, search: ProgramSearch) -> Programs:
        return find(search, self.version, VERSION, OLDEST)

    def lacking(self, programs: Programs) -> StackError | None:
        return missing_extension(self.name, self.extensions, programs)

    def process_files(self, host: Host) -> Mapping[str, str]:
        return {PASSWORDS: password_lines(host, self.name, self.user, host.secret(self.password))}

    @property
    def spread(self) -> tuple[Component, ...]:
        if not self.standby:
            return (self,)
        from stack.components.postgres.standby import spread

        return spread(self)

    @property
    def check(self) -> PostgresCheck:
        return PostgresCheck(self.name, self.query("SELECT 1", host="127.0.0.1"))

    @property
    def client(self) -> PostgresClient:
        return PostgresClient(self)

    @property
    def data_folder(self) -> PostgresFolder:
        return PostgresFolder()

    @property
    def data(self) -> DataStore:
        # It loads much that only a command needs which saves or loads.
        from stack.components.postgres.data import PostgresData

        return PostgresData(self)

    @property
    def differ(self) -> Differ:
        from stack.components.postgres.differ import PostgresDiffer

        return PostgresDiffer(self)

    @property
    def login(self) -> Login:
        from stack.components.postgres.login import PostgresLogin

        return PostgresLogin(self)

    @property
    def dumps(self) -> Dumps:
        from stack.components.postgres.dumps import PostgresDumps

        return PostgresDumps(self)

    @property
    def schema(self) -> Schema:
        from stack.components.postgres.schema import PostgresSchema

        return PostgresSchema(self)

    def at_major(self, major: int) -> Self:
        image = at_major(self.image, major) if self.image is not None and major != self._major else self.image
        return replace(self, version=major, image=image)

    def verify(self, session: Session, patience: float = 0) -> Completed:
        """Connect as those who use it do: over TCP, with the declared names and the password.

        `patience`: for so many seconds it waits for a server that does not accept connections yet.
        """
        # The image trusts its own loopback address; on that of the network it asks. No argument holds the password.
        where = "export PGHOST=127.0.0.1"
        if session.target == "container":
            password = session.secret(self.password)
            where = f'{OWN_PROGRAMS}; export PGPASSWORD="$(cat {password})" PGHOST="$HOSTNAME"'
        tries = str(round(patience / _BETWEEN_TRIES))
        return session.run(["sh", "-c", f"{where}; {_WHEN_IT_ACCEPTS}", "sh", tries, *self.query("SELECT 1")])

    def query(self, sql: str, host: str | None = None, user: str | None = None) -> tuple[str, ...]:
        """Give the `psql` command that runs `sql` and writes its rows as CSV, NULL as `\\N`; `read_rows` reads that.

        Without a host it asks on the server's own socket, where no password is needed. `user`: the role to connect
        as; without it the declared one.
        """
        where = ("-h", host) if host else ()
        connection = f"dbname={self.database} user={user or self.user} connect_timeout=5"
        # fmt: off
        return (
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *where, "-d", connection,
            "--csv", "-P", r"null=\N", "-c", sql,
        )
        # fmt: on

    def inspection(self) -> str:
        """The SQL whose rows `stackctl inspect` shows: the declared table, else the list of tables."""
        if self.inspect:
            return f"SELECT * FROM {self.inspect} ORDER BY 1 LIMIT 100"  # noqa: S608 - a checked SQL name
        return "SELECT schemaname, relname, n_live_tup FROM pg_stat_user_tables ORDER BY 1, 2 LIMIT 100"

    def holdings(self) -> tuple[str, ...]:
        """The SQL that gives the size of the database in bytes, and that for the number of rows of what is shown."""
        counted = f"SELECT count(*) FROM {self.inspect}" if self.inspect else _ALL_ROWS  # noqa: S608 - a checked name
        return "SELECT pg_database_size(current_database())", f"SET statement_timeout = '2s'; {counted}"
