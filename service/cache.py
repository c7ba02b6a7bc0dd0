"""The copy in Redis: one plain number per page, with a time to live."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .breaker import Breaker, RecoveryProbe
from .config import Config
from .store import HOMEPAGE, CacheUpdate, Lookup, Result

TIMEOUT = 0.1  # seconds to connect and for each reply: a copy that takes longer is not worth the wait
_LONG = TIMEOUT / 2  # seconds; name resolution, which has no timeout, may also take longer
MOST = 2**53 - 1  # the largest integer that Lua and every JSON reader represent exactly

_ADVANCE = Path(__file__).with_name("advance.lua").read_text(encoding="utf-8")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,15}")


class RedisCache:
    """A cache that fails fast and never raises. Thread-safe.

    The first slow failure opens the breaker, because many requests may wait for one reply. While it is open no request
    queries Redis; a recovery probe does.
    """

    def __init__(self, config: Config, breaker: Breaker) -> None:
        self._breaker = breaker
        self._ttl = config.cache_ttl
        self._redis = _client(config)
        self._probe = RecoveryProbe(breaker, lambda: self._attempt((), (HOMEPAGE,)))
        self._digest = hashlib.sha1(_ADVANCE.encode(), usedforsecurity=False).hexdigest()

    def get(self, page: str) -> Lookup:
        """Look up one count."""
        return self.update_and_get((), (page,))[1][page]

    def update_and_get(
        self, updates: Collection[CacheUpdate], pages: Sequence[str]
    ) -> tuple[bool, Mapping[str, Lookup]]:
        """Store committed counts, then look pages up, in one round trip and without raising.

        A higher copy stays, because a later visit stored it. But so would a copy that is ahead of the truth, after the
        database was reset or restored to an earlier state. The caller can tell: a true copy that was looked up before a
        visit committed is below that visit's number. Such a copy is passed as `wrong`, and is overwritten unless it has
        already been replaced by a lower one.
        """
        if not updates and not pages:
            return True, {}
        if self._breaker.is_open:
            return False, {page: Lookup(Result.BYPASS) for page in pages}
        values = self._attempt(updates, pages)
        if values is None:
            return False, {page: Lookup(Result.ERROR) for page in pages}
        counts = zip(pages, map(_number, values), strict=True)
        return True, {
            page: Lookup(Result.MISS) if count is None else Lookup(Result.HIT, count) for page, count in counts
        }

    def _attempt(self, updates: Collection[CacheUpdate], pages: Sequence[str]) -> Sequence[object] | None:
        """Send the request and report its outcome to the breaker; return None if it failed."""
        began = time.monotonic()
        try:
            values = self._send(updates, pages)
        except redis.RedisError as error:
            if self._breaker.failed(str(error), at_once=time.monotonic() - began >= _LONG):
                self._probe.start()
            return None
        self._breaker.succeeded()
        return values

    def _send(self, updates: Collection[CacheUpdate], pages: Sequence[str]) -> Sequence[object]:
        """Return what is stored for the pages after the updates. Raises RedisError."""
        if not updates:
            return cast("list[object]", self._redis.mget([_key(page) for page in pages]))
        keys = [_key(page) for page in (*(update.page for update in updates), *pages)]
        arguments: list[str | int] = [len(updates), self._lifetime()]
        for update in updates:
            arguments += [update.count, "" if update.wrong is None else update.wrong]
        try:
            return self._run_script("EVALSHA", self._digest, keys, arguments)
        except redis.exceptions.NoScriptError:  # Redis was restarted and has lost the script
            return self._run_script("EVAL", _ADVANCE, keys, arguments)

    def _run_script(self, command: str, script: str, keys: list[str], arguments: list[str | int]) -> Sequence[object]:
        reply = self._redis.execute_command(  # type: ignore[no-untyped-call]
            command, script, len(keys), *keys, *arguments
        )
        return cast("list[object]", reply)

    def close(self) -> None:
        """Close the connections."""
        self._probe.end()
        self._redis.close()

    def _lifetime(self) -> int:
        """Return the time to live in milliseconds, varied by a tenth so that copies do not all expire together."""
        return round(self._ttl * 1000 * random.uniform(0.9, 1.1))  # noqa: S311 # not a secret


def _client(config: Config) -> redis.Redis:
    """Connect without retries: by default the driver would spend seconds in them while Redis is away."""
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
