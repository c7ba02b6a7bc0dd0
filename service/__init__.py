"""A visit counter on Flask: PostgreSQL holds the truth and Redis a copy of it (cache-aside).

It is configured by environment variables alone (see `config.py`):

    python service/serve.py
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping

from flask import Flask

from . import errors, routes
from .breaker import Breaker
from .cache import RedisCache
from .config import Config
from .counter import VisitCounter
from .database import PostgresDatabase
from .health import Health
from .middleware import Middleware
from .observability import Metrics
from .store import Cache, Database

_log = logging.getLogger(__name__)


def create_app(config: Config | None = None) -> Flask:
    """Build the service on its PostgreSQL and Redis; neither has to be up. Call it once per process, after a fork.

    Read the environment if there is no `config`. Raises ConfigError.
    """
    config = config or Config.from_environment(os.environ)
    metrics = Metrics()
    breakers = {dependency: _build_breaker(dependency, metrics) for dependency in ("database", "cache")}
    database = PostgresDatabase(config, breakers["database"])
    database.prepare()
    return build_app(database, RedisCache(config, breakers["cache"]), breakers, metrics)


def build_app(database: Database, cache: Cache, breakers: Mapping[str, Breaker], metrics: Metrics) -> Flask:
    """Build the application on any database and cache. `breakers` has the keys `database` and `cache`."""
    app = Flask(__name__)
    counter = VisitCounter(database, cache, metrics.record_commit)
    health = Health(database, cache, breakers, time.monotonic)
    app.extensions["visit_counter"] = routes.AppState(counter, health, metrics)
    app.register_blueprint(routes.bp)
    errors.init_app(app)
    app.wsgi_app = Middleware(app.wsgi_app, metrics.record_response)  # type: ignore[method-assign]
    return app


def _build_breaker(dependency: str, metrics: Metrics) -> Breaker:
    def report(is_open: bool, reason: str) -> None:
        metrics.set_breaker(dependency, is_open)
        if is_open:
            _log.warning("the %s is unavailable: %s", dependency, reason)
        else:
            _log.info("the %s is available again", dependency)

    metrics.set_breaker(dependency, False)
    return Breaker(time.monotonic, interval=0.5, on_change=report)
