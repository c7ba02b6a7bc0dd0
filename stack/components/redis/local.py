"""Redis as a process of this machine: how it is asked, and where its client finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from stack.capabilities import Ask, Host, Inspection, Session
from stack.errors import UsageError
from stack.frozen import dataclass
from stack.references import SecretReference

if TYPE_CHECKING:
    from stack.components.redis.declaration import Redis

# Where one answers that serves the data while its component does not run.
SOCKET = "redis.sock"


@dataclass(frozen=True)
class RedisCheck:
    """See `stack.capabilities.Check`."""

    component: str
    password: SecretReference

    def problem(self, host: Host) -> str | None:
        try:
            password = host.secret(self.password)
            answer = host.exchange(host.port(self.component), f"AUTH {password}\r\nPING\r\n".encode(), lines=2)
        except OSError as error:
            return str(error)
        lines = answer.decode("utf-8", errors="replace").split("\r\n")
        return None if lines[:2] == ["+OK", "+PONG"] else " ".join(lines).strip()


@dataclass(frozen=True)
class RedisClient:
    """See `stack.capabilities.Client`."""

    declared: Redis
    kind: Literal["cache"] = "cache"

    def shell(self, session: Session, write: bool, admin: bool) -> Sequence[str]:
        if admin:
            raise UsageError(f"{self.declared.name!r} is a Redis, which has no administrator", "leave --admin out")
        return ["redis-cli"]

    def inspect(self, ask: Ask, subject: str | None) -> Inspection:
        from stack.components.redis.inspecting import inspect

        return inspect(self.declared, ask, subject)

    def local_environment(self, host: Host) -> Mapping[str, str]:
        return {**self.environment(host), "STACKCTL_REDIS_SOCKET": str(host.socket / SOCKET)}

    def environment(self, host: Host) -> Mapping[str, str]:
        return {
            "STACKCTL_REDIS_PORT": str(host.port(self.declared.name)),
            "STACKCTL_REDIS_PASSWORD_FILE": str(host.secret_file(self.declared.password)),
        }
