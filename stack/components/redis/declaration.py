"""Redis: a cache that keeps nothing on disk and forgets the least used when full, or a durable store of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

from stack.calls import check_call
from stack.capabilities import DataStore, Host, Programs, ProgramSearch, Serve
from stack.checking import (
    checked_cpus,
    checked_image,
    checked_memory,
    checked_public,
    checked_publish,
    checked_switch,
    checked_text,
)
from stack.components.postgres import Postgres
from stack.components.redis.local import SOCKET, RedisCheck, RedisClient
from stack.components.redis.programs import find
from stack.differing import Differ
from stack.errors import StackError
from stack.frozen import dataclass
from stack.references import Reference, SecretReference, Value, deferred
from stack.server import Server
from stack.workload import File, Hardening, Healthcheck, Limits, Port, PortId, Target, Volume, VolumeId, Workload

IMAGE = "redis:8"
USER = "999:999"
PORT = 6379
_STOP_GRACE = 10
_URL = "redis://localhost:{port}/0"
# The file that says who may use it.
_ACCESS = "access"
_START_PLACE = "/stackctl-start.sh"
# No argument and no file on a disk has the password: the server reads its digest from memory.
_START = """\
umask 077
digest=$(printf %s "$(cat "$1")" | sha256sum)
echo "user default on #${digest%% *} ~* &* +@all" > /tmp/stackctl-access
shift
exec "$@" --aclfile /tmp/stackctl-access
"""


@dataclass(frozen=True)
class CachedValue:
    """A key that is a copy of a value in a database: `stackctl inspect cache` shows both and compares them.

    `query` is SQL that gives one row of one column in `database`, the value that the key should hold.
    """

    key: str
    database: Postgres
    query: str

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)


@dataclass(frozen=True)
class Redis(Server):
    """A Redis server. It has a password where others than its users can reach it.

    By default it is a cache: it keeps nothing on disk, and forgets the least used keys when it is full. `durable`: it
    is a store, such as a queue: each change goes to an append-only file in a volume within a second, it refuses changes
    when it is full, and its data is in snapshots. `publish`: True, or the port of this machine on which its programs
    reach it too, on 127.0.0.1; True stands for 6379. `public`: on every address of this machine, for other machines.
    `image`: what a container runs, a Redis or a Valkey. `inspect` is what `stackctl inspect` shows of it. `memory` is
    in MiB, half of it for keys and values. Raises `DeclarationError` for a wrong value.
    """

    inspect: CachedValue | None = None
    memory: int = 128
    cpus: float = 1.0
    durable: bool = False
    publish: bool | int | None = None
    image: str | None = None
    public: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inspect is not None:
            self._check_inspect(self.inspect)
        checked_memory(self, self.memory, least=32)
        checked_cpus(self, self.cpus)
        checked_switch(self, "durable", self.durable)
        self._freeze("publish", checked_publish(self, self.publish, PORT))
        checked_public(self, self.public, self.publish is not None)
        if self.image is not None:
            checked_image(self, self.image)

    def _check_inspect(self, inspect: object) -> None:
        if not isinstance(inspect, CachedValue):
            raise self.wrong("inspect", f"{inspect!r} is not a CachedValue")
        if not isinstance(inspect.database, Postgres):
            raise self.wrong("inspect/database", f"{inspect.database!r} is not a Postgres")
        for field, text in (("key", inspect.key), ("query", inspect.query)):
            if not isinstance(text, str) or not isinstance(checked_text(self, f"inspect/{field}", text), str):
                raise self.wrong(f"inspect/{field}", f"{text!r} is not plain text")

    @property
    def role(self) -> str:
        return "Redis"

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.inspect.database.name,) if self.inspect else ()

    def meaning(self, reference: Reference, target: Target) -> Value | None:
        login = bool(self.secrets(target))
        if reference.field == "url":
            return deferred(f"redis://{f':{self.password}@' if login else ''}{self.host}:{self.port}/0")
        return "" if reference.field == "password" and not login else None

    def exports(self, target: Target) -> Mapping[str, Value]:
        return {"HOST": self.host, "PORT": self.port} | {
            f"{secret.field.upper()}_FILE": secret for secret in self.secrets(target)
        }

    def secrets(self, target: Target) -> tuple[SecretReference, ...]:
        # A process and what is published are reached by every user of the machine, a container by what uses it alone.
        return (self.password,) if target == "process" or self.publish is not None else ()

    def workload(self, target: Target) -> Workload:
        plain = Workload(
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=64),
            hardening=Hardening(user=USER, tmpfs=("/tmp",) if self.durable else ("/data", "/tmp")),  # noqa: S108 - in it
            volumes=(Volume(VolumeId.of(self.name), f"{self.name}-data", "/data"),) if self.durable else (),
            ports=(Port(PortId.of(self.name), PORT, self.publish, _URL, public=self.public),),
            command=self._server(),
            stop_grace=_STOP_GRACE,
        )
        if target == "container":
            check = Healthcheck(("CMD", "redis-cli", "-h", "127.0.0.1", "-e", "PING"))
            own = replace(plain, image=self.image or IMAGE, healthcheck=check)
            return self._with_password(own) if self.secrets(target) else own
        # fmt: off
        command: tuple[Value, ...] = (
            *self._server(), "--bind", self._listens_on, "--port", self.port,
            "--aclfile", Reference(self.name, "file", _ACCESS), "--dir", Reference(self.name, "data"),
        )
        # fmt: on
        return replace(plain, command=command, stop_signal="TERM")

    @property
    def _listens_on(self) -> Reference:
        return Reference(self.name, "every") if self.public else self.host

    def _with_password(self, own: Workload) -> Workload:
        """Let the server ask for the password, which every `redis-cli` in its container has."""
        return replace(
            own,
            command=("sh", _START_PLACE, self.password, *self._server()),
            files=(File(f"{self.name}-start.sh", _START_PLACE, _START),),
            environment={"REDISCLI_AUTH": deferred(f"{self.password}")},
            secrets=(self.password,),
        )

    def without_effect(self, target: Target) -> tuple[str, ...]:
        return ("image",) if target == "process" and self.image is not None else ()

    def programs(self, search: ProgramSearch) -> Programs:
        return find(search)

    def process_files(self, host: Host) -> Mapping[str, str]:
        # Its hash, for there is no need of more.
        digest = hashlib.sha256(host.secret(self.password).encode()).hexdigest()
        return {_ACCESS: f"user default on #{digest} ~* &* +@all\n"}

    @property
    def emptying(self) -> tuple[str, ...]:
        return () if self.durable else ("redis-cli", "FLUSHALL")

    @property
    def forgets(self) -> str:
        return "" if self.durable else 'Redis("queue", durable=True)'

    @property
    def data(self) -> DataStore | None:
        if not self.durable:
            return None
        # Only a command that saves or loads needs it.
        from stack.components.redis.adopting import with_log
        from stack.components.redis.copying import RedisFiles

        # Containers run Redis and processes Valkey.
        return RedisFiles(self.name, ("",), USER, product="Redis", kept="keys", adopted=with_log)

    @property
    def differ(self) -> Differ | None:
        if not self.durable:
            return None
        from stack.components.redis.differ import RedisDiffer

        return RedisDiffer(self)

    def serve(self, target: Target) -> Serve:
        """How its data is served while it does not run, to those alone who can reach its container or its socket."""
        command: tuple[Value, ...] = (*self._server(), "--bind", "127.0.0.1", "--port", str(PORT))
        if target == "process":
            socket = deferred(f"{Reference(self.name, 'socket')}/{SOCKET}")
            where = ("--port", "0", "--unixsocket", socket, "--dir", Reference(self.name, "data"))
            command = (*self._server(), *where)
        problem = f"{self.name}: a Redis beside the instance did not start, or not end well"
        hint = "fix what its last lines name, and run this again; the instance's data is as it was"
        failure = StackError("database-failed", problem, hint)
        # At a second SIGINT it would end without saving.
        return Serve(command, ("redis-cli", "-e", "PING"), failure, self.role, stop_signal="TERM")

    @property
    def check(self) -> RedisCheck:
        return RedisCheck(self.name, self.password)

    @property
    def client(self) -> RedisClient:
        return RedisClient(self)

    def _server(self) -> tuple[str, ...]:
        # fmt: off
        return (
            "redis-server", "--save", "", "--appendonly", "yes" if self.durable else "no",
            "--maxmemory", f"{self.memory // 2}mb",
            "--maxmemory-policy", "noeviction" if self.durable else "allkeys-lru",
        )
        # fmt: on

    def lookup(self, key: str) -> tuple[str, ...]:
        """The `redis-cli` command that reads a key with its type and time to live, at one moment, as JSON.

        `read_entry` reads what it writes.
        """
        return ("redis-cli", "--json", "EVAL", _LOOKUP, "1", key)

    def listing(self) -> tuple[str, ...]:
        """The `redis-cli` command that writes some of its keys, as JSON: `["0", ["a", "b"]]`."""
        return ("redis-cli", "--json", "SCAN", "0", "COUNT", "100")


# One script: between two commands the key could expire.
_LOOKUP = """
local kind = redis.call('TYPE', KEYS[1]).ok
local read = {
  string = {'GET', KEYS[1]}, list = {'LRANGE', KEYS[1], 0, 99}, hash = {'HGETALL', KEYS[1]},
  set = {'SMEMBERS', KEYS[1]}, zset = {'ZRANGE', KEYS[1], 0, 99, 'WITHSCORES'},
}
local value = read[kind] and redis.call(unpack(read[kind])) or false
return {kind, redis.call('PTTL', KEYS[1]), value}
"""


@dataclass(frozen=True)
class Entry:
    """A key as it is now. `value` is text for a string, a list of text for other kinds, None without a key.

    `ttl` is its time to live in seconds, None for a key that does not expire.
    """

    kind: str
    value: str | list[str] | None
    ttl: float | None

    @property
    def exists(self) -> bool:
        return self.kind != "none"


def read_entry(text: str) -> Entry:
    """What `Redis.lookup` writes: `["string", 29500, "41"]`. Raises `ValueError` for anything else."""
    answer = json.loads(text)
    if not isinstance(answer, list) or len(answer) != 3:
        raise ValueError(f"{answer!r} is not an entry")
    kind, ttl, value = answer
    return Entry(kind=str(kind), value=value, ttl=ttl / 1000 if ttl >= 0 else None)
