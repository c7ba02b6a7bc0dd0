"""Ask each published component as a user would."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stack.components.webapp import WebApp
from stack.instance import Instance

_TIMEOUT = 5.0
_MOST_READ = 65536


@dataclass(frozen=True)
class Answer:
    """What a component answered to a request from outside: `ok`, or what was wrong."""

    ok: bool
    detail: str


Probe = Callable[[str], Answer]


def ask(instance: Instance, probe: Probe) -> Mapping[str, Answer]:
    """Ask each published component."""
    return {
        component.name: probe(f"http://127.0.0.1:{instance.ports[component.name]}{component.health}")
        for component in instance.stack
        if isinstance(component, WebApp)
    }


def http_probe(url: str) -> Answer:
    """One GET, past any proxy, as a program on this machine would send it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT) as response:
            wrong = complaints(response.headers.get_content_type(), response.read(_MOST_READ))
            return Answer(not wrong, f"{response.status} from {url}" + (f": {'; '.join(wrong)}" if wrong else ""))
    except urllib.error.HTTPError as error:
        body = error.read(300).decode("utf-8", errors="replace").strip()
        return Answer(False, f"{error.code} from {url}: {body}".rstrip(": "))
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        return Answer(False, f"no answer from {url}: {reason}")


def complaints(kind: str, body: bytes) -> list[str]:
    """The checks that fail in an answer of type `application/health+json`, though its status is 200.

    An app may serve on without a part of what it uses; ready it is only with all of it.
    """
    if kind != "application/health+json":
        return []
    try:
        checks = json.loads(body)["checks"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [
        f"{name}: {check.get('output') or 'fails'}"
        for name, found in checks
        for check in (found if isinstance(found, list) else [found])
        if isinstance(check, dict) and check.get("status") == "fail"
    ]
