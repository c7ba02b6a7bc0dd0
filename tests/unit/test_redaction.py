"""What leaves the machine in a bundle holds no secret, in no form that one could stand in."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from stack.fields import is_secret_name
from stack.redaction import Redactor

SECRET = "p$w% 'q\"ü/+&"
REDACTOR = Redactor((SECRET, "line one\nline two\n"), "ada", "/home/ada")


@pytest.mark.parametrize(
    "form",
    [
        str,
        quote_plus,
        shlex.quote,
        json.dumps,
        repr,
        lambda secret: quote(secret, safe=""),
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: secret.replace("$", "$$"),
        lambda secret: secret.replace("%", "%%"),
        lambda secret: secret.replace("'", "''"),
        lambda secret: secret.encode().hex(),
        lambda secret: secret.encode().hex().upper(),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
        lambda secret: hashlib.sha256(secret.encode()).hexdigest(),
        lambda secret: hashlib.md5(secret.encode()).hexdigest(),
    ],
)
def test_a_secret_is_found_in_every_form(form: Callable[[str], str]) -> None:
    written = form(SECRET)
    redacted = REDACTOR.text(f"before {written} after")
    assert written not in redacted
    assert redacted in ("before *** after", 'before "***" after', "before '***' after"), redacted


def test_each_line_of_a_longer_secret_is_one() -> None:
    assert REDACTOR.text("line two, line one") == "***, ***"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("API_TOKEN=abc next", "API_TOKEN=*** next"),
        ("api_key: abc", "api_key: ***"),
        ('"CLIENT_SECRET": "a \\" b", 1', '"CLIENT_SECRET": "***", 1'),
        ("AWS_SECRET_ACCESS_KEY='a b'", "AWS_SECRET_ACCESS_KEY='***'"),
        ("ALTER ROLE student PASSWORD 'it''s'", "ALTER ROLE student PASSWORD '***'"),
        ("postgresql://student:abc@db:5432/x", "postgresql://student:***@db:5432/x"),
        ("redis://:abc@cache", "redis://:***@cache"),
        ("DB_PASSWORD_FILE=/run/secrets/db_password", "DB_PASSWORD_FILE=/run/secrets/db_password"),
        ("secrets:\n  db_password:\n    file: /x", "secrets:\n  db_password:\n    file: /x"),
        ("password authentication failed for user", "password authentication failed for user"),
        ("http://localhost:8000/ and a@b", "http://localhost:8000/ and a@b"),
    ],
)
def test_what_its_name_says_is_secret_is_hidden_and_the_rest_is_not(text: str, redacted: str) -> None:
    assert REDACTOR.text(text) == redacted


def test_a_bundle_does_not_reveal_its_author() -> None:
    text = "/home/ada/shop by ada (canada) at /home/ada"
    assert REDACTOR.text(text) == "~/shop by <user> (canada) at ~"


def test_data_stays_data() -> None:
    data = {"a": [SECRET, 1, None, {"API_KEY": "x", "KEY_FILE": "/f"}], "b": f"is {SECRET}"}
    assert REDACTOR.data(data) == {"a": ["***", 1, None, {"API_KEY": "***", "KEY_FILE": "/f"}], "b": "is ***"}


def test_without_secrets_nothing_is_hidden() -> None:
    assert Redactor((), "", "/").text("all / of it") == "all / of it"
    assert Redactor(("", " \n"), "", "/").text("all  of it") == "all  of it"


@pytest.mark.parametrize(
    ("name", "secret"),
    [("DB_PASSWORD", True), ("token", True), ("DB_PASSWORD_FILE", False), ("DB_HOST", False), ("PORT", False)],
)
def test_a_secret_is_known_by_its_name(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret
