"""Containers that fail because of what they may do, for real: each names the field to declare, and runs with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import Cli
from tests.conformance.engines import on_compose
from tests.ports import own_port

# A program with the capability to listen below 1024, as in the image of Caddy.
DOCKERFILE = """\
FROM python:3.14-slim
RUN cp /bin/sleep /usr/local/bin/server && python3 -c "import os; os.setxattr('/usr/local/bin/server', \
'security.capability', bytes.fromhex('01000002' + '0004' + '00' * 14))"
"""
# What is declared, what `up` says, and what it says to declare; with this, it runs.
WAYS = {
    "a folder of its image that it writes to": (
        "image='python:3.14-slim', command=['sh', '-c', 'mkdir /run/app && exec sleep 1000']",
        "app can't write to /run/app: the file system of its image is read-only",
        "`tmpfs=[…]`",
        "tmpfs=['/run']",
    ),
    "an entrypoint that needs root": (
        "image='python:3.14-slim', command=['sh', '-c', 'touch /tmp/a && chown 1000 /tmp/a && "
        "exec setpriv --reuid=1000 --regid=1000 --clear-groups sleep 1000']",
        "app begins as root and gives its files to another user, or becomes one, and may not (chown: changing",
        '`user="image"` and `capabilities=["CHOWN", "SETGID", "SETUID"]`',
        "user='image', capabilities=['CHOWN', 'SETGID', 'SETUID']",
    ),
    "a program with capabilities of its own": (
        "source='app', command=['server', '1000']",
        "app may not start server: its image gives that program capabilities",
        '`capabilities=["NET_BIND_SERVICE"]`',
        "capabilities=['NET_BIND_SERVICE']",
    ),
}


def declare(folder: Path, declaration: str) -> Path:
    file = folder / "shop.py"
    file.write_text(f"from stack import Container, Stack\nstack = Stack('shop', [Container('app', {declaration})])\n")
    return file


@on_compose
@pytest.mark.parametrize("way", WAYS)
def test_a_container_says_what_it_has_to_be_allowed(way: str, engine: str, tmp_path: Path) -> None:
    declaration, message, hint, declared = WAYS[way]
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text(DOCKERFILE)
    cli = Cli(tmp_path, file=declare(tmp_path, declaration), engine=engine)
    try:
        error = cli.fails("up", code="permission-denied")
        assert error["message"].startswith(message)
        assert hint in error["hint"]
        declare(tmp_path, f"{declaration}, {declared}")
        cli.ok("up")
    finally:
        cli.reset()


def test_a_container_that_listens_on_another_port_is_told_so(engine: str, tmp_path: Path) -> None:
    file = declare(
        tmp_path,
        "image='python:3.14-slim', ports={'http': 9000, 'console': 9001}, publish={'console': 23900}, "
        "command=['python3', '-m', 'http.server', '9000'], "
        "process=['sh', '-c', 'exec python3 -m http.server \"$PORT\" --bind \"$BIND\"']",
    )
    cli = Cli(tmp_path, file=file, engine=engine)
    try:
        error = cli.fails("up", "--port", f"app={own_port()}", "--timeout", "12", code="not-ready")
        assert "app listens on " in error["message"]
        assert ("not on 9001" in error["message"]) == (engine != "embedded")
        assert ("`ports=` of a Container" in error["hint"]) == (engine != "embedded")
    finally:
        cli.reset()
