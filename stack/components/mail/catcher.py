"""Take mail, keep it in memory, and show it: what Mailpit is in a container, for a process of this machine.

    catcher.py --bind ADDRESS --smtp PORT --http PORT [--http-bind ADDRESS]

The HTTP API is a part of that of Mailpit, with its names (https://mailpit.axllent.org/docs/api-v1/).
"""

from __future__ import annotations

import argparse
import contextlib
import html
import itertools
import json
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

_MOST = 500
_SNIPPET = 250
_PAGE = 50
_JSON, _HTML, _TEXT = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Mail:
    """A mail as it came, and those that its sender gave it for."""

    id: str
    raw: bytes
    recipients: tuple[str, ...]
    created: datetime

    @cached_property
    def parsed(self) -> EmailMessage:
        return BytesParser(EmailMessage, policy=policy.default).parsebytes(self.raw)

    @property
    def summary(self) -> dict[str, Any]:
        addresses = {field: self._addresses(field) for field in ("From", "To", "Cc", "Reply-To")}
        shown = {each["Address"] for field in ("To", "Cc") for each in addresses[field]}
        return {
            "ID": self.id,
            "MessageID": self._header("Message-ID").strip("<>"),
            "From": next(iter(addresses["From"]), {"Name": "", "Address": ""}),
            "To": addresses["To"],
            "Cc": addresses["Cc"],
            "Bcc": [{"Name": "", "Address": address} for address in self.recipients if address not in shown],
            "ReplyTo": addresses["Reply-To"],
            "Subject": self._header("Subject"),
            "Created": self.created.isoformat(),
            "Size": len(self.raw),
            "Attachments": len(list(self.parsed.iter_attachments())),
            "Snippet": " ".join(self.text("plain").split())[:_SNIPPET],
        }

    @property
    def whole(self) -> dict[str, Any]:
        attached = [
            {"FileName": part.get_filename() or "", "ContentType": part.get_content_type()}
            for part in self.parsed.iter_attachments()
        ]
        own = {"Date": self.created.isoformat(), "Text": self.text("plain"), "HTML": self.text("html")}
        return self.summary | own | {"Attachments": attached}

    def text(self, kind: str) -> str:
        """Return the body as `plain` text or as `html`; empty if it has none."""
        part = self.parsed.get_body((kind,))
        if part is None:
            return ""
        try:
            return str(part.get_content())
        except LookupError:  # an encoding that Python does not know
            return bytes(part.get_payload(decode=True) or b"").decode("utf-8", errors="replace")

    def _header(self, name: str) -> str:
        return str(self.parsed.get(name, ""))

    def _addresses(self, field: str) -> list[dict[str, str]]:
        found = getaddresses([str(value) for value in self.parsed.get_all(field, [])])
        return [{"Name": name, "Address": address} for name, address in found if address]


class Box:
    """The last mails, the newest first."""

    def __init__(self) -> None:
        self._mails: deque[Mail] = deque(maxlen=_MOST)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, raw: bytes, recipients: Iterable[str]) -> Mail:
        with self._lock:
            mail = Mail(f"{next(self._numbers):022d}", raw, tuple(recipients), datetime.now(UTC))
            self._mails.appendleft(mail)
            return mail

    def all(self) -> list[Mail]:
        with self._lock:
            return list(self._mails)

    def find(self, name: str) -> Mail | None:
        """Find a mail by its ID, or the `latest`."""
        return next((mail for mail in self.all() if name in ("latest", mail.id)), None)

    def delete(self, names: Iterable[str]) -> None:
        """Delete the mails with these IDs; all if there are none."""
        gone = set(names)
        with self._lock:
            kept = [mail for mail in self._mails if gone and mail.id not in gone]
            self._mails.clear()
            self._mails.extend(kept)


class Taker:
    """Puts each mail that arrives into a box."""

    def __init__(self, box: Box) -> None:
        self._box = box

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.original_content or b""
        mail = self._box.add(raw, envelope.rcpt_tos)
        print(f"mail {mail.id} from {envelope.mail_from} to {', '.join(envelope.rcpt_tos)}", flush=True)  # noqa: T201
        return f"250 Message accepted: {mail.id}"


