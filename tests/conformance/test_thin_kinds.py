"""Components that are ready to use: mail is sent and read, a proxy passes requests on, and buckets keep objects."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_docker_at_length
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
from stack import Bucket, Container, Mail, Proxy, Stack

mail = Mail("mail")
files = Bucket("files", buckets=["uploads", "avatars"])
app = Container(
    "app",
    image="python:3.14-slim",
    uses=[mail, files],
    environment={{"AWS_ENDPOINT_URL_S3": files.url, "AWS_SECRET_ACCESS_KEY": files.secret_key}},
    command=["sleep", "infinity"],
    process=["sleep", "infinity"],
)


def echo(name, code={ECHO!r}):
    words = ["python3", "-c", code, name]
    return Container(name, image="python:3.14-slim", command=words, process=words, ports={{"http": 8000}})


web, api = echo("web"), echo("api")
proxy = Proxy("proxy", {{"/": web, "/api": api}})
stack = Stack("shop", [app, mail, files, web, api, proxy])
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


# As a client of S3 does, without its library (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
S3 = """\
import hashlib, hmac, os, sys, urllib.error, urllib.request
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit


def ask(method, path, query="", body=b"", secret=None):
    url, now = urlsplit(os.environ["FILES_URL"]), datetime.now(UTC)
    scope = f"{now:%Y%m%d}/{os.environ['FILES_REGION']}/s3/aws4_request"
    sent = {
        "host": url.netloc,
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
    }
    names = ";".join(sent)
    lines = [method, path, query, *(f"{name}:{value}" for name, value in sent.items()), "", names]
    lines.append(sent["x-amz-content-sha256"])
    asked = hashlib.sha256("\\n".join(lines).encode()).hexdigest()
    key = ("AWS4" + (secret or Path(os.environ["FILES_SECRET_KEY_FILE"]).read_text().strip())).encode()
    for part in [*scope.split("/"), "\\n".join(["AWS4-HMAC-SHA256", sent["x-amz-date"], scope, asked])]:
        key = hmac.new(key, part.encode(), "sha256").digest()
    login = f"Credential={os.environ['FILES_ACCESS_KEY']}/{scope},SignedHeaders={names},Signature={key.hex()}"
    headers = {**sent, "Authorization": f"AWS4-HMAC-SHA256 {login}"}
    request = urllib.request.Request(f"{url.geturl()}{path}?{query}", body or None, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"


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

    def s3(self, call: str) -> str:
        return self.python(f"{S3}print(ask({call}))")

    def text(self, path: str, method: str = "GET") -> str:
        request = urllib.request.Request(f"{self.url}{path}", method=method)
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
    kinds = ("mail", "proxy", "files")
    assert {name: components[name]["health"] for name in kinds} == dict.fromkeys(kinds, "healthy")


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
    request = urllib.request.Request(f"{shop.url_at(shop.front)}{path}", headers=headers)
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
    front = urlsplit(shop.url_at(shop.front))
    with socket.create_connection((front.hostname, front.port), timeout=10) as connection:
        connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        answer = connection.makefile("rb")
        assert b" 101 " in answer.readline()
        while answer.readline().strip():
            pass
        connection.sendall(b"hello\n")
        assert answer.readline() == b"HELLO\n"


def put_hello(shop: Shop) -> None:
    assert shop.s3('"PUT", "/uploads/a/hello.txt", body=b"hello"') == ""


def test_an_object_is_kept_listed_and_fetched_in_a_bucket_that_is_there(shop: Shop) -> None:
    put_hello(shop)
    assert "<Key>a/hello.txt</Key>" in shop.s3('"GET", "/uploads", "list-type=2"')
    assert "<Key>" not in shop.s3('"GET", "/avatars", "list-type=2"'), "the other one is there too"
    assert shop.s3('"GET", "/uploads/a/hello.txt"') == "hello"
    assert shop.s3('"GET", "/uploads/a/hello.txt", secret="wrong"') == "HTTP 403"
    assert shop.s3('"GET", "/nowhere/a"') == "HTTP 404"
    shown = "import os; print(os.environ['FILES_BUCKET'], os.environ['AWS_ENDPOINT_URL_S3'] == os.environ['FILES_URL'])"
    assert shop.python(shown) == "uploads True"


def test_other_routes_and_buckets_are_planned_and_applied(shop: Shop) -> None:
    put_hello(shop)
    more = STACK.replace('"/api": api', '"/api": api, "/v2": api').replace('"avatars"', '"avatars", "reports"')
    shop.declare(more)
    plan = shop.data("plan")
    changed = {each["component"]: each for each in plan["actions"] if each["action"] != "keep"}
    assert changed.keys() == {"proxy", "files"}
    file = "configs./etc/caddy/Caddyfile" if shop.on_a_swarm else "content.proxy.caddyfile"
    assert file in {each["field"] for each in changed["proxy"]["differences"]}
    assert [each["field"] for each in changed["files"]["differences"]] == ["environment.BUCKETS"]
    assert [each["effect"] for each in plan["data"]] == ["keep"]
    shop.open()
    status, told = through(shop, "/v2/users")
    assert (status, told["app"]) == (200, "api")
    assert "<Name>reports</Name>" in shop.s3('"GET", "/reports", "list-type=2"')
    assert shop.s3('"GET", "/uploads/a/hello.txt"') == "hello"


@on_docker_at_length
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


@on_docker_at_length
def test_objects_are_in_snapshots_and_in_the_question_of_reset(shop: Shop) -> None:
    put_hello(shop)
    shop.ok("snapshot", "save", "one")
    shop.s3('"DELETE", "/uploads/a/hello.txt"')
    assert shop.s3('"GET", "/uploads/a/hello.txt"') == "HTTP 404"
    assert "volumes: " in shop.run("reset").stderr, "its question names the data"
    shop.ok("snapshot", "restore", "one", "--yes")
    assert shop.s3('"GET", "/uploads/a/hello.txt"') == "hello"
