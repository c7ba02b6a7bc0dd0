"""Read the URL of a server: `postgresql://USER:PASSWORD@HOST:5432/NAME`, `redis://:PASSWORD@HOST:6379/0`. Pure."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

POSTGRESQL, REDIS = "PostgreSQL", "Redis"
_KINDS = {"postgresql": POSTGRESQL, "postgres": POSTGRESQL, "redis": REDIS, "rediss": REDIS}
_PORTS = {POSTGRESQL: 5432, REDIS: 6379}
# The name of a database that a URL does not name. That of PostgreSQL is then called like the user.
_FIRST = "0"
ENCODE = "percent-encode / ? # @ and : in its user and password"


def scheme_of(url: str) -> str:
    """Return the scheme without the driver that some libraries add: `postgresql` for `postgresql+psycopg://`."""
    return urlsplit(url).scheme.partition("+")[0].lower()


def kind_of(url: str) -> str:
    """Return what answers there: `PostgreSQL` or `Redis`."""
    return _KINDS[scheme_of(url)]


def problem_of_url(url: str) -> str | None:
    """Say why a text is not the URL of a server; never with the text, which holds a password. None if it is one."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"is a URL whose host or port can't be read; {ENCODE}"
    if scheme_of(url) not in _KINDS:
        return "is not a URL that begins with postgresql:// or redis://"
    if not host:
        return "is a URL without a host"
    if "," in parts.netloc:
        return "is a URL with several hosts; name one"
    if port == 0:
        return "is a URL with the port 0"
    if kind_of(url) == REDIS and not part_of(url, "name").isdecimal():
        return "is a URL whose path is not the number of a database, like /0"
    return None


def part_of(url: str, part: str) -> str:
    """Return a part of a URL, decoded: `host`, `port`, `user`, `password` or `name`; empty if it has none."""
    parts = urlsplit(url)
    if part == "host":
        return parts.hostname or ""
    if part == "port":
        return str(parts.port or _PORTS[kind_of(url)])
    user = unquote(parts.username or "")
    if part == "name":
        return unquote(parts.path.removeprefix("/")) or (_FIRST if kind_of(url) == REDIS else user)
    return {"user": user, "password": unquote(parts.password or "")}[part]


def address_of(url: str) -> str:
    host = part_of(url, "host")
    return f"{f'[{host}]' if ':' in host else host}:{part_of(url, 'port')}"


def options_of(url: str) -> dict[str, str]:
    """Return what follows the question mark."""
    return dict(parse_qsl(urlsplit(url).query))