class Page(BaseHTTPRequestHandler):
    """Shows a box to people and programs."""

    box: ClassVar[Box]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        match parts.path.strip("/").split("/"):
            case ["livez" | "readyz"]:
                self._answer(_TEXT, "ok")
            case [""]:
                self._answer(_HTML, _listing(self.box.all()))
            case ["view", name] if mail := self.box.find(name):
                self._answer(_HTML, _shown(mail))
            case ["api", "v1", "messages"]:
                self._answer(_JSON, json.dumps(_messages(self.box.all(), parse_qs(parts.query))))
            case ["api", "v1", "message", name] if mail := self.box.find(name):
                self._answer(_JSON, json.dumps(mail.whole))
            case ["api", "v1", "message", name, "raw"] if mail := self.box.find(name):
                self._answer(_TEXT, mail.raw)
            case _:
                self._answer(_TEXT, "not found", HTTPStatus.NOT_FOUND)

    def do_DELETE(self) -> None:
        if urlsplit(self.path).path != "/api/v1/messages":
            self._answer(_TEXT, "not found", HTTPStatus.NOT_FOUND)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            named = json.loads(body or "{}").get("IDs") or ()
        except (ValueError, AttributeError):
            self._answer(_TEXT, 'the body is not JSON like {"IDs": []}', HTTPStatus.BAD_REQUEST)
            return
        self.box.delete(map(str, named))
        self._answer(_TEXT, "ok")

    def log_message(self, format: str, *arguments: object) -> None:
        """Log no request: a page that is open asks again and again."""

    def _answer(self, kind: str, body: str | bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(data)


def _messages(mails: list[Mail], query: dict[str, list[str]]) -> dict[str, Any]:
    def number(name: str, usual: int) -> int:
        text = query.get(name, [""])[0]
        return int(text) if text.isascii() and text.isdecimal() else usual

    start = number("start", 0)
    found = mails[start : start + number("limit", _PAGE)]
    summaries = [mail.summary for mail in found]
    return {"total": len(mails), "messages_count": len(mails), "count": len(found), "start": start,
            "messages": summaries}  # fmt: skip


def _listing(mails: list[Mail]) -> str:
    def row(mail: Mail) -> str:
        shown = mail.summary
        to = ", ".join([each["Address"] for each in (*shown["To"], *shown["Cc"], *shown["Bcc"])])
        cells = (f"{mail.created:%H:%M:%S}", shown["From"]["Address"], to)
        text = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        return (
            f'<tr>{text}<td><a href="/view/{mail.id}">{html.escape(shown["Subject"]) or "(no subject)"}</a></td></tr>'
        )

    rows = "\n".join(map(row, mails)) or "<tr><td>No mail yet.</td></tr>"
    return _document("Mail", f"<table>\n{rows}\n</table>", refresh='<meta http-equiv="refresh" content="5">')


def _shown(mail: Mail) -> str:
    subject = mail.summary["Subject"]
    headers = "\n".join(f"{name}: {value}" for name, value in mail.parsed.items())
    body = mail.text("plain") or mail.text("html")
    raw = f'<p><a href="/api/v1/message/{mail.id}/raw">source</a> · <a href="/">all mails</a></p>'
    return _document(subject, f"<pre>{html.escape(headers)}</pre><pre>{html.escape(body)}</pre>{raw}")


def _document(title: str, body: str, refresh: str = "") -> str:
    style = "body{font-family:sans-serif;margin:2em}td{padding:.3em 1em .3em 0}pre{white-space:pre-wrap}"
    head = f"<meta charset=utf-8>{refresh}<title>{html.escape(title)}</title><style>{style}</style>"
    return f"<!doctype html><html><head>{head}</head><body><h1>{html.escape(title)}</h1>{body}</body></html>"


def _any_login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    return AuthResult(success=True)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind", required=True)
    parser.add_argument("--http-bind")
    parser.add_argument("--smtp", type=int, required=True)
    parser.add_argument("--http", type=int, required=True)
    options = parser.parse_args(arguments)
    Page.box = box = Box()
    taker = Controller(
        Taker(box), options.bind, options.smtp, authenticator=_any_login, auth_require_tls=False, ident="stackctl"
    )
    taker.start()
    server = ThreadingHTTPServer((options.http_bind or options.bind, options.http), Page)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    taker.stop(no_assert=True)


if __name__ == "__main__":
    main(sys.argv[1:])
