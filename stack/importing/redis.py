"""Recognise a Redis that `Redis` can be: a cache or a queue, by its flags, its volume and what uses it. Pure."""

from __future__ import annotations

import re
import shlex

from stack.importing.project import Project, Service, mebibytes, texts
from stack.importing.relations import Relations
from stack.importing.serving import NotFit, Server, check_keys, has_data, limits_of, published

IMAGE = re.compile(r"(?:^|/)(?:(?:library/)?redis|valkey/valkey)(?=$|[:@])")
# Flags of Redis that change nothing that its users see.
_REDIS_PASSED_OVER = ("--loglevel", "--bind", "--protected-mode", "--port", "--dir", "--tcp-backlog", "--tcp-keepalive")
_BROKER = re.compile(r"BROKER|QUEUE|CELERY|RQ_|BULL|SIDEKIQ", re.IGNORECASE)
_WORKS = re.compile(r"\b(?:celery|rq(?:worker)?|sidekiq|dramatiq|bullmq|huey|arq|queue:work)\b")
_SHELL = re.compile(r"[;&|<>`]|\$\(")


def redis(project: Project, service: Service, relations: Relations) -> Server:
    check_keys(service)
    flags, password = _flags(service)
    for name in service.values:
        if name not in ("TZ", "REDIS_PASSWORD", "VALKEY_PASSWORD", "REDISCLI_AUTH"):
            raise NotFit(f"the variable {name}")
    kept = has_data(project, service, ("/data",))
    policy = flags.pop("--maxmemory-policy", "")
    if policy not in ("", "noeviction", "allkeys-lru"):
        raise NotFit(f"its policy {policy}")
    saves = flags.pop("--save", "")
    appends = flags.pop("--appendonly", "")
    reasons = []
    durable = kept or appends == "yes" or saves not in ("", '""', "''") or policy == "noeviction"
    if policy == "allkeys-lru":
        durable = False
    elif not durable and (queue := _queue(project, service, relations)):
        durable = True
        reasons.append(f"a queue, as {queue} says: it keeps what it is given")
    most = mebibytes(flags.pop("--maxmemory", ""))
    if flags:
        raise NotFit(f"its flag {next(iter(flags))}")
    opened = published(service, 6379)
    if opened and not password and (plain := _without_login(project, service, relations)):
        raise NotFit(f"its port on this machine, for which it would ask for a password that {plain} does not have")
    memory = {"memory": max(2 * most, 32)} if most else ({"memory": 512} if durable else {})
    plain_image = service.image in ("redis", "redis:latest", "redis:8")
    return Server(
        service.name,
        "Redis",
        ({"durable": True} if durable else {})
        | ({} if plain_image else {"image": service.image})
        | (memory | limits_of(service))
        | opened,
        6379,
        password=password,
        reasons=reasons,
    )


def _flags(service: Service) -> tuple[dict[str, str], str]:
    """Return the flags of a server by their names, and its password."""
    words = [service.fill(word) for word in service.words("command") or ()]
    if [word.rpartition("/")[2] for word in words[:1]] in (["sh"], ["bash"]) and words[1:2] == ["-c"]:
        words = _of_shell(words[2] if len(words) == 3 else "", service)
    if words[:1] and words[0] in ("redis-server", "valkey-server"):
        words = words[1:]
    found: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            found[name] = value if equals else ""
        elif name:
            found[name] = f"{found[name]} {word}".strip()
        else:
            raise NotFit(f"its command, {word!r}")
    password = found.pop("--requirepass", "")
    return {name: value for name, value in found.items() if name not in _REDIS_PASSED_OVER}, password


def _of_shell(script: str, service: Service) -> list[str]:
    if not script or _SHELL.search(script):
        raise NotFit("its command, which is for a shell")
    known = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: service.values.get(found[1] or found[2], ""), script.strip())
    words = shlex.split(known)
    return words[1:] if words[:1] == ["exec"] else words


def _queue(project: Project, service: Service, relations: Relations) -> str:
    """Return what says that a Redis holds work to do: a variable of one of its users, or its command."""
    for user in (project.services[name] for name in relations.users(service.name)):
        for name, value in user.values.items():
            if _BROKER.search(name) and any(
                mention.service == service.name for mention in relations.hosts.mentions(value, name, loose=True)
            ):
                return name
        if any(_WORKS.search(text) for text in texts(user.plain.get("command"))):
            return f"the command of {user.name}"
    return ""


def _without_login(project: Project, service: Service, relations: Relations) -> str:
    """Return a user of a Redis that connects without its URL."""
    for user in (project.services[name] for name in relations.users(service.name)):
        urls = [
            value
            for name, value in user.values.items()
            if "://" in value and any(each.service == service.name for each in relations.hosts.mentions(value, name))
        ]
        if not urls:
            return user.name
    return ""
