"""Components that are ready to use: mail is sent and read."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Cli, eventually
from tests.ports import own_port

STACK = """\
from stack import Container, Mail, Stack

mail = Mail("mail")
app = Container(
    "app",
    image="python:3.14-slim",
    uses=[mail],
    command=["sleep", "infinity"],
    process=["sleep", "infinity"],
)
stack = Stack("shop", [app, mail])
"""
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

    def open(self) -> dict[str, Any]:
        return self.data("up", "--port", f"mail={self.port}")

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
    cli = Shop(folder, file=folder / "shop.py", engine=engine, port=own_port())
    try:
        cli.open()
        yield cli
    finally:
        cli.reset()


def test_all_of_it_is_up_and_stays_as_it_is(shop: Shop) -> None:
    assert shop.open()["changed"] is False
    components = shop.data("status")["components"]
    assert components["mail"]["health"] == "healthy"


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
