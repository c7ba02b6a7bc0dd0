"""A PostgreSQL on many machines: the primary, and a standby that follows it on another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from stack.component import Component
from stack.components.postgres import standby_scripts as scripts
from stack.components.postgres.declaration import PORT, Postgres
from stack.components.postgres.fields import ADMIN
from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.references import SecretReference, Value
from stack.replication import Replication
from stack.workload import File, Healthcheck, Port, PortId, Target, Workload

# A standby that is away for long must not fill the disk of its primary: then it gets a new copy. That it is gone has to
# be seen.
_OF_PRIMARY = {"max_slot_wal_keep_size": "1GB", "wal_sender_timeout": "10s"}


def spread(database: Postgres) -> tuple[Component, ...]:
    """Return a database as a primary, with its standby."""
    declared = {each.name: getattr(database, each.name) for each in fields(database)}
    return Primary(**declared), Standby(standby_name(database), database)


def standby_name(database: Postgres) -> str:
    return f"{database.name}-standby"


def _mode(database: Postgres) -> str:
    return "async" if database.standby == "async" else "sync"


def _password(database: Postgres) -> SecretReference:
    """Refer to the password with which the standby logs in."""
    return SecretReference(database.name, "standby")


@dataclass(frozen=True)
class Primary(Postgres):
    """The one of two servers that is written to."""

    @property
    def spread(self) -> tuple[Component, ...]:
        return (self,)

    @property
    def replication(self) -> Replication:
        from stack.components.postgres.replication import PostgresReplication

        return PostgresReplication(standby_name(self), self.standby != "async", _password(self))

    def secrets(self, target: Target) -> tuple[SecretReference, ...]:
        return (*super().secrets(target), _password(self))

    def workload(self, target: Target) -> Workload:
        plain = super().workload(target)
        own = ("sh", scripts.PRIMARY_PLACE, _mode(self))
        return replace(
            plain,
            command=(*own, *(plain.command or ("docker-entrypoint.sh", "postgres"))),
            stop_signal="INT",
            settings={**_OF_PRIMARY, **plain.settings},
            environment={**plain.environment, scripts.PASSWORD_VARIABLE: _password(self)},
            files=(
                *plain.files,
                File(f"{self.name}-primary.sh", scripts.PRIMARY_PLACE, scripts.PRIMARY),
                File(f"{self.name}-standby-new.sh", scripts.INITIAL_PLACE, scripts.INITIAL),
            ),
        )


@dataclass(frozen=True)
class Standby(Component):
    """A server that follows another one, and can take its place."""

    of: Postgres

    @property
    def role(self) -> str:
        return "PostgreSQL standby"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.of.name,)

    @property
    def informs(self) -> tuple[str, ...]:
        return ()

    @property
    def major(self) -> int:
        return self.of.major

    def workload(self, target: Target) -> Workload:
        if target != "container":
            raise DeclarationError(self.name, "is a standby, which runs on an engine with several machines alone")
        plain = self.of.workload(target)
        environment: Mapping[str, Value] = {
            "POSTGRES_USER": ADMIN,
            "PRIMARY_HOST": self.of.host,
            "STANDBY_NAME": self.name,
            "STANDBY_MODE": _mode(self.of),
            scripts.PASSWORD_VARIABLE: _password(self.of),
        }
        return replace(
            plain,
            command=("sh", scripts.STANDBY_PLACE, "follow"),
            stop_signal="INT",
            environment=environment,
            ports=(Port(PortId.of(self.name), PORT),),
            files=(File(f"{self.name}.sh", scripts.STANDBY_PLACE, scripts.STANDBY),),
            healthcheck=Healthcheck(("CMD", "sh", scripts.STANDBY_PLACE, "check")),
            copy_of=self.of.name,
        )
