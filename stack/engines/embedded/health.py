"""Ask each server whether it works, as an app would: a real question, and a time limit.

An app is asked from outside, on each engine alike.
"""

from __future__ import annotations

import socket
from pathlib import Path

from stack.components.postgres import Postgres
from stack.components.redis import Redis
from stack.engines import process
from stack.engines.embedded.binaries import Programs
from stack.engines.embedded.layout import HOST, Home
from stack.model import Component

_LIMIT = 3.0


def is_server(component: Component) -> bool:
    """Whether it is asked here."""
    return isinstance(component, Postgres | Redis)


def complaint(component: Component, port: int, home: Home, programs: Programs) -> str | None:
    """What is wrong with a component that runs, None when it is well."""
    match component:
        case Postgres():
            return _ask_postgres(component, port, home, programs.postgres[component.name].tools)
        case Redis():
            return _ask_redis(port, home.secret(component.password.id))
    return None


def _ask_postgres(database: Postgres, port: int, home: Home, tools: Path) -> str | None:
    command = database.query("SELECT 1", host=HOST)
    environment = {"PGPORT": str(port), "PGPASSFILE": str(home.password_file), "LC_ALL": "C"}
    try:
        answer = process.run([str(tools / command[0]), "-w", *command[1:]], environment, _LIMIT)
    except (TimeoutError, OSError) as error:
        return str(error)
    return None if answer.ok else answer.stderr.strip()


def _ask_redis(port: int, password_file: Path) -> str | None:
    try:
        password = password_file.read_text(encoding="utf-8").strip()
        with socket.create_connection((HOST, port), timeout=_LIMIT) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2 and (more := connection.recv(4096)):
                answer += more
    except OSError as error:
        return str(error)
    said = answer.decode("utf-8", errors="replace").split("\r\n")
    return None if said[:2] == ["+OK", "+PONG"] else " ".join(said).strip()
