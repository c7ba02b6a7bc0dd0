"""The kinds of component. To add one: a file beside this one, and a line here."""

from __future__ import annotations

from stack.components.postgres import Postgres
from stack.components.redis import Redis
from stack.components.webapp import WebApp
from stack.model import Component

COMPONENTS: dict[str, type[Component]] = {
    "postgres": Postgres,
    "redis": Redis,
    "webapp": WebApp,
}
