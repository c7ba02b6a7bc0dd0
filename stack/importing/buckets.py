"""Recognise a server for objects as a `Bucket`: if all that use it take its address and keys from variables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stack.importing.project import Project, Service
from stack.importing.relations import Relations

IMAGE = re.compile(r"(?:^|/)(?:minio/minio|rustfs/rustfs)(?=$|[:@])")
PORT = 9000
_ACCESS = ("MINIO_ROOT_USER", "MINIO_ACCESS_KEY", "RUSTFS_ACCESS_KEY")
_SECRET = ("MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY", "RUSTFS_SECRET_KEY")
VARIABLES = (*_ACCESS, *_SECRET)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


def keys_of(service: Service) -> tuple[str, str]:
    """Return its access key and its secret key, as Compose has them."""
    found = (
        next((service.values[name] for name in names if service.values.get(name)), "") for names in (_ACCESS, _SECRET)
    )
    return next(found), next(found)


def why_not(project: Project, service: Service, relations: Relations) -> str:
    """Return what a `Bucket` has nothing for; nothing if it can take the place of a service."""
    for name in service.values:
        if name not in VARIABLES:
            return f"the variable {name}"
    words = [service.fill(word) for word in service.words("command") or ()]
    if words and not re.fullmatch(r"(?:minio )?server \S+(?: --console-address \S+)?", " ".join(words)):
        return "its command"
    access, secret = keys_of(service)
    users = [project.services[name] for name in relations.users(service.name)]
    if not users:
        return "those that use it, of which nothing tells"
    for user in users:
        if not access or not secret or not {access, secret} <= {*user.values.values()}:
            return f"its keys, which {user.name} has not in variables"
    if not any(True for _ in buckets_of(users)):
        return "its buckets, whose names are in no variable"
    return ""


def buckets_of(users: Sequence[Service]) -> Iterator[str]:
    """Yield the names of buckets in the variables of those that use them, each once."""
    found = (value for user in users for name, value in user.values.items() if "BUCKET" in name.upper())
    yield from dict.fromkeys(value for value in found if _NAME.fullmatch(value))
