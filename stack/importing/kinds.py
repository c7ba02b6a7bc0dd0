"""Recognise the services for which a stack file has a kind of its own: PostgreSQL, Redis, a mail catcher. Pure.

A service is one of these only if the kind can say all that it declares. Else it is a `Container`, which loses nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stack.importing.names import component_name
from stack.importing.project import Project, Service, mebibytes, texts
from stack.importing.relations import Relations

OLDEST, NEWEST = 15, 18
_POSTGRES = re.compile(
    r"(?:^|/)(?:(?:library/)?postgres|pgvector/pgvector|(?:postgis|imresamu)/postgis|timescale/timescaledb)(?=$|[:@])"
)
_REDIS = re.compile(r"(?:^|/)(?:(?:library/)?redis|valkey/valkey)(?=$|[:@])")
_MAIL = re.compile(r"(?:^|/)(?:axllent/mailpit|mailhog/mailhog|maildev/maildev)(?=$|[:@])")
_OFFICIAL = re.compile(r"(?:^|/)(?:library/)?postgres(?:[:@]|$)")
_NEWEST_TAGS = ("", "latest", "alpine", "bookworm", "trixie")
_MAJOR = re.compile(r":(?:[\w.-]*?\bpg)?(\d\d)(?!\d)")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_RESERVED = re.compile(r"pg_.*|postgres|public|none|template[01]|stackctl_admin")
# What the kinds do by themselves, or have no need of.
_OWN = {
    "image", "environment", "env_file", "ports", "volumes", "command", "healthcheck", "restart", "container_name",
    "networks", "logging", "expose", "pull_policy", "profiles", "deploy", "mem_limit", "cpus", "tty", "stdin_open",
    "stop_grace_period", "init", "mem_reservation", "secrets",
}  # fmt: skip
_POSTGRES_VARIABLES = {
    "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_DB", "PGDATA", "PGUSER", "PGPASSWORD",
    "PGDATABASE", "PGPORT", "POSTGRES_PORT", "POSTGRES_HOST",
}  # fmt: skip
_KEPT_SETTINGS = re.compile(
    r"listen_addresses|port|unix_socket_.*|data_directory|\w+_file|ssl.*|logging_collector|log_destination"
)
# Flags of Redis that change nothing that its users see.
_REDIS_PASSED_OVER = ("--loglevel", "--bind", "--protected-mode", "--port", "--dir", "--tcp-backlog", "--tcp-keepalive")
_BROKER = re.compile(r"BROKER|QUEUE|CELERY|RQ_|BULL|SIDEKIQ", re.IGNORECASE)
_WORKS = re.compile(r"\b(?:celery|rq(?:worker)?|sidekiq|dramatiq|bullmq|huey|arq|queue:work)\b")
_SHELL = re.compile(r"[;&|<>`]|\$\(")
_MAIL_PAGES = {8025: ("mailpit", "mailhog"), 1080: ("maildev",)}


@dataclass(frozen=True)
class Server:
    """A service that is a kind: `fields` of it, and what its users know of it as Compose has it.

    `renamed`: its user or its database has another name. `reason`: what was decided, for a comment.
    """

    service: str
    kind: str
    fields: Mapping[str, object] = field(default_factory=dict)
    port: int = 0
    user: str = ""
    password: str = ""
    database: str = ""
    secret_file: str = ""
    reasons: Sequence[str] = ()


class _Unfit(Exception):
    """The kind can't say what a service declares. The message says what."""


@dataclass(frozen=True)
class Unfit:
    """Why a service is not of a kind that its image seems to be of."""

    kind: str
    reason: str


def recognised(project: Project, relations: Relations) -> tuple[dict[str, Server], dict[str, Unfit]]:
    """Return the services that are of a kind, and for those that nearly are one why they are not."""
    kinds = (("Postgres", _POSTGRES, _postgres), ("Redis", _REDIS, _redis), ("Mail", _MAIL, _mail))
    found: dict[str, Server] = {}
    unfit: dict[str, Unfit] = {}
    for name, service in project.services.items():
        for kind, pattern, make in kinds:
            if service.has_build or not pattern.search(service.image):
                continue
            try:
                _check_name(service, relations)
                found[name] = make(project, service, relations)
            except _Unfit as reason:
                unfit[name] = Unfit(kind, str(reason))
    return found, unfit


