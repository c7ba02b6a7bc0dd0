"""Components that are ready to use: mail is sent and read, and a proxy passes requests on."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Cli, eventually
from tests.ports import own_port

ECHO = """\
import http.server, json, os, sys


class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers["Upgrade"]:
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", self.headers["Upgrade"])
            self.end_headers()
            self.wfile.write(self.rfile.readline().upper())
            self.close_connection = True
            return
        told = {name: value for name, value in self.headers.items() if name.startswith("X-") or name == "Host"}
        body = json.dumps({"app": sys.argv[1], "path": self.path, **told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


where = os.environ.get("BIND", "0.0.0.0"), int(os.environ.get("PORT", "8000"))
http.server.ThreadingHTTPServer(where, Echo).serve_forever()
"""
STACK = f"""\
from stack import Container, Mail, Proxy, Stack

mail = Mail("mail")
app = Container(
    "app",
    image="python:3.14-slim",
    uses=[mail],
    command=["sleep", "infinity"],
    process=["sleep", "infinity"],
)


def echo(name, code={ECHO!r}):
    words = ["python3", "-c", code, name]
    return Container(name, image="python:3.14-slim", command=words, process=words, ports={{"http": 8000}})


web, api = echo("web"), echo("api")
proxy = Proxy("proxy", {{"/": web, "/api": api}})
stack = Stack("shop", [app, mail, web, api, proxy])
"""
BROKEN = 'echo("api", "raise SystemExit(\'no API today\')")'
SEND = """\
import os, smtplib
from email.message import EmailMessage

mail = EmailMessage()
mail["From"], mail["To"], mail["Subject"] = "Shop <shop@example.com>", "ann@example.com", "Grüße"
mail.set_content("Your order is on its way.")
with smtplib.SMTP(os.environ["MAIL_HOST"], int(os.environ["MAIL_PORT"])) as server:
    server.login("any", "password")
    server.send_message(mail, to_addrs=["ann@example.com", "hidden@example.com"])
print(os.environ["MAIL_URL"])
"""


class Shop(Cli):
    """The command line for an instance of that stack."""

    def __init__(self, folder: Path, engine: str) -> None:
        super().__init__(folder, file=folder / "shop.py", engine=engine)
        self.front = own_port()

    def declare(self, text: str) -> None:
        (self.folder / "shop.py").write_text(text)

    @property
    def ports(self) -> list[str]:
        return ["--port", f"mail={self.port}", "--port", f"proxy={self.front}"]

    def open(self) -> dict[str, Any]:
        return self.data("up", *self.ports)

    def python(self, script: str) -> str:
        return self.ok("exec", "app", "--", "python3", "-c", script).stdout.strip()

    def text(self, path: str, port: int | None = None, method: str = "GET") -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}", method=method)
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("shop")
    folder.chmod(0o755)
    (folder / "shop.py").write_text(STACK)
    cli = Shop(folder, engine)
    try:
        cli.open()
        yield cli
    finally:
        cli.reset()


def test_all_of_it_is_up_and_stays_as_it_is(shop: Shop) -> None:
    assert shop.open()["changed"] is False
    components = shop.data("status")["components"]
    assert {name: components[name]["health"] for name in ("mail", "proxy")} == {"mail": "healthy", "proxy": "healthy"}


def test_a_mail_is_sent_and_read(shop: Shop) -> None:
    assert shop.python(SEND).startswith("smtp://")
    (mail,) = eventually(lambda: json.loads(shop.text("/api/v1/messages"))["messages"])
    assert (mail["From"]["Address"], mail["To"][0]["Address"]) == ("shop@example.com", "ann@example.com")
    assert [each["Address"] for each in mail["Bcc"]] == ["hidden@example.com"]
    assert (mail["Subject"], mail["Snippet"]) == ("Grüße", "Your order is on its way.")
    assert json.loads(shop.text(f"/api/v1/message/{mail['ID']}"))["Text"].strip() == "Your order is on its way."
    assert "Subject: =?utf-8?" in shop.text(f"/api/v1/message/{mail['ID']}/raw")
    assert "<" in shop.text("/"), "people read it too"
    shop.text("/api/v1/messages", method="DELETE")
    assert json.loads(shop.text("/api/v1/messages"))["total"] == 0


def through(shop: Shop, path: str, **headers: str) -> tuple[int, Any]:
    """Ask the proxy, and read what an app was asked for."""
    request = urllib.request.Request(f"http://127.0.0.1:{shop.front}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def test_a_request_arrives_at_the_app_of_its_path(shop: Shop) -> None:
    for path, app in (("/", "web"), ("/apis", "web"), ("/api", "api"), ("/api/users?page=2", "api")):
        status, told = through(shop, path, Host="shop.example.com", X_Forwarded_For="6.6.6.6")
        assert (status, told["app"], told["path"]) == (200, app, path)
        assert (told["Host"], told["X-Forwarded-Host"]) == ("shop.example.com", "shop.example.com")
        assert ip_address(told["X-Forwarded-For"]).is_private, "what a client says of itself is not passed on"
        assert told["X-Forwarded-Proto"] == "http"


def test_a_connection_of_a_web_socket_is_passed_on(shop: Shop) -> None:
    with socket.create_connection(("127.0.0.1", shop.front), timeout=10) as connection:
        connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        answer = connection.makefile("rb")
        assert b" 101 " in answer.readline()
        while answer.readline().strip():
            pass
        connection.sendall(b"hello\n")
        assert answer.readline() == b"HELLO\n"


def test_other_routes_are_planned_and_applied(shop: Shop) -> None:
    shop.declare(STACK.replace('"/api": api', '"/api": api, "/v2": api'))
    (planned,) = [each for each in shop.data("plan")["actions"] if each["action"] != "keep"]
    changed = {each["field"] for each in planned["differences"]}
    assert (planned["component"], "content.proxy.caddyfile" in changed) == ("proxy", True), planned
    shop.open()
    status, told = through(shop, "/v2/users")
    assert (status, told["app"]) == (200, "api")


def test_a_target_that_is_down_is_the_culprit_and_not_the_proxy(shop: Shop) -> None:
    declared = (shop.folder / "shop.py").read_text()
    shop.declare(declared.replace('echo("api")', BROKEN))
    error = json.loads(shop.run("--json", "up", *shop.ports).stdout)["error"]
    assert "api " in error["message"], error
    assert "proxy" not in error["message"], error
    assert "no API today" in error["output"], error
    components = shop.data("status")["components"]
    assert (components["proxy"]["health"], through(shop, "/")[0], through(shop, "/api")[0]) == ("healthy", 200, 502)
    shop.declare(declared)
    shop.open()
    assert through(shop, "/api")[0] == 200
