"""Ask a server that stackctl does not run whether it accepts its URL: from this machine, as an app would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stack.urls import ENCODE, REDIS, kind_of, options_of, part_of, scheme_of

# What else a URL may say to libpq; other libraries take options of their own in it, which it refuses.
_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "options")
_TLS_OF_REDIS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def problems_of(urls: Mapping[str, str], seconds: float) -> dict[str, str | None]:
    """Log in to servers side by side, by their names; one that gives no answer does not keep the others waiting."""
    if not urls:
        return {}
    # It takes a while to import, and most stacks have no externals.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(urls)) as threads:
        return dict(zip(urls, threads.map(lambda url: problem_of(url, seconds), urls.values()), strict=True))


def problem_of(url: str, seconds: float) -> str | None:
    """Log in to a server; say why it can't be used, without its password, and nothing if it can."""
    try:
        problem = _redis(url, seconds) if kind_of(url) == REDIS else _postgresql(url, seconds)
    except UnicodeError:
        # What stands for a host is none, which the resolver raises in its own way.
        problem = f"its host is none; {ENCODE}"
    password = part_of(url, "password")
    return problem and (problem.replace(password, "***") if password else problem)


def _postgresql(url: str, seconds: float) -> str | None:
    import psycopg2

    options: dict[str, Any] = {name: value for name, value in options_of(url).items() if name in _OPTIONS}
    try:
        psycopg2.connect(
            host=part_of(url, "host"),
            port=part_of(url, "port"),
            user=part_of(url, "user") or None,
            password=part_of(url, "password") or None,
            dbname=part_of(url, "name") or None,
            connect_timeout=max(2, round(seconds)),
            application_name="stackctl",
            **options,
        ).close()
    except psycopg2.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        # libpq begins with the address, which is told anyway.
        return re.sub(r"^connection to server at .*? failed: ", "", lines[0])
    return None


def _redis(url: str, seconds: float) -> str | None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {name: value for name, value in options_of(url).items() if name in _TLS_OF_REDIS}
    client = redis.Redis(
        host=part_of(url, "host"),
        port=int(part_of(url, "port")),
        username=part_of(url, "user") or None,
        password=part_of(url, "password") or None,
        db=int(part_of(url, "name")),
        ssl=scheme_of(url) == "rediss",
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        **options,
    )
    try:
        client.ping()
    except redis.RedisError as error:
        return str(error) or type(error).__name__
    finally:
        client.close()
    return None
