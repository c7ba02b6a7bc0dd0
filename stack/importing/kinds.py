"""Recognise the services for which a stack file has a kind of its own: databases, mail catchers, buckets. Pure.

A service is one of these only if the kind can say all that it declares. Else it is a `Container`, which loses nothing.
"""

from __future__ import annotations

import re

from stack.frozen import dataclass
from stack.importing import buckets, postgres, redis
from stack.importing.project import Project, Service
from stack.importing.relations import Relations
from stack.importing.serving import NotFit, Server, check_keys, check_name, has_data, limits_of, published

_MAIL = re.compile(r"(?:^|/)(?:axllent/mailpit|mailhog/mailhog|maildev/maildev)(?=$|[:@])")
_MAIL_PAGES = {8025: ("mailpit", "mailhog"), 1080: ("maildev",)}


@dataclass(frozen=True)
class Unfit:
    """Why a service is not of a kind that its image seems to be of."""

    kind: str
    reason: str


def recognised(project: Project, relations: Relations) -> tuple[dict[str, Server], dict[str, Unfit]]:
    """Return the services that are of a kind, and for those that nearly are one why they are not."""
    kinds = (
        ("Postgres", postgres.IMAGE, postgres.postgres),
        ("Redis", redis.IMAGE, redis.redis),
        ("Mail", _MAIL, _mail),
        ("Bucket", buckets.IMAGE, _bucket),
    )
    found: dict[str, Server] = {}
    unfit: dict[str, Unfit] = {}
    for name, service in project.services.items():
        for kind, pattern, make in kinds:
            if service.has_build or not pattern.search(service.image):
                continue
            try:
                check_name(service, relations)
                found[name] = make(project, service, relations)
            except NotFit as reason:
                unfit[name] = Unfit(kind, str(reason))
    return found, unfit


def _mail(project: Project, service: Service, relations: Relations) -> Server:
    check_keys(service)
    for name in service.values:
        if name not in ("MP_SMTP_AUTH_ACCEPT_ANY", "MP_SMTP_AUTH_ALLOW_INSECURE", "MP_DISABLE_VERSION_CHECK"):
            raise NotFit(f"the variable {name}")
    if service.words("command") or service.mounts:
        raise NotFit("its command" if service.words("command") else "what is mounted")
    target = next(port for port, products in _MAIL_PAGES.items() if any(each in service.image for each in products))
    opened = published(service, target)
    if opened.get("publish") is True and target != 8025:
        opened["publish"] = target
    if not opened:
        opened = {"publish": None}
    pinned = "mailpit" in service.image and not re.search(r"mailpit(?::latest)?$", service.image)
    other = [] if "mailpit" in service.image else [f"Mailpit in the place of {service.image}"]
    image = {"image": service.image} if pinned else {}
    return Server(service.name, "Mail", opened | image, 1025, reasons=other)


def _bucket(project: Project, service: Service, relations: Relations) -> Server:
    check_keys(service)
    opened = published(service, buckets.PORT)
    has_data(project, service, ("/data",))
    if reason := buckets.why_not(project, service, relations):
        raise NotFit(reason)
    access, secret = buckets.keys_of(service)
    users = [project.services[name] for name in relations.users(service.name)]
    other = [] if "rustfs" in service.image else [f"RustFS in the place of {service.image}"]
    fields = {"buckets": list(buckets.buckets_of(users))} | opened | limits_of(service)
    return Server(service.name, "Bucket", fields, buckets.PORT, access, secret, reasons=other)
