"""The copy: one plain number a page in Redis, with a time to live."""

from __future__ import annotations

import random
import re
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .breaker import Breaker
from .config import Config
from .counter import Lookup, Result

TIMEOUT = 0.1  # seconds to connect and for each answer: a copy that takes longer is not worth it
MOST = 2**53 - 1  # beyond it neither Lua nor a JSON reader is exact

_ADVANCE = Path(__file__).with_name("advance.lua").read_text(encoding="utf-8")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,15}")


class RedisCache:
    """A cache that fails fast and never raises. Safe to share between threads."""

    def __init__(self, config: Config, breaker: Breaker) -> None:
        self._breaker = breaker
        self._ttl = config.cache_ttl
        self._redis = _client(config)
        self._advance = self._redis.register_script(_ADVANCE)

    def get(self, page: str) -> Lookup:
        """Look a count up. Only a canonical decimal number in the range is one; anything else is a miss."""
        if not self._breaker.allows():
            return Lookup(Result.BYPASS)
        try:
            value = self._redis.get(_key(page))
        except redis.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                self._breaker.succeeded()
                return Lookup(Result.MISS)
            return self._failed(error)
        except redis.RedisError as error:
            return self._failed(error)
        self._breaker.succeeded()
        count = _number(value)
        return Lookup(Result.MISS) if count is None else Lookup(Result.HIT, count)

    def advance(self, page: str, count: int, wrong: int | None = None) -> bool:
        """Move the copy forward to a committed `count`; True unless Redis failed.

        A higher copy stays, because a later visit stored it. But a copy that is ahead of the truth, since the
        database was reset or restored to an earlier state, would then stay too. The caller can tell: a true copy
        that was looked up before a visit committed is below that visit's number. Such a copy is given as `wrong`,
        and is overwritten unless somebody already replaced it by a lower one.
        """
        if not self._breaker.allows():
            return False
        try:
            self._advance(keys=[_key(page)], args=[count, self._lifetime(), "" if wrong is None else wrong])
        except redis.RedisError as error:
            self._failed(error)
            return False
        self._breaker.succeeded()
        return True

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _failed(self, error: redis.RedisError) -> Lookup:
        self._breaker.failed(str(error))
        return Lookup(Result.ERROR)

    def _lifetime(self) -> int:
        """Milliseconds, a tenth more or less, so that copies made together do not all end together."""
        return round(self._ttl * 1000 * random.uniform(0.9, 1.1))  # noqa: S311 # not a secret


def _client(config: Config) -> redis.Redis:
    """The driver's own defaults would spend seconds in retries on a Redis that is away."""
    return redis.Redis(
        host=config.cache_host,
        port=config.cache_port,
        password=config.cache_password,
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # no greeting, so that connecting is one round trip
        driver_info=None,
    )


def _key(page: str) -> str:
    return f"visit_counter:{page}"


def _number(value: object) -> int | None:
    if not isinstance(value, bytes) or not _NUMBER.fullmatch(value):
        return None
    count = int(value)
    return count if count <= MOST else None
