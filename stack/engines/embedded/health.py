"""Ask each kind of component whether it works, as those who use it would: a real question, and a time limit."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from stack.components.postgres import Postgres
from stack.components.redis import Redis
from stack.components.webapp import WebApp
from stack.engines import process
from stack.engines.embedded.binaries import Programs
from stack.engines.embedded.layout import HOST, Home
from stack.model import Component

_LIMIT = 3.0


def complaint(component: Component, port: int, home: Home, programs: Programs) -> str | None:
    """What is wrong with a component that runs, None when it is well."""
    match component:
        case Postgres():
            return _ask_postgres(component, port, home, programs.postgres[component.name].tools)
        case Redis():
            return _ask_redis(port, home.secret(component.password.id))
        case WebApp():
            return _ask_web(port, component.health)
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


def _ask_web(port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=_LIMIT)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            if response.status < 400:
                return None
            body = response.read(300).decode("utf-8", errors="replace")
            return f"{response.status}: {body}".strip()
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
