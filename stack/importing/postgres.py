"""Recognise a PostgreSQL that `Postgres` can be, by its version, its settings, and where its password is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stack.importing.project import Project, Service, texts
from stack.importing.relations import Relations
from stack.importing.serving import NotFit, Server, check_keys, has_data, is_about, limits_of, published

OLDEST, NEWEST = 15, 18
IMAGE = re.compile(
    r"(?:^|/)(?:(?:library/)?postgres|pgvector/pgvector|(?:postgis|imresamu)/postgis|timescale/timescaledb)(?=$|[:@])"
)
_OFFICIAL = re.compile(r"(?:^|/)(?:library/)?postgres(?:[:@]|$)")
_NEWEST_TAGS = ("", "latest", "alpine", "bookworm", "trixie")
_MAJOR = re.compile(r":(?:[\w.-]*?\bpg)?(\d\d)(?!\d)")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_RESERVED = re.compile(r"pg_.*|postgres|public|none|template[01]|stackctl_admin")
_POSTGRES_VARIABLES = {
    "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_DB", "PGDATA", "PGUSER", "PGPASSWORD",
    "PGDATABASE", "PGPORT", "POSTGRES_PORT", "POSTGRES_HOST",
}  # fmt: skip
_KEPT_SETTINGS = re.compile(
    r"listen_addresses|port|unix_socket_.*|data_directory|\w+_file|ssl.*|logging_collector|log_destination"
)


def postgres(project: Project, service: Service, relations: Relations) -> Server:
    check_keys(service, frozenset({"user"}))
    if str(service.plain.get("user") or "postgres").partition(":")[0] not in ("postgres", "999", "70"):
        raise NotFit("its `user`")
    for name in service.values:
        if name not in _POSTGRES_VARIABLES | {"TZ", "PGTZ"}:
            raise NotFit(f"the variable {name}")
    major = _MAJOR.search(service.image)
    version = int(major[1]) if major else NEWEST
    tag = service.image.partition("@")[0].rpartition(":")[2] if ":" in service.image else ""
    if not major and (tag not in _NEWEST_TAGS or (tag not in ("", "latest") and not _OFFICIAL.search(service.image))):
        raise NotFit(f"its version, {service.image}")
    if not OLDEST <= version <= NEWEST:
        raise NotFit(f"its version {version}: `Postgres` begins at {OLDEST}")
    reasons = [] if major else [f"{service.image} is whatever is newest; a version is declared here"]
    data = ("/var/lib/postgresql/data", "/var/lib/postgresql", f"/var/lib/postgresql/{version}/docker")
    place = service.values.get("PGDATA", data[0]).rstrip("/")
    has_data(project, service, (*data, place))
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
        | limits_of(service)
        | published(service, 5432),
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
            raise NotFit(f"its command, {word!r}")
        found[name.replace("-", "_")] = value
    return found


def _check_users(project: Project, service: Service, relations: Relations) -> None:
    """Check that its users find its password in variables, because it gets another: not in code, and not in words."""
    password = service.values.get("POSTGRES_PASSWORD", "")
    if service.values.get("POSTGRES_HOST_AUTH_METHOD"):
        raise NotFit("the way in which it is logged in to")
    if not {"POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"} & {*service.text_of}:
        raise NotFit("that it has no password")
    users = [project.services[name] for name in relations.users(service.name)]
    for user in users:
        if any(_is_told(text, service, password) for text in _told_elsewhere(user)):
            raise NotFit(f"its password, which is in the command of {user.name}")
    for user in users:
        if _reads_secret(user, service):
            raise NotFit(f"its password, which {user.name} reads from a file of its own")
    if users and not any(_has_login(user, service, relations) for user in users):
        raise NotFit("its password, which its users do not have in a variable")


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
        same = (password and template == password) or (
            value == told and is_about(user, name, "Postgres", service.hosts)
        )
        if re.search(r"PASS|PWD", name, re.IGNORECASE) and same:
            return True
        if name.endswith("_FILE") and value == file:
            return True
        mentioned = any(each.service == service.name for each in relations.hosts.mentions(value, name))
        if mentioned and (
            "://" in value or (told and re.search(rf"(?i:password|pwd)={re.escape(told)}(?![\w-])", value))
        ):
            return True
    return False
