"""What PostgreSQL and Redis really hold, and what is asked of the service by many at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.config import Config
from tests.servers import MISSING, PASSWORD, PostgresServer, RedisServer, Reply

# All tests of this folder import this, so that they are skipped here and for one reason.
if MISSING:
    pytest.skip(MISSING, allow_module_level=True)


def truth(postgres: PostgresServer, page: str = "homepage") -> int:
    """The committed count; 0 without a row."""
    rows = postgres.query(f"SELECT visits FROM visit_counter WHERE page = '{page}'")
    return int(rows[0][0]) if rows else 0


def copy(redis: RedisServer, page: str = "homepage") -> str | None:
    """The copy as it is stored."""
    value = redis.client.get(key(page))
    assert value is None or isinstance(value, str)
    return value


def key(page: str = "homepage") -> str:
    return f"visit_counter:{page}"


def many(call: Callable[[], Reply], times: int, threads: int = 16) -> list[Reply]:
    """The answers to a request that is made many times, by many threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda _: call(), range(times)))


def numbers(replies: list[Reply]) -> list[int]:
    """The counts of visits that were all acknowledged, in order."""
    refused = [reply for reply in replies if reply.status != 200]
    assert not refused, f"{len(refused)} of {len(replies)} visits were refused, the first with {refused[0]}"
    return sorted(reply.json["visits"] for reply in replies)


def config(postgres: PostgresServer, redis: RedisServer) -> Config:
    """The service's own view of the two servers, for its parts alone."""
    return Config(
        postgres.host,
        postgres.port,
        postgres.database,
        postgres.user,
        postgres.password_file,
        redis.host,
        redis.port,
        PASSWORD,
        cache_ttl=300,
    )


def environment_of(postgres: PostgresServer, redis: RedisServer) -> dict[str, str]:
    """What the service needs to find both."""
    return {
        "DB_HOST": postgres.host,
        "DB_PORT": str(postgres.port),
        "DB_NAME": postgres.database,
        "DB_USER": postgres.user,
        "DB_PASSWORD_FILE": str(postgres.password_file),
        "CACHE_HOST": redis.host,
        "CACHE_PORT": str(redis.port),
        "CACHE_PASSWORD_FILE": str(redis.password_file),
    }
