"""Declare a stack: a web app, its PostgreSQL and its Redis.

A stack file is plain Python that defines `stack`:

    from stack import Postgres, Redis, Stack, WebApp

    db = Postgres("db")
    cache = Redis("cache")
    web = WebApp("web", source=".", port=8000, uses=[db, cache])

    stack = Stack("shop", [web, db, cache])

`stackctl --file FILE up` makes it real. What is listed in `__all__` is the public interface of a stack file.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stack import health
    from stack.components.bucket import Bucket
    from stack.components.container import Container
    from stack.components.job import Job
    from stack.components.mail import Mail
    from stack.components.postgres import Postgres
    from stack.components.proxy import Proxy
    from stack.components.redis import CachedValue, Redis
    from stack.components.schedule import Schedule
    from stack.components.webapp import WebApp
    from stack.components.worker import Worker
    from stack.errors import DeclarationError
    from stack.external import External
    from stack.model import Stack
    from stack.parameters import Parameter
    from stack.references import BIND, PORT
    from stack.volume import Volume

__all__ = [
    "BIND",
    "PORT",
    "Bucket",
    "CachedValue",
    "Container",
    "DeclarationError",
    "External",
    "Job",
    "Mail",
    "Parameter",
    "Postgres",
    "Proxy",
    "Redis",
    "Schedule",
    "Stack",
    "Volume",
    "WebApp",
    "Worker",
    "health",
]

_PLACES = {
    "BIND": "stack.references",
    "Bucket": "stack.components.bucket",
    "CachedValue": "stack.components.redis",
    "Container": "stack.components.container",
    "DeclarationError": "stack.errors",
    "External": "stack.external",
    "Job": "stack.components.job",
    "Mail": "stack.components.mail",
    "PORT": "stack.references",
    "Parameter": "stack.parameters",
    "Postgres": "stack.components.postgres",
    "Proxy": "stack.components.proxy",
    "Redis": "stack.components.redis",
    "Schedule": "stack.components.schedule",
    "Stack": "stack.model",
    "Volume": "stack.volume",
    "WebApp": "stack.components.webapp",
    "Worker": "stack.components.worker",
}


def __getattr__(name: str) -> Any:
    """Load what a stack file uses and nothing else: every command loads this package, and it takes a while.

    Raises `AttributeError`.
    """
    if name == "health":
        return import_module("stack.health")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
