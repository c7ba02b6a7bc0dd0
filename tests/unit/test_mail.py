"""The mail catcher: what is declared of it, and how it keeps and shows mail."""

from __future__ import annotations

import json
import smtplib
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from stack import Container, DeclarationError, Mail, Stack
from stack.components.mail.catcher import Box, Page, Taker
from stack.instance import default_ports
from stack.ports import any_free

WRONG: dict[str, Callable[[], object]] = {
    "mail/publish: 0 is not a port (1-65535)": lambda: Mail("mail", publish=0),
    "mail/publish: '8025' is not a port (1-65535)": lambda: Mail("mail", publish="8025"),  # type: ignore[arg-type]
    "mail/memory: 16 is not an amount in MiB (at least 32)": lambda: Mail("mail", memory=16),
    "mail/cpus: 0 is not an amount in CPUs (at least 0.1)": lambda: Mail("mail", cpus=0),
    "mail/image: 'Mail pit' is not the name of an image (like 'nginx:1.29')": lambda: Mail("mail", image="Mail pit"),
    "mail/ports: Mail has no such field": lambda: Mail("mail", ports=1025),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_value_is_an_error_with_its_path(message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        WRONG[message]()
    assert str(raised.value).startswith(message)


def test_what_uses_it_gets_where_to_send_mail_and_its_page_is_published() -> None:
    mail = Mail("mail")
    app = Container("app", image="app", uses=[mail], environment={"EMAIL_URL": mail.url})
    stack = Stack("shop", [app, mail])
    environment = stack.workload("app", "container").environment
    assert set(environment) == {"MAIL_HOST", "MAIL_PORT", "MAIL_URL", "EMAIL_URL"}
    assert dict(default_ports(stack)) == {"mail:http": 8025}
    assert dict(default_ports(Stack("shop", [Mail("mail", publish=None)]))) == {}
    assert Mail("mail", publish=None).workload("container").probe is None


@pytest.fixture
def catcher() -> Iterator[tuple[int, str]]:
    """The port that takes mail, and the URL that shows it."""
    box = Box()
    taker = Controller(Taker(box), "127.0.0.1", any_free())
    taker.start()
    page = ThreadingHTTPServer(("127.0.0.1", 0), type("PageOfTest", (Page,), {"box": box}))
    thread = threading.Thread(target=page.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield taker.port, f"http://127.0.0.1:{page.server_port}"
    finally:
        page.shutdown()
        thread.join()
        page.server_close()
        taker.stop()


def message(subject: str, html: str = "", attached: str = "") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Cc"], made["Subject"] = "a@x.org", "Bo <b@x.org>, c@x.org", "d@x.org", subject
    made.set_content(f"text of {subject}")
    if html:
        made.add_alternative(html, subtype="html")
    if attached:
        made.add_attachment(b"...", maintype="application", subtype="pdf", filename=attached)
    return made


def send(port: int, *messages: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port) as server:
        for each in messages:
            server.send_message(each)


def text(url: str, method: str = "GET", body: str | None = None) -> str:
    request = urllib.request.Request(url, method=method, data=body.encode() if body else None)
    with urllib.request.urlopen(request) as answer:
        return str(answer.read().decode())


def messages(url: str, query: str = "") -> Any:
    return json.loads(text(f"{url}/api/v1/messages{query}"))


def test_mails_are_listed_the_newest_first_and_shown_whole(catcher: tuple[int, str]) -> None:
    port, url = catcher
    send(port, message("one"), message("two & <b>", html="<i>two</i>", attached="a.pdf"))
    listed = messages(url)
    assert [each["Subject"] for each in listed["messages"]] == ["two & <b>", "one"]
    assert [each["Attachments"] for each in listed["messages"]] == [1, 0]
    assert [each["Subject"] for each in messages(url, "?start=1&limit=1")["messages"]] == ["one"]
    assert messages(url, "?limit=many")["count"] == 2
    whole = json.loads(text(f"{url}/api/v1/message/latest"))
    assert (whole["Text"].strip(), whole["HTML"].strip()) == ("text of two & <b>", "<i>two</i>")
    assert whole["To"] == [{"Name": "Bo", "Address": "b@x.org"}, {"Name": "", "Address": "c@x.org"}]
    assert (whole["Cc"], whole["Bcc"]) == ([{"Name": "", "Address": "d@x.org"}], [])
    assert whole["Attachments"] == [{"FileName": "a.pdf", "ContentType": "application/pdf"}]
    for page in ("/", "/view/latest"):
        assert "two &amp; &lt;b&gt;" in text(url + page), "nothing of a mail is markup"


def test_a_mail_without_any_header_is_shown_too(catcher: tuple[int, str]) -> None:
    port, url = catcher
    with smtplib.SMTP("127.0.0.1", port) as server:
        server.sendmail("a@x.org", ["b@x.org"], b"no header here\r\n\xff")
    (listed,) = messages(url)["messages"]
    assert (listed["Subject"], listed["Bcc"][0]["Address"]) == ("", "b@x.org")
    assert "(no subject)" in text(url)


def test_mails_are_deleted_by_their_ids_or_all_at_once(catcher: tuple[int, str]) -> None:
    port, url = catcher
    send(port, message("one"), message("two"), message("three"))
    two = messages(url)["messages"][1]["ID"]
    text(f"{url}/api/v1/messages", "DELETE", json.dumps({"IDs": [two]}))
    assert [each["Subject"] for each in messages(url)["messages"]] == ["three", "one"]
    text(f"{url}/api/v1/messages", "DELETE")
    assert messages(url)["total"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/message/none", None, 404),
        ("GET", "/api/v1/message/none/raw", None, 404),
        ("GET", "/elsewhere", None, 404),
        ("DELETE", "/elsewhere", None, 404),
        ("DELETE", "/api/v1/messages", "no JSON", 400),
    ],
)
def test_what_it_does_not_have_is_an_error_of_http(
    catcher: tuple[int, str], method: str, path: str, body: str | None, status: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        text(catcher[1] + path, method, body)
    assert raised.value.code == status
    raised.value.close()
