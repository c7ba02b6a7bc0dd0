"""Ask registries for the digests of images, without pulling them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from stack.engines.docker import client
from stack.errors import StackError

_TIMEOUT = 60.0
_AT_ONCE = 4
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digests(images: Sequence[str], host: str | None = None) -> Mapping[str, str]:
    """Return the digest that the tag of each image stands for in its registry now.

    The client asks, with the credentials of `docker login`. Raises `registry-unavailable`, which names every image that
    could not be looked up.
    """
    client.find()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(images, pool.map(functools.partial(_digest, host=host), images), strict=True))
    missing = {image: answer.message for image, answer in found.items() if isinstance(answer, StackError)}
    if missing:
        raise StackError(
            "registry-unavailable",
            f"no registry gave the digest of {', '.join(missing)}; nothing was changed",
            "check the name and the network, or run `docker login`; `stackctl update COMPONENT` asks for one alone",
            "\n".join(f"{image}: {problem}" for image, problem in missing.items()),
        )
    return {image: answer for image, answer in found.items() if isinstance(answer, str)}


def _digest(image: str, host: str | None) -> str | StackError:
    try:
        answer = client.run(
            ["buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", image], _TIMEOUT, host=host
        )
    except StackError as error:
        return error
    digest = _field(answer.stdout, "digest") if answer.ok else ""
    if _DIGEST.fullmatch(digest):
        return digest
    said = (answer.stderr or answer.stdout).strip().splitlines() or ["it gave no digest"]
    return StackError("registry-unavailable", said[-1].removeprefix("ERROR: "), "")


def _field(text: str, name: str) -> str:
    """Return a text of a JSON object; for anything else nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""
