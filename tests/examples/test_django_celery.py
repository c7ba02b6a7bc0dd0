"""A photo is uploaded, the worker finishes it and writes a mail, and its files come back from a snapshot."""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cli import eventually
from tests.examples.asking import Answer, ask
from tests.examples.example import Example

pytestmark = pytest.mark.long


def test_a_photo_is_finished_saved_deleted_and_brought_back(example: Example) -> None:
    assert example.data("status")["components"]["migrate"]["state"] == "done"
    added = post(example, "/", {"title": "Grey", "email": "ada@example.com"}, picture())
    assert added.status == 200, added.text
    [thumbnail] = eventually(lambda: thumbnails(example))
    files = {path: ask(example.url + path).content for path in (thumbnail, *originals(example))}
    assert files[thumbnail].startswith(b"\xff\xd8"), "it is a JPEG"
    assert picture() in files.values()
    eventually(lambda: "1 photo<" in ask(example.url).text, within=60)

    look, save, restore = example.commands
    shown = example.bash(look)
    assert "ada@example.com" in shown
    assert "[X] 0001_initial" in shown
    example.bash(save)
    [number] = re.findall(r"/photos/(\d+)/delete", ask(example.url).text)
    post(example, f"/photos/{number}/delete", {})
    assert thumbnails(example) == []
    assert {ask(example.url + path).status for path in files} == {404}
    example.bash(restore)
    assert thumbnails(example) == [thumbnail]
    assert {path: ask(example.url + path).content for path in files} == files
    assert example.pending() == []


def test_the_owner_of_a_photo_gets_a_mail(example: Example) -> None:
    post(example, "/", {"title": "Mailed", "email": "grace@example.com"}, picture())
    [mail] = eventually(lambda: mails_to(example, "grace@example.com"))
    assert mail["Subject"] == "Mailed is in the gallery"
    whole = ask(f"{example.url_of('mail:http')}/api/v1/message/{mail['ID']}").json
    assert whole["Text"].strip() == "Thank you!"


def test_what_is_no_image_is_refused_with_a_reason(example: Example) -> None:
    refused = post(example, "/", {"title": "Text", "email": "ada@example.com"}, b"no image")
    assert (refused.status, "Upload a valid image" in refused.text) == (400, True)


def picture(width: int = 640, height: int = 480) -> bytes:
    """Return a grey PNG."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + b"\x80" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def post(gallery: Example, path: str, fields: Mapping[str, str], image: bytes = b"") -> Answer:
    """Send a form as a browser does, with the token of the page."""
    page = ask(gallery.url)
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found, page.text
    boundary, token = uuid.uuid4().hex, {"csrfmiddlewaretoken": found[1]}
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {**fields, **token}.items()
    ]
    if image:
        head = 'Content-Disposition: form-data; name="image"; filename="grey.png"\r\nContent-Type: image/png\r\n\r\n'
        parts.append(f"--{boundary}\r\n{head}".encode() + image + b"\r\n")
    return ask(
        gallery.url + path,
        data=b"".join((*parts, f"--{boundary}--\r\n".encode())),
        headers={
            "content-type": f"multipart/form-data; boundary={boundary}",
            "cookie": page.headers["set-cookie"].partition(";")[0],
        },
    )


def thumbnails(gallery: Example) -> list[str]:
    """Return the paths of the thumbnails on the page."""
    return re.findall(r'<img src="([^"]+)"', ask(gallery.url).text)


def originals(gallery: Example) -> list[str]:
    return re.findall(r'<a href="([^"]+)"', ask(gallery.url).text)


def mails_to(gallery: Example, address: str) -> list[dict[str, Any]]:
    mails = ask(f"{gallery.url_of('mail:http')}/api/v1/messages").json["messages"]
    return [mail for mail in mails if address in [to["Address"] for to in mail["To"]]]
