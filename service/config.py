"""The one reader of the environment: where PostgreSQL and Redis are, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# What the service reads, and an example that an error can show.
VARIABLES = {
    "DB_HOST": "db, or the folder of a unix socket",
    "DB_PORT": "5432",
    "DB_NAME": "student_notes",
    "DB_USER": "student",
    "DB_PASSWORD_FILE": "/run/secrets/db_password",
    "CACHE_HOST": "cache",
    "CACHE_PORT": "6379",
    "CACHE_PASSWORD_FILE": "/run/secrets/cache_password",
    "CACHE_TTL": "300",
}


class ConfigError(ValueError):
    """A variable is missing or wrong. The message names it, says what is wrong and what to set."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}; set it to, for example, {VARIABLES[name]}")


@dataclass(frozen=True)
class Config:
    """Where the servers are and how long, in seconds, a copy may live. Passwords stay out of its `repr`."""

    db_host: str
    db_port: int
    db_name: str
    db_user: str
    db_password_file: Path | None
    cache_host: str
    cache_port: int
    cache_password: str | None = field(repr=False)
    cache_ttl: int

    def db_password(self) -> str | None:
        """As its file has it now: it may be rotated. Empty while it can't be read, which the server refuses."""
        try:
            return None if self.db_password_file is None else _read_secret(self.db_password_file)
        except OSError:
            return ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Config:
        """Read `VARIABLES`, and now the files that two of them name. Raises ConfigError."""
        return cls(
            db_host=_text(environ, "DB_HOST"),
            db_port=_port(environ, "DB_PORT", 5432),
            db_name=_text(environ, "DB_NAME"),
            db_user=_text(environ, "DB_USER"),
            db_password_file=_secret_file(environ, "DB_PASSWORD_FILE"),
            cache_host=_text(environ, "CACHE_HOST"),
            cache_port=_port(environ, "CACHE_PORT", 6379),
            cache_password=_secret(environ, "CACHE_PASSWORD_FILE"),
            cache_ttl=_number(environ, "CACHE_TTL", 300, most=31_536_000, kind="a number of seconds"),
        )


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise ConfigError(name, "is not set")
    return value


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    return _number(environ, name, default, most=65535, kind="a port")


def _number(environ: Mapping[str, str], name: str, default: int, *, most: int, kind: str) -> int:
    text = environ.get(name) or str(default)
    # int() itself refuses what has thousands of digits, with an error that names no variable.
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise ConfigError(name, f"is {text!r}, which is not {kind} (1-{most})")
    return int(text)


def _read_secret(path: Path) -> str:
    """The content of a file without its last line end."""
    return path.read_text(encoding="utf-8").rstrip("\r\n")


def _secret_file(environ: Mapping[str, str], name: str) -> Path | None:
    """The file that `name` names, which can be read; None where there is no such variable."""
    return Path(environ[name]) if _secret(environ, name) else None


def _secret(environ: Mapping[str, str], name: str) -> str | None:
    path = environ.get(name)
    if not path:
        return None
    try:
        secret = _read_secret(Path(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(name, f"names {path!r}, which cannot be read ({reason})") from None
    if not secret:
        raise ConfigError(name, f"names {path!r}, which is empty")
    return secret
