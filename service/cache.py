"""The copy: one plain number a page in Redis, with a time to live."""

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

from .breaker import Breaker
from .config import Config
from .counter import HOMEPAGE
from .probe import Probe
from .store import Lookup, Move, Result

TIMEOUT = 0.1  # seconds to connect and for each answer: a copy that takes longer is not worth it
_LONG = TIMEOUT / 2  # seconds; also a name that can't be resolved may take them, which has no time limit
MOST = 2**53 - 1  # beyond it neither Lua nor a JSON reader is exact

_ADVANCE = Path(__file__).with_name("advance.lua").read_text(encoding="utf-8")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,15}")


class RedisCache:
    """A cache that fails fast and never raises. Safe to share between threads.

    The first failure that takes long opens the breaker, because many may wait for one request's answer. While it is
    open no request asks Redis; a probe does.
    """

    def __init__(self, config: Config, breaker: Breaker) -> None:
        self._breaker = breaker
        self._ttl = config.cache_ttl
        self._redis = _client(config)
        self._probe = Probe(breaker, lambda: self._attempt((), (HOMEPAGE,)))
        self._digest = hashlib.sha1(_ADVANCE.encode(), usedforsecurity=False).hexdigest()

    def get(self, page: str) -> Lookup:
        """Look one count up."""
        return self.exchange((), (page,))[1][page]

    def exchange(self, moves: Collection[Move], pages: Sequence[str]) -> tuple[bool, Mapping[str, Lookup]]:
        """Move copies forward to committed counts, then look pages up; in one round trip, and without raising.

        A higher copy stays, because a later visit stored it. But a copy that is ahead of the truth, since the
        database was reset or restored to an earlier state, would then stay too. The caller can tell: a true copy
        that was looked up before a visit committed is below that visit's number. Such a copy is given as `wrong`,
        and is overwritten unless somebody already replaced it by a lower one.
        """
        if not moves and not pages:
            return True, {}
        if self._breaker.is_open:
            return False, {page: Lookup(Result.BYPASS) for page in pages}
        values = self._attempt(moves, pages)
        if values is None:
            return False, {page: Lookup(Result.ERROR) for page in pages}
        counts = zip(pages, map(_number, values), strict=True)
        return True, {
            page: Lookup(Result.MISS) if count is None else Lookup(Result.HIT, count) for page, count in counts
        }

    def _attempt(self, moves: Collection[Move], pages: Sequence[str]) -> Sequence[object] | None:
        """The same as `_ask`, and the breaker is told; None if it failed."""
        began = time.monotonic()
        try:
            values = self._ask(moves, pages)
        except redis.RedisError as error:
            if self._breaker.failed(str(error), at_once=time.monotonic() - began >= _LONG):
                self._probe.start()
            return None
        self._breaker.succeeded()
        return values

    def _ask(self, moves: Collection[Move], pages: Sequence[str]) -> Sequence[object]:
        """What is stored for the pages, after the moves. Raises RedisError."""
        if not moves:
            return cast("list[object]", self._redis.mget([_key(page) for page in pages]))
        keys = [_key(page) for page in (*(move.page for move in moves), *pages)]
        arguments: list[str | int] = [len(moves), self._lifetime()]
        for move in moves:
            arguments += [move.count, "" if move.wrong is None else move.wrong]
        try:
            return self._run_script("EVALSHA", self._digest, keys, arguments)
        except redis.exceptions.NoScriptError:  # it was started again
            return self._run_script("EVAL", _ADVANCE, keys, arguments)

    def _run_script(self, command: str, script: str, keys: list[str], arguments: list[str | int]) -> Sequence[object]:
        answer = self._redis.execute_command(  # type: ignore[no-untyped-call]
            command, script, len(keys), *keys, *arguments
        )
        return cast("list[object]", answer)

    def close(self) -> None:
        """Close the connections."""
        self._probe.end()
        self._redis.close()

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
