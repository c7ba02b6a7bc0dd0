"""Read the environment, once, into a frozen value: where PostgreSQL and Redis are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The variables that the service reads, each with an example for error messages.
VARIABLES = {
    "DB_HOST": "db, or the directory of a unix socket",
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
        """Read the password from its file, which may be rotated. Return "", which the server refuses, on failure."""
        try:
            return None if self.db_password_file is None else _read_secret(self.db_password_file)
        except OSError:
            return ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Config:
        """Read `VARIABLES` and the files that two of them name. Raises ConfigError."""
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
    # int() itself rejects thousands of digits, but with an error that names no variable.
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise ConfigError(name, f"is {text!r}, which is not {kind} (1-{most})")
    return int(text)


def _read_secret(path: Path) -> str:
    """Return the content of a file without its trailing newline."""
    return path.read_text(encoding="utf-8").rstrip("\r\n")


def _secret_file(environ: Mapping[str, str], name: str) -> Path | None:
    """Return the path in the variable `name`, after checking that it can be read; None if the variable is not set."""
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
