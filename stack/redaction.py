"""Redact text: secrets in any encoding, the user's name and home."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from stack.fields import HIDDEN_WORDS, is_secret_name
from stack.frozen import dataclass

HIDDEN = "***"
_NAME = rf"[\w.-]*(?:{HIDDEN_WORDS})[\w.-]*"
_QUOTED = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|''|[^'\\])*'"
# `NAME=value`, `NAME: value`, `"NAME": "value"`, and as in SQL, `PASSWORD 'value'`.
_ASSIGNED = re.compile(
    rf"(?P<name>{_NAME})(?P<between>[\"']?[ \t]*[:=][ \t]*|[ \t]+(?='))(?P<value>{_QUOTED}|[^\s,;\"']+)",
    re.IGNORECASE,
)
_URL = re.compile(r"(://[^/\s:@]*:)[^/\s]+(?=@)")


@dataclass(frozen=True)
class Redactor:
    """`secrets` are values to hide; `user` and `home` are those of the current user."""

    secrets: tuple[str, ...]
    user: str
    home: str

    def text(self, text: str) -> str:
        forms = {form for secret in self.secrets for form in _forms(secret)}
        # Longest first, because one may be part of another.
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        text = without_password(text)
        text = _ASSIGNED.sub(_hide, text)
        text = text.replace(self.home, "~") if len(self.home) > 1 else text
        return re.sub(rf"(?<!\w){re.escape(self.user)}(?!\w)", "<user>", text) if self.user else text

    def data(self, value: Any) -> Any:
        """Redact every text in a JSON value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._field(str(key), each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(each) for each in value]
        return value

    def _field(self, name: str, value: Any) -> Any:
        return HIDDEN if isinstance(value, str) and is_secret_name(name) else self.data(value)


def without_password(url: str) -> str:
    """Hide the password in each URL of a text."""
    return _URL.sub(rf"\1{HIDDEN}", url)


def _hide(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]):
        return found[0]
    quotes = found["value"][0] if found["value"][0] in "\"'" else ""
    return f"{found['name']}{found['between']}{quotes}{HIDDEN}{quotes}"


def _forms(secret: str) -> Iterable[str]:
    """Yield a secret as it may appear in a log, URL or configuration; each line too if it has several."""
    plain = [secret, secret.strip(), *(line.strip() for line in secret.splitlines())]
    for value in {each for each in plain if each}:
        raw = value.encode()
        yield from (value, value.replace("$", "$$"), value.replace("%", "%%"), value.replace("'", "''"))
        yield from (quote(value, safe=""), quote_plus(value), shlex.quote(value), repr(value)[1:-1])
        yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
        yield from (raw.hex(), raw.hex().upper(), hashlib.sha256(raw).hexdigest(), hashlib.md5(raw).hexdigest())  # noqa: S324 - to find it
        for encoded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
            yield from (encoded.decode(), encoded.decode().rstrip("="))