def _check_keys(service: Service, allowed: frozenset[str] = frozenset()) -> None:
    for key, value in service.plain.items():
        if value not in (None, [], {}, False, "") and key not in _OWN | allowed:
            raise _Unfit(f"its `{key}`")
    for key in service.plain.get("deploy") or {}:
        if key not in ("resources", "restart_policy", "replicas", "placement", "update_config"):
            raise _Unfit(f"its `deploy: {key}`")
    if len(service.hosts) > 1 and any(host not in _own_hosts(service) for host in service.hosts):
        raise _Unfit("the other names that it has on its networks")
    if service.from_files is None:
        raise _Unfit("its `env_file`, which is not there")


def _check_name(service: Service, relations: Relations) -> None:
    """Check that its users find it by its name here: a kind has no other."""
    named = component_name(service.name)
    for host in service.hosts:
        if host != named and relations.is_called(service.name, host):
            raise _Unfit(f"its name {host}, which is in a command or a file")
    for user in relations.users(service.name) if named != service.name else ():
        if not relations.finds(user, service.name):
            raise _Unfit(f"its name {service.name}, by which {user} may find it")


def _own_hosts(service: Service) -> tuple[object, ...]:
    return (service.name, service.plain.get("container_name"))


def _limits(service: Service) -> dict[str, object]:
    limits = ((service.plain.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    memory = mebibytes(limits.get("memory") or service.plain.get("mem_limit"))
    cpus = float(limits.get("cpus") or service.plain.get("cpus") or 0)
    return ({"memory": memory} if memory >= 64 else {}) | ({"cpus": cpus} if cpus >= 0.1 else {})


def _published(service: Service, target: int) -> dict[str, object]:
    """Return `publish` and `public`. A kind publishes one port."""
    ports = service.ports
    if not ports:
        return {}
    port = ports[0]
    if len(ports) > 1 or port.get("target") != target or port.get("protocol", "tcp") != "tcp":
        raise _Unfit("the ports that it publishes")
    published = str(port.get("published") or target)
    if not published.isdecimal():
        raise _Unfit("the ports that it publishes")
    address = port.get("host_ip") or ""
    if address not in ("", "0.0.0.0", "::", "127.0.0.1", "::1"):  # noqa: S104 - as it is in the project
        raise _Unfit("the address on which it is published")
    number: object = True if int(published) == target else int(published)
    return {"publish": number} | ({} if address in ("127.0.0.1", "::1") else {"public": True})


def _data_volume(project: Project, service: Service, places: Sequence[str]) -> bool:
    """Say whether its data is in a volume or a folder of the project. Raises for what else is mounted."""
    for mount in service.mounts:
        target = str(mount.get("target", "")).rstrip("/")
        if target not in places:
            raise _Unfit(f"what is mounted at {target}")
        source = str(mount.get("source") or "")
        shared = [other.name for other in project.services.values() if other.name != service.name]
        if source and any(source == each.get("source") for name in shared for each in project.services[name].mounts):
            raise _Unfit("the volume with its data, which another service has too")
        if project.volume(source).get("external"):
            raise _Unfit("the external volume with its data")
    return bool(service.mounts)


def _postgres(project: Project, service: Service, relations: Relations) -> Server:
    _check_keys(service, frozenset({"user"}))
    if str(service.plain.get("user") or "postgres").partition(":")[0] not in ("postgres", "999", "70"):
        raise _Unfit("its `user`")
    for name in service.values:
        if name not in _POSTGRES_VARIABLES | {"TZ", "PGTZ"}:
            raise _Unfit(f"the variable {name}")
    major = _MAJOR.search(service.image)
    version = int(major[1]) if major else NEWEST
    tag = service.image.partition("@")[0].rpartition(":")[2] if ":" in service.image else ""
    if not major and (tag not in _NEWEST_TAGS or (tag not in ("", "latest") and not _OFFICIAL.search(service.image))):
        raise _Unfit(f"its version, {service.image}")
    if not OLDEST <= version <= NEWEST:
        raise _Unfit(f"its version {version}: `Postgres` begins at {OLDEST}")
    reasons = [] if major else [f"{service.image} is whatever is newest; a version is declared here"]
    data = ("/var/lib/postgresql/data", "/var/lib/postgresql", f"/var/lib/postgresql/{version}/docker")
    place = service.values.get("PGDATA", data[0]).rstrip("/")
    _data_volume(project, service, (*data, place))
    settings = _settings(service)
    if zone := service.values.get("PGTZ") or service.values.get("TZ"):
        settings = {"timezone": zone} | settings
    user = service.values.get("POSTGRES_USER") or "postgres"
    database = service.values.get("POSTGRES_DB") or user
    _check_users(project, service, relations)
    new_user, new_database = _plain_name(user), _plain_name(database)
    if new_user != user:
        reasons.append(f"its user was {user}, which is no ordinary user's name")
    image = {} if not major or service.image == f"postgres:{version}" else {"image": service.image}
    if tag in _NEWEST_TAGS and tag not in ("", "latest"):
        image = {"image": f"postgres:{version}-{tag}"}
    return Server(
        service.name,
        "Postgres",
        ({} if new_user == "app" else {"user": new_user})
        | ({} if new_database == "app" else {"database": new_database})
        | {"version": version}
        | image
        | ({"settings": settings} if settings else {})
        | _limits(service)
        | _published(service, 5432),
        5432,
        user,
        service.values.get("POSTGRES_PASSWORD", ""),
        database,
        service.values.get("POSTGRES_PASSWORD_FILE", ""),
        reasons,
    )


def _plain_name(name: str) -> str:
    plain = re.sub(r"[^a-z0-9_]+", "_", name.lower())
    if _NAME.fullmatch(plain) and not _RESERVED.fullmatch(plain):
        return plain
    return "app"


def _settings(service: Service) -> dict[str, object]:
    words = [service.fill(word) for word in service.words("command") or ()]
    if words[:1] == ["postgres"]:
        words = words[1:]
    found: dict[str, object] = {}
    while words:
        word = words.pop(0)
        setting = words.pop(0) if word == "-c" and words else word.removeprefix("-c").removeprefix("--")
        name, equals, value = setting.partition("=")
        if not (word.startswith("-c") or word.startswith("--")) or not equals or _KEPT_SETTINGS.fullmatch(name):
            raise _Unfit(f"its command, {word!r}")
        found[name.replace("-", "_")] = value
    return found


def _check_users(project: Project, service: Service, relations: Relations) -> None:
    """Check that its users find its password in variables, because it gets another: not in code, and not in words."""
    password = service.values.get("POSTGRES_PASSWORD", "")
    if service.values.get("POSTGRES_HOST_AUTH_METHOD"):
        raise _Unfit("the way in which it is logged in to")
    if not {"POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"} & {*service.text_of}:
        raise _Unfit("that it has no password")
    users = [project.services[name] for name in relations.users(service.name)]
    for user in users:
        if any(_is_told(text, service, password) for text in _told_elsewhere(user)):
            raise _Unfit(f"its password, which is in the command of {user.name}")
    for user in users:
        if _reads_secret(user, service):
            raise _Unfit(f"its password, which {user.name} reads from a file of its own")
    if users and not any(_has_login(user, service, relations) for user in users):
        raise _Unfit("its password, which its users do not have in a variable")


def _reads_secret(user: Service, service: Service) -> bool:
    """Say whether a service has the file with the password, and no variable that says where it is."""
    file = service.values.get("POSTGRES_PASSWORD_FILE", "")
    listed = [each.get("source") if isinstance(each, Mapping) else each for each in user.plain.get("secrets") or ()]
    told = any(value == file for name, value in user.values.items() if name.endswith("_FILE"))
    return bool(file) and file.rpartition("/")[2] in listed and not told


def _told_elsewhere(user: Service) -> Iterator[str]:
    for key in ("command", "entrypoint", "healthcheck", "labels", "build"):
        yield from texts(user.plain.get(key))


def _is_told(text: str, service: Service, password: str) -> bool:
    login = rf"://[^/\s@]+:[^/\s@]+@(?:{'|'.join(map(re.escape, service.hosts))})\b"
    return bool(re.search(login, text)) or bool(password and f"PGPASSWORD={password}" in text)


def _has_login(user: Service, service: Service, relations: Relations) -> bool:
    password = service.environment.get("POSTGRES_PASSWORD") or ()
    told = service.values.get("POSTGRES_PASSWORD") or None
    file = service.values.get("POSTGRES_PASSWORD_FILE") or None
    for name, template in user.text_of.items():
        value = user.values.get(name, "")
        if re.search(r"PASS|PWD", name, re.IGNORECASE) and (value == told or (password and template == password)):
            return True
        if name.endswith("_FILE") and value == file:
            return True
        mentioned = any(each.service == service.name for each in relations.hosts.mentions(value, name))
        if mentioned and (
            "://" in value or (told and re.search(rf"(?i:password|pwd)={re.escape(told)}(?![\w-])", value))
        ):
            return True
    return False


def _redis(project: Project, service: Service, relations: Relations) -> Server:
    _check_keys(service)
    flags, password = _flags(service)
    for name in service.values:
        if name not in ("TZ", "REDIS_PASSWORD", "VALKEY_PASSWORD", "REDISCLI_AUTH"):
            raise _Unfit(f"the variable {name}")
    kept = _data_volume(project, service, ("/data",))
    policy = flags.pop("--maxmemory-policy", "")
    if policy not in ("", "noeviction", "allkeys-lru"):
        raise _Unfit(f"its policy {policy}")
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
        raise _Unfit(f"its flag {next(iter(flags))}")
    published = _published(service, 6379)
    if published and not password and (plain := _without_login(project, service, relations)):
        raise _Unfit(f"its port on this machine, for which it would ask for a password that {plain} does not have")
    memory = {"memory": max(2 * most, 32)} if most else ({"memory": 512} if durable else {})
    plain_image = service.image in ("redis", "redis:latest", "redis:8")
    return Server(
        service.name,
        "Redis",
        ({"durable": True} if durable else {})
        | ({} if plain_image else {"image": service.image})
        | (memory | _limits(service))
        | published,
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
            raise _Unfit(f"its command, {word!r}")
    password = found.pop("--requirepass", "")
    return {name: value for name, value in found.items() if name not in _REDIS_PASSED_OVER}, password


def _of_shell(script: str, service: Service) -> list[str]:
    if not script or _SHELL.search(script):
        raise _Unfit("its command, which is for a shell")
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


def _mail(project: Project, service: Service, relations: Relations) -> Server:
    _check_keys(service)
    for name in service.values:
        if name not in ("MP_SMTP_AUTH_ACCEPT_ANY", "MP_SMTP_AUTH_ALLOW_INSECURE", "MP_DISABLE_VERSION_CHECK"):
            raise _Unfit(f"the variable {name}")
    if service.words("command") or service.mounts:
        raise _Unfit("its command" if service.words("command") else "what is mounted")
    target = next(port for port, products in _MAIL_PAGES.items() if any(each in service.image for each in products))
    published = _published(service, target)
    if published.get("publish") is True and target != 8025:
        published["publish"] = target
    if not published:
        published = {"publish": None}
    pinned = "mailpit" in service.image and not re.search(r"mailpit(?::latest)?$", service.image)
    other = [] if "mailpit" in service.image else [f"Mailpit in the place of {service.image}"]
    image = {"image": service.image} if pinned else {}
    return Server(service.name, "Mail", published | image, 1025, reasons=other)
