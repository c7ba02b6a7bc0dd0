"""Declare a stack: a web app, its PostgreSQL and its Redis.

A stack file is plain Python that defines `stack`:

    from stack import Postgres, Redis, Stack, WebApp

    db = Postgres("db")
    cache = Redis("cache")
    web = WebApp("web", source=".", port=8000, uses=[db, cache])

    stack = Stack("shop", [web, db, cache])

`stackctl --file FILE up` makes it real. What is listed in `__all__` is the public interface of a stack file.
"""

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
