"""A visit counter on Flask: cache-aside, with PostgreSQL as the truth and Redis as its copy.

It runs from environment variables alone (`config.py` has them):

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
from .counter import Counter
from .database import Database as PostgresDatabase
from .health import Health
from .metrics import Metrics
from .middleware import Middleware
from .store import Cache, Database

_log = logging.getLogger(__name__)


def create_app(config: Config | None = None) -> Flask:
    """The service on its PostgreSQL and Redis, of which neither need be up. Once a process, after a fork.

    Without a `config` the environment is read; raises ConfigError.
    """
    config = config or Config.from_environment(os.environ)
    metrics = Metrics()
    breakers = {dependency: _breaker(dependency, metrics) for dependency in ("database", "cache")}
    database = PostgresDatabase(config, breakers["database"])
    database.prepare()
    return assemble(database, RedisCache(config, breakers["cache"]), breakers, metrics)


def assemble(database: Database, cache: Cache, breakers: Mapping[str, Breaker], metrics: Metrics) -> Flask:
    """An application on any database and cache. `breakers` has that of each of the two, by these names."""
    app = Flask(__name__)
    health = Health(database, cache, breakers, time.monotonic)
    app.extensions["visit_counter"] = routes.Parts(Counter(database, cache, metrics.committed), health, metrics)
    app.register_blueprint(routes.bp)
    errors.init_app(app)
    app.wsgi_app = Middleware(app.wsgi_app, metrics.answered)  # type: ignore[method-assign]
    return app


def _breaker(dependency: str, metrics: Metrics) -> Breaker:
    def report(is_open: bool, reason: str) -> None:
        metrics.breaker(dependency, is_open)
        if is_open:
            _log.warning("the %s is unavailable: %s", dependency, reason)
        else:
            _log.info("the %s is available again", dependency)

    metrics.breaker(dependency, False)
    return Breaker(time.monotonic, interval=0.5, on_change=report)
